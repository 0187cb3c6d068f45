//! Methods against each other, user by user.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::records::{PerUser, Run, Task};
use crate::samples::{Runs, Sample, common, resample, user_metrics};
use crate::stats::PairedDifference;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// One line of `pairs.jsonl`: metric of `a` minus metric of `b`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The task.
    pub task: Task,
    /// Its variant.
    pub variant: String,
    /// The metric.
    pub metric: String,
    /// One method.
    pub a: String,
    /// The other.
    pub b: String,
    /// Difference, interval, p and what stands behind them.
    #[serde(flatten)]
    pub difference: PairedDifference,
}

/// The bootstrap over users and seeds of every metric that is a mean over users, between every two
/// methods of the same task and variant. The repeats of a seed are averaged first. Users that a
/// method has no value for are left out of its pairs.
pub fn pairs(runs: &[(Run, PerUser)], seed: u64) -> Vec<Pair> {
    let mut groups: BTreeMap<(Task, &str), BTreeMap<&str, Runs<'_>>> = BTreeMap::new();
    for (run, per_user) in runs {
        let group = groups.entry((run.task, &run.variant)).or_default();
        group.entry(&run.method).or_default().push((run, per_user));
    }
    let mut found = Vec::new();
    for ((task, variant), methods) in groups {
        for metric in user_metrics(task) {
            let samples: Vec<(&str, Sample)> = methods
                .iter()
                .filter_map(|(&name, runs)| Some((name, Sample::of(runs, metric)?)))
                .collect();
            for (a, b, difference) in compare(&samples, seed) {
                found.push(Pair {
                    task,
                    variant: variant.to_owned(),
                    metric: metric.name.to_owned(),
                    a: a.to_owned(),
                    b: b.to_owned(),
                    difference,
                });
            }
        }
    }
    found
}

/// Every two methods over the users of both. Pairs over the same users share their resamples.
fn compare<'a>(
    samples: &[(&'a str, Sample)],
    seed: u64,
) -> Vec<(&'a str, &'a str, PairedDifference)> {
    let mut groups: BTreeMap<Vec<u32>, Vec<[usize; 2]>> = BTreeMap::new();
    for (a, (_, left)) in samples.iter().enumerate() {
        for (b, (_, right)) in samples.iter().enumerate().skip(a + 1) {
            groups.entry(common(&left.users, &right.users)).or_default().push([a, b]);
        }
    }
    let mut found = Vec::new();
    for (users, pairs) in groups {
        // A method with users of its own is in no group of the others.
        let inside: BTreeSet<usize> = pairs.iter().flatten().copied().collect();
        let inside: Vec<usize> = inside.into_iter().collect();
        let own: Vec<(&str, &Sample)> =
            inside.iter().map(|&at| (samples[at].0, &samples[at].1)).collect();
        let place = |at: usize| inside.partition_point(|&other| other < at);
        let places: Vec<[usize; 2]> = pairs.iter().map(|pair| pair.map(place)).collect();
        for ([a, b], resampled) in
            places.iter().zip(resample(&own, &places, &users, RESAMPLES, seed))
        {
            found.extend(resampled.map(|found| (own[*a].0, own[*b].0, found.difference())));
        }
    }
    found.sort_by_key(|&(a, b, _)| (a, b));
    found
}
