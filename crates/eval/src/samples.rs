//! Figures of users as samples of a metric: one column a seed, all over the same users.

use std::collections::BTreeMap;

use crate::records::{PerUser, Run, Task};
use crate::stats::{Columns, Panel, Resampled, paired_bootstrap};

/// A metric that is a mean over users.
#[derive(Debug)]
pub(crate) struct UserMetric {
    /// Its name in records.
    pub(crate) name: &'static str,
    /// The column with each user's value.
    column: &'static str,
    /// The column with each user's weight in the mean, where it is not a plain one.
    weight: Option<&'static str>,
}

/// The column with the number of a user's queries; 1 for all where it is absent.
pub(crate) const QUERIES: &str = "queries";
/// The column with the AUC over a user's own rows; 0 where they lack a label.
pub(crate) const USER_AUC: &str = "auc";
/// The column that is 1 for users with both labels and 0 for others; files of earlier versions,
/// which have the former alone, do without it.
pub(crate) const BOTH_LABELS: &str = "both";
/// The column with the number of a user's rows, 0 for users without both labels.
pub(crate) const ROWS: &str = "rows";
/// The column whose plain mean is the AUC over all rows; files of earlier versions have none.
pub(crate) const POOLED_AUC: &str = "pooled_auc";

const RETRIEVAL: [UserMetric; 2] = [
    UserMetric { name: "recall@10", column: "recall@10", weight: Some(QUERIES) },
    UserMetric { name: "ndcg@10", column: "ndcg@10", weight: Some(QUERIES) },
];

const CLICKS: [UserMetric; 3] = [
    UserMetric { name: "auc", column: POOLED_AUC, weight: None },
    UserMetric { name: "uauc", column: USER_AUC, weight: Some(BOTH_LABELS) },
    UserMetric { name: "gauc", column: USER_AUC, weight: Some(ROWS) },
];

/// The metrics of a task that are means over users.
pub(crate) fn user_metrics(task: Task) -> &'static [UserMetric] {
    match task {
        Task::Generative | Task::Cold => &RETRIEVAL,
        Task::Ctr => &CLICKS,
        Task::Intrinsic => &[],
    }
}

/// The runs of a method with each user's figures.
pub(crate) type Runs<'a> = Vec<(&'a Run, &'a PerUser)>;

/// One method's values of a metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The users that every run has a value for, ascending.
    pub(crate) users: Vec<u32>,
    weights: Vec<f64>,
    /// By seed, a value a user, the repeats of a seed averaged.
    seeds: Vec<Vec<f64>>,
}

/// A user with its value and its weight.
#[derive(Clone, Copy)]
struct Figure {
    user: u32,
    value: f64,
    weight: f64,
}

impl Sample {
    /// Of the runs that have the metric; `None` where no run has. Users without weight take no
    /// part.
    pub(crate) fn of(runs: &[(&Run, &PerUser)], metric: &UserMetric) -> Option<Sample> {
        let found = runs.iter().filter_map(|(run, own)| Some((run.seed, figures(own, metric)?)));
        let runs: Vec<(u64, Vec<Figure>)> = found.collect();
        let users_of = |run: &[Figure]| run.iter().map(|figure| figure.user).collect::<Vec<_>>();
        let mut users = users_of(&runs.first()?.1);
        for (_, run) in &runs[1..] {
            users = common(&users, &users_of(run));
        }
        let mut seeds: BTreeMap<u64, Vec<Vec<Figure>>> = BTreeMap::new();
        for (seed, mut run) in runs {
            run.retain(|figure| users.binary_search(&figure.user).is_ok());
            seeds.entry(seed).or_default().push(run);
        }
        // The same in every run: it counts the user's test rows.
        let weights = seeds.values().next()?[0].iter().map(|figure| figure.weight).collect();
        let seeds = seeds.values().map(|repeats| average(repeats, users.len())).collect();
        Some(Sample { users, weights, seeds })
    }

    /// The columns and weights of `users`, which are among its own.
    fn at(&self, users: &[u32]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let taken: Vec<bool> = self.users.iter().map(|u| users.binary_search(u).is_ok()).collect();
        let pick = |values: &Vec<f64>| -> Vec<f64> {
            values
                .iter()
                .zip(&taken)
                .filter(|(_, taken)| **taken)
                .map(|(value, _)| *value)
                .collect()
        };
        (self.seeds.iter().map(pick).collect(), pick(&self.weights))
    }
}

/// The users of a run that count; `None` where it does not have the metric.
fn figures(per_user: &PerUser, metric: &UserMetric) -> Option<Vec<Figure>> {
    let values = per_user.columns.get(metric.column)?;
    let weights = metric.weight.and_then(|weight| per_user.columns.get(weight));
    let figure = |(at, (&user, &value)): (usize, (&u32, &f64))| Figure {
        user,
        value,
        weight: weights.map_or(1.0, |weights| weights[at]),
    };
    let all = per_user.users.iter().zip(values).enumerate().map(figure);
    Some(all.filter(|figure| figure.value.is_finite() && figure.weight > 0.0).collect())
}

/// Each user's mean over runs of the same users.
fn average(runs: &[Vec<Figure>], users: usize) -> Vec<f64> {
    let sum = |user: usize| runs.iter().map(|run| run[user].value).sum::<f64>();
    (0..users).map(|user| sum(user) / runs.len() as f64).collect()
}

/// What both lists have; they are ascending.
pub(crate) fn common(a: &[u32], b: &[u32]) -> Vec<u32> {
    a.iter().filter(|user| b.binary_search(user).is_ok()).copied().collect()
}

/// The bootstrap of `pairs` of samples, by their place, over `users`, which all of them have. One
/// result a pair, none without users.
pub(crate) fn resample(
    samples: &[(&str, &Sample)],
    pairs: &[[usize; 2]],
    users: &[u32],
    resamples: usize,
    seed: u64,
) -> Vec<Option<Resampled>> {
    let mut panel = Panel::default();
    for (name, sample) in samples {
        let (seeds, weights) = sample.at(users);
        panel.methods.push(Columns { name: (*name).to_owned(), seeds });
        panel.weights = weights;
    }
    paired_bootstrap(&panel, pairs, resamples, seed)
}
