//! Click prediction by a ranker, with and without semantic IDs.

use std::time::Instant;

use das_core::metrics::binary::{self, GroupAuc};
use das_core::sid::SidTable;
use das_recommend::ranker::{BagField, Ranker, RankerConfig};

use super::{Context, Outcome};
use crate::Result;
use crate::inputs::{CtrInputs, Slice};
use crate::records::PerUser;
use crate::samples::{BOTH_LABELS, POOLED_AUC, ROWS, USER_AUC};

/// Bins of the calibration error.
const CALIBRATION_BINS: usize = 20;

/// What a tokenizer tells the ranker.
#[derive(Clone, Copy, Debug, Default)]
pub struct CtrSids<'a> {
    /// Semantic IDs of users.
    pub user: Option<&'a SidTable>,
    /// Semantic IDs of items, as candidates and in histories.
    pub item: Option<&'a SidTable>,
    /// Further codes of items, such as QARM's VQ code.
    pub item_bag: Option<&'a BagField>,
}

/// Trains a ranker and measures it on the test impressions: `auc`, `uauc`, `gauc`, `logloss`,
/// `ece` and `calibration` (predicted over observed clicks), and AUC and log loss of the
/// [slices](Slice) as `auc/cold-item`. Metrics that need both labels are absent where one is.
///
/// # Errors
/// If the IDs do not fit the inputs, the settings cannot work, or a part lacks one of the labels.
pub fn ctr(
    inputs: &CtrInputs,
    sids: CtrSids<'_>,
    config: &RankerConfig,
    context: Context<'_>,
) -> Result<Outcome> {
    Ok(train_ranker(inputs, sids, config, context)?.1)
}

/// Trains a ranker and measures it as [`ctr`] does.
///
/// # Errors
/// As [`ctr`].
pub fn train_ranker(
    inputs: &CtrInputs,
    sids: CtrSids<'_>,
    config: &RankerConfig,
    context: Context<'_>,
) -> Result<(Ranker, Outcome)> {
    let mut features = inputs.features.clone();
    if let Some(sids) = sids.user {
        features = features.with_user_sids(sids.clone())?;
    }
    if let Some(sids) = sids.item {
        features = features.with_item_sids(sids.clone())?;
    }
    if let Some(bag) = sids.item_bag {
        let bags = features.item_bags().iter().chain([bag]).cloned().collect();
        features = features.with_item_bags(bags)?;
    }
    let Context { device, seed, store, progress, cancel } = context;
    let (train, validation) = (&inputs.train, &inputs.validation);
    let (ranker, report) =
        Ranker::train(device, &features, train, validation, config, seed, store, progress, cancel)?;
    let started = Instant::now();
    let logits = ranker.predict(&features, &inputs.test, progress, cancel)?;
    let mut outcome = measure(inputs, &logits)?;
    outcome.seconds.evaluate = started.elapsed().as_secs_f64();
    outcome.set_training(report);
    Ok((ranker, outcome))
}

/// The metrics of the test impressions' logits.
fn measure(inputs: &CtrInputs, logits: &[f32]) -> Result<Outcome> {
    let test = &inputs.test;
    let labels = test.labels();
    let by_user = binary::group_aucs(test.users(), logits, labels);
    let calibration = binary::calibration(logits, labels, CALIBRATION_BINS)?;
    let mut outcome = Outcome::default();
    outcome.set("auc", binary::auc(logits, labels));
    outcome.set("uauc", binary::uauc(&by_user));
    outcome.set("gauc", binary::gauc(&by_user));
    outcome.set("logloss", binary::log_loss(logits, labels));
    outcome.set("ece", calibration.ece);
    outcome.set("calibration", calibration.ratio);
    for slice in Slice::ALL {
        let inside = inputs.in_slice(slice);
        let rows: Vec<usize> = (0..inside.len()).filter(|&row| inside[row]).collect();
        let own_logits: Vec<f32> = rows.iter().map(|&row| logits[row]).collect();
        let own_labels: Vec<bool> = rows.iter().map(|&row| labels[row]).collect();
        let name = slice.name();
        outcome.set(format!("rows/{name}"), rows.len() as f64);
        outcome.set(format!("auc/{name}"), binary::auc(&own_logits, &own_labels));
        let loss = (!rows.is_empty()).then(|| binary::log_loss(&own_logits, &own_labels));
        outcome.set(format!("logloss/{name}"), loss);
    }
    outcome.per_user = per_user(test.users(), logits, labels, &by_user);
    Ok(outcome)
}

/// Each test user's share in AUC, UAUC and GAUC. Nobody has one where a label is missing.
fn per_user(users: &[u32], logits: &[f32], labels: &[bool], by_user: &[GroupAuc]) -> PerUser {
    let pooled = binary::auc_by_group(users, logits, labels).unwrap_or_default();
    let own = |user: u32| {
        let found = by_user.binary_search_by_key(&user, |own| own.group).ok();
        found.map(|at| &by_user[at])
    };
    let column = |value: fn(&GroupAuc) -> f64| -> Vec<f64> {
        pooled.iter().map(|&(user, _)| own(user).map_or(0.0, value)).collect()
    };
    let columns = [
        (POOLED_AUC, pooled.iter().map(|&(_, value)| value).collect()),
        (USER_AUC, column(|own| own.auc)),
        (BOTH_LABELS, column(|_| 1.0)),
        (ROWS, column(|own| own.rows as f64)),
    ];
    PerUser {
        users: pooled.iter().map(|&(user, _)| user).collect(),
        columns: columns.map(|(name, values)| (name.to_owned(), values)).into(),
    }
}
