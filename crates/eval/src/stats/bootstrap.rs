//! Paired bootstrap over users and seeds between two methods.

use das_core::streams::stream;
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The difference a − b of two methods' means over the same users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// a − b over all users and seeds.
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
    /// Seeds of a and of b. This and what follows is not in files of earlier versions, whose
    /// bootstrap was over users alone.
    #[serde(default)]
    pub seeds: [usize; 2],
    /// Standard deviation of the resampled differences.
    #[serde(default)]
    pub deviation: f64,
    /// The same relative to b; none where b is not above 0 in every resample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<Relative>,
}

/// The relative difference (a − b)/b.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relative {
    /// Over all users and seeds.
    pub difference: f64,
    /// 2.5 % percentile of the resampled ones.
    pub low: f64,
    /// 97.5 % percentile.
    pub high: f64,
}

/// One method's values: a list a seed, of one value a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// The method. It names the stream that its seeds are drawn from.
    pub name: String,
    /// One list a seed, the repeats of a seed averaged beforehand.
    pub seeds: Vec<Vec<f64>>,
}

impl Columns {
    /// The mean over users under each seed.
    fn means(&self, weights: &[f64]) -> Vec<f64> {
        let total: f64 = weights.iter().sum();
        let mean = |values: &Vec<f64>| {
            weights.iter().zip(values).map(|(weight, value)| weight * value).sum::<f64>() / total
        };
        self.seeds.iter().map(mean).collect()
    }
}

/// Methods that were measured on the same users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Each user's weight in a mean, 1 for a plain one.
    pub weights: Vec<f64>,
    /// The methods.
    pub methods: Vec<Columns>,
}

/// What the resamples say of two methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampled {
    /// The means of a and b over all users and seeds.
    pub means: [f64; 2],
    /// Users.
    pub users: usize,
    /// Seeds of a and of b.
    pub seeds: [usize; 2],
    /// a − b of each resample, ascending.
    differences: Vec<f64>,
    /// (a − b)/b of each, ascending, where b is above 0 in all of them.
    relative: Option<Vec<f64>>,
}

/// Whether a relative difference is above a threshold, asked one-sided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Above {
    /// The 95 % interval of the relative difference reaches from here to +∞.
    pub low: f64,
    /// The share of resamples at or below the threshold, with one added to both counts.
    pub p: f64,
}

/// Resamples users and, of each method by itself, seeds; one result a pair of methods, which are
/// named by their place. None without users or weight.
///
/// Users are drawn with replacement (Efron & Tibshirani 1993, chapters 13 and 16), the same for
/// all methods: both methods of a pair keep each user's values together, so what users have in
/// common cancels. Of a method's n seeds, n − 1 are drawn with replacement, which makes the
/// variance of a mean over few of them unbiased (Rao & Wu 1988, "Resampling inference with complex
/// survey data"); the only seed of a method is always taken.
///
/// A resampled mean is that of the drawn users under all seeds, and what the drawn seeds change in
/// the mean over all users. The variance of a difference comes out as σ²/U + s²(1/n_a + 1/n_b) with
/// σ² of users and s² of seeds. What is peculiar to a user under a seed is counted twice, as it is in
/// both; drawing from rows and columns of one table would count it three times (Owen 2007, "The
/// pigeonhole bootstrap"). Intervals err on the wide side.
pub fn paired_bootstrap(
    of: &Panel,
    pairs: &[[usize; 2]],
    resamples: usize,
    seed: u64,
) -> Vec<Option<Resampled>> {
    let users = of.weights.len();
    let columns = || of.methods.iter().flat_map(|method| &method.seeds);
    assert!(columns().all(|values| values.len() == users), "a value for each user");
    if !of.weights.iter().any(|&weight| weight > 0.0) {
        return vec![None; pairs.len()];
    }
    // User by user, so that what a user adds to every mean stands side by side.
    let seed_means = |user: usize| {
        let mean = move |method: &Columns| {
            method.seeds.iter().map(|values| values[user]).sum::<f64>() / method.seeds.len() as f64
        };
        of.methods.iter().map(mean)
    };
    let rows: Vec<f64> = (0..users)
        .flat_map(|user| seed_means(user).map(move |mean| of.weights[user] * mean))
        .collect();
    let observed = column_means(&of.weights, &rows, &vec![1; users]);
    let of_seeds: Vec<Vec<f64>> = of.methods.iter().map(|m| m.means(&of.weights)).collect();
    let resampled: Vec<Vec<f64>> = (0..resamples as u64)
        .into_par_iter()
        .map(|resample| {
            let by_users = column_means(&of.weights, &rows, &drawn_users(users, resample, seed));
            let by_seeds = of.methods.iter().zip(&of_seeds).map(|(method, means)| {
                let times = drawn_seeds(method, resample, seed);
                let sum: f64 = means.iter().zip(&times).map(|(mean, &t)| mean * f64::from(t)).sum();
                sum / f64::from(times.iter().sum::<u32>())
            });
            let both = by_users.iter().zip(by_seeds).zip(&observed);
            both.map(|((users, seeds), mean)| users + seeds - mean).collect()
        })
        .collect();
    let result = |&[a, b]: &[usize; 2]| {
        let seeds = [a, b].map(|method| of.methods[method].seeds.len());
        let means = [observed[a], observed[b]];
        Some(Resampled::new(
            means,
            users,
            seeds,
            resampled.iter().map(|means| [means[a], means[b]]),
        ))
    };
    pairs.iter().map(result).collect()
}

/// How often each user is drawn.
fn drawn_users(users: usize, resample: u64, seed: u64) -> Vec<u32> {
    let mut rng = stream(seed, "eval/bootstrap", resample);
    let mut times = vec![0; users];
    (0..users).for_each(|_| times[rng.random_range(0..users)] += 1);
    times
}

/// How often each seed of a method is drawn. The stream is the method's own, so that what is said
/// of a pair does not depend on who else takes part.
fn drawn_seeds(method: &Columns, resample: u64, seed: u64) -> Vec<u32> {
    let seeds = method.seeds.len();
    if seeds < 2 {
        return vec![1; seeds];
    }
    let mut rng = stream(seed, &format!("eval/bootstrap/seeds {}", method.name), resample);
    let mut times = vec![0; seeds];
    (1..seeds).for_each(|_| times[rng.random_range(0..seeds)] += 1);
    times
}

/// The mean of every column over users who each stand `times` in it; 0 without weight.
fn column_means(weights: &[f64], rows: &[f64], times: &[u32]) -> Vec<f64> {
    let columns = rows.len() / weights.len();
    let (mut sums, mut total) = (vec![0.0; columns], 0.0);
    for (user, &times) in times.iter().enumerate().filter(|(_, times)| **times > 0) {
        let times = f64::from(times);
        total += times * weights[user];
        let values = &rows[user * columns..(user + 1) * columns];
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += times * value);
    }
    sums.iter_mut().for_each(|sum| *sum = if total > 0.0 { *sum / total } else { 0.0 });
    sums
}

impl Resampled {
    fn new(
        means: [f64; 2],
        users: usize,
        seeds: [usize; 2],
        resamples: impl Iterator<Item = [f64; 2]> + Clone,
    ) -> Resampled {
        let sorted = |mut values: Vec<f64>| {
            values.sort_unstable_by(f64::total_cmp);
            values
        };
        let differences = sorted(resamples.clone().map(|[a, b]| a - b).collect());
        let above = means[1] > 0.0 && resamples.clone().all(|[_, b]| b > 0.0);
        let relative = above.then(|| sorted(resamples.map(|[a, b]| (a - b) / b).collect()));
        Resampled { means, users, seeds, differences, relative }
    }

    /// Difference, interval and p.
    pub fn difference(&self) -> PairedDifference {
        let difference = self.means[0] - self.means[1];
        let relative = self.relative.as_ref().map(|found| Relative {
            difference: difference / self.means[1],
            low: percentile(found, 0.025),
            high: percentile(found, 0.975),
        });
        PairedDifference {
            difference,
            low: percentile(&self.differences, 0.025),
            high: percentile(&self.differences, 0.975),
            p: two_sided(&self.differences),
            users: self.users,
            seeds: self.seeds,
            deviation: deviation(&self.differences),
            relative,
        }
    }

    /// Whether (a − b)/b is above `threshold`; none where b is not above 0.
    pub fn relative_above(&self, threshold: f64) -> Option<Above> {
        let found = self.relative.as_ref()?;
        let below = found.partition_point(|&difference| difference <= threshold);
        let p = (below + 1) as f64 / (found.len() + 1) as f64;
        Some(Above { low: percentile(found, 0.05), p })
    }
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

/// Standard deviation, with one less than the number of values in the denominator.
fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}
