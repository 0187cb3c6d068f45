//! Metrics of a binary classifier such as a click model: from logits and labels, exact under ties.
//!
//! Scores are logits. AUC looks at their order alone and counts a tie between a click and an
//! exposure as half; NaN counts as −∞, so that a model cannot gain by it. The other metrics
//! look at the probability σ(logit), computed in f64.

mod placements;

use serde::{Deserialize, Serialize};

pub use self::placements::{auc_by_group, placements};
use super::ranking::sortable;
use crate::{Error, Result};

/// Area under the ROC curve: the chance that a random positive scores above a random negative,
/// a tie counting half. `None` unless both labels occur. O(n log n), and exact: pairs are
/// counted in integers (Mann–Whitney U).
///
/// The slices are of equal length.
pub fn auc(logits: &[f32], labels: &[bool]) -> Option<f64> {
    assert_eq!(logits.len(), labels.len(), "a label for each logit");
    let mut rows: Vec<(f32, bool)> =
        logits.iter().map(|&logit| sortable(logit)).zip(labels.iter().copied()).collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the number of (positive, negative) pairs in the right order, ties once.
    let (mut twice_won, mut negatives_below) = (0u128, 0u128);
    for tied in rows.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|row| row.1).count() as u128;
        let negatives = tied.len() as u128 - positives;
        twice_won += positives * (2 * negatives_below + negatives);
        negatives_below += negatives;
    }
    let pairs = (rows.len() as u128 - negatives_below) * negatives_below;
    (pairs > 0).then(|| twice_won as f64 / (2 * pairs) as f64)
}

/// The AUC within one group of rows, for example the impressions of one user.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupAuc {
    /// The group.
    pub group: u32,
    /// Its rows: the weight in [`gauc`].
    pub rows: usize,
    /// AUC over its rows.
    pub auc: f64,
}

/// The AUC of every group that has both labels, by ascending group.
///
/// The slices are of equal length.
pub fn group_aucs(groups: &[u32], logits: &[f32], labels: &[bool]) -> Vec<GroupAuc> {
    assert!(groups.len() == logits.len() && groups.len() == labels.len(), "equal lengths");
    let mut order: Vec<u32> = (0..groups.len() as u32).collect();
    order.sort_by_key(|&row| groups[row as usize]);
    order
        .chunk_by(|&a, &b| groups[a as usize] == groups[b as usize])
        .filter_map(|rows| {
            let own_logits: Vec<f32> = rows.iter().map(|&row| logits[row as usize]).collect();
            let own_labels: Vec<bool> = rows.iter().map(|&row| labels[row as usize]).collect();
            let auc = auc(&own_logits, &own_labels)?;
            Some(GroupAuc { group: groups[rows[0] as usize], rows: rows.len(), auc })
        })
        .collect()
}

/// UAUC: the plain mean over groups with both labels; `None` without any.
pub fn uauc(groups: &[GroupAuc]) -> Option<f64> {
    let sum: f64 = groups.iter().map(|group| group.auc).sum();
    (!groups.is_empty()).then(|| sum / groups.len() as f64)
}

/// GAUC: the mean over groups with both labels, each weighted by its rows (Zhou et al. 2018,
/// "Deep Interest Network", equation 7, with impressions as weights); `None` without any.
pub fn gauc(groups: &[GroupAuc]) -> Option<f64> {
    let sum: f64 = groups.iter().map(|group| group.rows as f64 * group.auc).sum();
    let rows: usize = groups.iter().map(|group| group.rows).sum();
    (rows > 0).then(|| sum / rows as f64)
}

/// Mean negative log-likelihood −ln p(label) in nats, from logits in the stable form
/// max(z, 0) − z·y + ln(1 + e^−|z|), so that no logit saturates. 0 without rows.
///
/// The slices are of equal length.
pub fn log_loss(logits: &[f32], labels: &[bool]) -> f64 {
    assert_eq!(logits.len(), labels.len(), "a label for each logit");
    let loss = |(&logit, &label): (&f32, &bool)| {
        let z = f64::from(logit);
        z.max(0.0) - if label { z } else { 0.0 } + (-z.abs()).exp().ln_1p()
    };
    logits.iter().zip(labels).map(loss).sum::<f64>() / logits.len().max(1) as f64
}

/// How far predicted probabilities are frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of positives.
    pub observed: f64,
    /// predicted / observed; `None` without a positive.
    pub ratio: Option<f64>,
    /// Expected calibration error: over bins of about equal mass, the mean of
    /// |mean prediction − share of positives|, weighted by the bins' rows.
    pub ece: f64,
}

/// Calibration with `bins` bins.
///
/// Bins are cut at the quantiles i/bins of the logits, and a row goes to the bin below a cut
/// that it stands on: equal logits share a bin, so the order of the rows cannot matter. This is
/// the `quantile` strategy of scikit-learn's `calibration_curve`.
///
/// No bin, a logit that is not a number or slices of different lengths are errors.
pub fn calibration(logits: &[f32], labels: &[bool], bins: usize) -> Result<Calibration> {
    if logits.len() != labels.len() || bins == 0 {
        let (logits, labels) = (logits.len(), labels.len());
        let message = format!("calibration of {logits} logits, {labels} labels in {bins} bins");
        return Err(Error::Invalid(message));
    }
    if let Some(row) = logits.iter().position(|logit| logit.is_nan()) {
        return Err(Error::Invalid(format!("logit {row} is not a number")));
    }
    let mut rows: Vec<(f32, bool)> =
        logits.iter().map(|&logit| sortable(logit)).zip(labels.iter().copied()).collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut predicted, mut observed, mut gaps) = (0.0, 0.0, 0.0);
    for bin in quantile_bins(&rows, bins) {
        let expected: f64 = bin.iter().map(|row| sigmoid(row.0)).sum();
        let positives = bin.iter().filter(|row| row.1).count() as f64;
        predicted += expected;
        observed += positives;
        gaps += (expected - positives).abs();
    }
    let total = rows.len().max(1) as f64;
    let ratio = (observed > 0.0).then(|| predicted / observed);
    Ok(Calibration {
        predicted: predicted / total,
        observed: observed / total,
        ratio,
        ece: gaps / total,
    })
}

/// Cuts ascending rows into at most `bins` runs. The quantile i/bins lies at or just above the
/// row ⌊i(n − 1)/bins⌋, so what is greater than that row is above the cut.
fn quantile_bins(rows: &[(f32, bool)], bins: usize) -> impl Iterator<Item = &[(f32, bool)]> {
    let cut = move |bin: usize| match rows.len() {
        0 => 0,
        n if bin == bins => n,
        n => {
            let edge = rows[bin * (n - 1) / bins].0;
            rows.partition_point(|row| row.0 <= edge)
        }
    };
    (0..bins).map(move |bin| {
        let start = if bin == 0 { 0 } else { cut(bin) };
        &rows[start..cut(bin + 1)]
    })
}

fn sigmoid(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

#[cfg(test)]
mod tests;
