//! Methods against each other, user by user.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::records::{PerUser, Run, Task};
use crate::stats::{PairedDifference, Weighted, paired_bootstrap};

/// A metric that is a mean over users.
struct UserMetric {
    /// Its name in records.
    name: &'static str,
    /// The column with each user's value.
    column: &'static str,
    /// The column with each user's weight in the mean, where it is not a plain one.
    weight: Option<&'static str>,
}

/// The column with the number of a user's queries; 1 for all where it is absent.
pub(crate) const QUERIES: &str = "queries";

const RETRIEVAL: [UserMetric; 2] = [
    UserMetric { name: "recall@10", column: "recall@10", weight: Some(QUERIES) },
    UserMetric { name: "ndcg@10", column: "ndcg@10", weight: Some(QUERIES) },
];

const CLICKS: [UserMetric; 2] = [
    UserMetric { name: "uauc", column: "auc", weight: None },
    UserMetric { name: "gauc", column: "auc", weight: Some("rows") },
];

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
    /// Difference, interval, p and number of users.
    #[serde(flatten)]
    pub difference: PairedDifference,
}

/// The paired bootstrap of every metric that is a mean over users, between every two methods of
/// the same task and variant. A user's values are averaged over the seeds of a method first.
/// Users that a method has no value for are left out of its pairs.
pub fn pairs(runs: &[(Run, PerUser)], seed: u64) -> Vec<Pair> {
    let mut groups: BTreeMap<(Task, &str), BTreeMap<&str, Vec<&PerUser>>> = BTreeMap::new();
    for (run, per_user) in runs {
        let group = groups.entry((run.task, &run.variant)).or_default();
        group.entry(&run.method).or_default().push(per_user);
    }
    let mut found = Vec::new();
    for ((task, variant), methods) in groups {
        let metrics = match task {
            Task::Generative | Task::Cold => &RETRIEVAL[..],
            Task::Ctr => &CLICKS,
            Task::Intrinsic => &[],
        };
        for metric in metrics {
            let means: Vec<(&str, BTreeMap<u32, UserMean>)> =
                methods.iter().map(|(&name, seeds)| (name, over_seeds(seeds, metric))).collect();
            for (a, b, difference) in compare(&means, seed) {
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

/// A user's value, averaged over seeds, and its weight.
#[derive(Clone, Copy, Default)]
struct UserMean {
    sum: f64,
    weight: f64,
    seeds: f64,
}

impl UserMean {
    fn mean(&self) -> f64 {
        self.sum / self.seeds
    }
}

fn over_seeds(seeds: &[&PerUser], metric: &UserMetric) -> BTreeMap<u32, UserMean> {
    let mut means: BTreeMap<u32, UserMean> = BTreeMap::new();
    for per_user in seeds {
        let Some(values) = per_user.columns.get(metric.column) else { continue };
        let weights = metric.weight.and_then(|weight| per_user.columns.get(weight));
        for (at, (&user, &value)) in per_user.users.iter().zip(values).enumerate() {
            let mean = means.entry(user).or_default();
            mean.sum += value;
            mean.seeds += 1.0;
            // The same under every seed: it counts the user's test rows.
            mean.weight = weights.map_or(1.0, |weights| weights[at]);
        }
    }
    means
}

/// Every two methods over the users of both. Pairs over the same users share their resamples.
fn compare<'a>(
    means: &[(&'a str, BTreeMap<u32, UserMean>)],
    seed: u64,
) -> Vec<(&'a str, &'a str, PairedDifference)> {
    let mut groups: BTreeMap<Vec<u32>, (Vec<[&'a str; 2]>, Weighted)> = BTreeMap::new();
    for (at, (a, left)) in means.iter().enumerate() {
        for (b, right) in &means[at + 1..] {
            let both = left.iter().filter_map(|(&user, a)| Some((user, a, right.get(&user)?)));
            let both: Vec<(u32, &UserMean, &UserMean)> = both.collect();
            let users = both.iter().map(|(user, ..)| *user).collect();
            let weights = || both.iter().map(|(_, a, _)| a.weight).collect();
            let (names, group) = groups.entry(users).or_insert_with(|| {
                (Vec::new(), Weighted { weights: weights(), differences: Vec::new() })
            });
            names.push([a, b]);
            let difference = |(_, a, b): &(u32, &UserMean, &UserMean)| a.mean() - b.mean();
            group.differences.push(both.iter().map(difference).collect());
        }
    }
    let mut found: Vec<_> = groups
        .values()
        .flat_map(|(names, group)| names.iter().zip(paired_bootstrap(group, seed)))
        .filter_map(|(&[a, b], difference)| Some((a, b, difference?)))
        .collect();
    found.sort_by_key(|&(a, b, _)| (a, b));
    found
}
