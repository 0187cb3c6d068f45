//! Paired bootstrap over users between two methods.

use das_core::streams::stream;
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Resamples of the bootstrap.
pub(super) const RESAMPLES: usize = 2000;

/// The difference a − b of two methods' weighted means over the same users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// a − b over all users.
    pub difference: f64,
    /// 2.5 % percentile of the resampled differences.
    pub low: f64,
    /// 97.5 % percentile.
    pub high: f64,
    /// Two-sided p: twice the smaller share of resampled differences on either side of 0, with
    /// one added to counts and resamples so that it is never 0; at most 1.
    pub p: f64,
    /// Users.
    pub users: usize,
}

/// Users and their weights in a mean, and for several pairs of methods each user's a − b.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    /// 1 each for a plain mean.
    pub weights: Vec<f64>,
    /// One list a pair, one value a user, seeds averaged beforehand.
    pub differences: Vec<Vec<f64>>,
}

/// Resamples users with replacement (Efron & Tibshirani 1993, chapters 13 and 16); both methods of
/// a pair keep each user's values together, so what users have in common cancels. Every pair is
/// given the same resamples. One result a pair, none without users or weight.
pub fn paired_bootstrap(of: &Weighted, seed: u64) -> Vec<Option<PairedDifference>> {
    let (users, pairs) = (of.weights.len(), of.differences.len());
    assert!(of.differences.iter().all(|values| values.len() == users), "a value for each user");
    if !of.weights.iter().any(|&weight| weight > 0.0) {
        return vec![None; pairs];
    }
    // User by user, so that a draw reads one place.
    let rows: Vec<f64> = (0..users)
        .flat_map(|user| of.differences.iter().map(move |values| of.weights[user] * values[user]))
        .collect();
    let means = |drawn: &mut dyn Iterator<Item = usize>| {
        let (mut sums, mut weight) = (vec![0.0; pairs], 0.0);
        for user in drawn {
            weight += of.weights[user];
            let values = &rows[user * pairs..(user + 1) * pairs];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        sums.iter_mut().for_each(|sum| *sum = if weight > 0.0 { *sum / weight } else { 0.0 });
        sums
    };
    let resampled: Vec<Vec<f64>> = (0..RESAMPLES)
        .into_par_iter()
        .map(|resample| {
            let mut rng = stream(seed, "eval/bootstrap", resample as u64);
            means(&mut (0..users).map(|_| rng.random_range(0..users)))
        })
        .collect();
    let observed = means(&mut (0..users));
    let result = |(pair, &difference): (usize, &f64)| {
        let mut found: Vec<f64> = resampled.iter().map(|means| means[pair]).collect();
        found.sort_unstable_by(f64::total_cmp);
        Some(PairedDifference {
            difference,
            low: percentile(&found, 0.025),
            high: percentile(&found, 0.975),
            p: two_sided(&found),
            users,
        })
    };
    observed.iter().enumerate().map(result).collect()
}

/// Twice the smaller share of ascending differences on either side of 0.
fn two_sided(ascending: &[f64]) -> f64 {
    let at_most = ascending.partition_point(|&difference| difference <= 0.0);
    let at_least = ascending.len() - ascending.partition_point(|&difference| difference < 0.0);
    let side = (at_most.min(at_least) + 1) as f64 / (ascending.len() + 1) as f64;
    (2.0 * side).min(1.0)
}

/// The percentile of ascending values, interpolated linearly between the two nearest.
fn percentile(ascending: &[f64], share: f64) -> f64 {
    let place = share * (ascending.len() - 1) as f64;
    let (below, above) = (ascending[place.floor() as usize], ascending[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
