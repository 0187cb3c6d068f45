//! Paired bootstrap over users between two methods.

use das_core::streams::stream;
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Resamples of the bootstrap.
pub const RESAMPLES: usize = 2000;

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

/// Resamples users with replacement (Efron & Tibshirani 1993, chapters 13 and 16); both methods
/// keep each user's values together, so what users have in common cancels.
///
/// `differences` are each user's a − b, seeds averaged beforehand; `weights` its weight in the
/// mean, 1 for a plain one. `None` without users or weight.
pub fn paired_bootstrap(
    differences: &[f64],
    weights: &[f64],
    seed: u64,
) -> Option<PairedDifference> {
    assert_eq!(differences.len(), weights.len(), "a weight for each difference");
    let users = differences.len();
    let mean = |rows: &mut dyn Iterator<Item = usize>| {
        let (sum, weight) = rows.fold((0.0, 0.0), |(sum, weight), user| {
            (sum + weights[user] * differences[user], weight + weights[user])
        });
        if weight > 0.0 { sum / weight } else { 0.0 }
    };
    if !weights.iter().any(|&weight| weight > 0.0) {
        return None;
    }
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .into_par_iter()
        .map(|resample| {
            let mut rng = stream(seed, "eval/bootstrap", resample as u64);
            mean(&mut (0..users).map(|_| rng.random_range(0..users)))
        })
        .collect();
    resampled.sort_unstable_by(f64::total_cmp);
    let at_most = resampled.partition_point(|&difference| difference <= 0.0);
    let at_least = RESAMPLES - resampled.partition_point(|&difference| difference < 0.0);
    let side = (at_most.min(at_least) + 1) as f64 / (RESAMPLES + 1) as f64;
    Some(PairedDifference {
        difference: mean(&mut (0..users)),
        low: percentile(&resampled, 0.025),
        high: percentile(&resampled, 0.975),
        p: (2.0 * side).min(1.0),
        users,
    })
}

/// The percentile of ascending values, interpolated linearly between the two nearest.
fn percentile(ascending: &[f64], share: f64) -> f64 {
    let place = share * (ascending.len() - 1) as f64;
    let (below, above) = (ascending[place.floor() as usize], ascending[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
