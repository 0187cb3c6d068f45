//! k-means and residual k-means.

use rand::Rng;
use rayon::prelude::*;

use super::assign::assign;
use super::cpu::simd::{rough_squared_distance, squared_distance, vectorize};
use crate::row_groups::RowGroups;

/// Points for each centroid that seeding looks at; more are sampled down.
const SEED_POINTS_PER_CENTROID: usize = 32;
/// Points per task.
const ROWS: usize = 512;
/// Size of the jitter on copied centroids, relative to the spread of the points.
const JITTER: f32 = 1e-2;

/// The result of [`kmeans`].
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// `[k, d]`, row-major.
    pub centroids: Vec<f32>,
    /// The nearest centroid of each point.
    pub assignments: Vec<u32>,
    /// Sum of squared distances of the points to their centroids.
    pub inertia: f64,
}

/// The result of [`residual_kmeans`].
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualKMeans {
    /// One `[K_l, d]` codebook a level.
    pub codebooks: Vec<Vec<f32>>,
    /// `[n, L]`, row-major.
    pub codes: Vec<u32>,
    /// Sum of squared residuals after each level.
    pub inertia: Vec<f64>,
}

/// Clusters `points` `[n, d]` around `k` centroids: k-means++ seeding (Arthur & Vassilvitskii,
/// 2007) on a sample, then at most `iters` Lloyd steps. A cluster that runs empty takes the point
/// farthest from its centroid. Where there are fewer distinct points than centroids, the rest
/// are copies of points with a little jitter.
///
/// # Panics
/// If there are no points, `k` or `d` is 0, or the length is no multiple of `d`.
pub fn kmeans(points: &[f32], d: usize, k: usize, iters: usize, rng: &mut impl Rng) -> KMeans {
    assert!(d > 0 && k > 0 && !points.is_empty(), "points of width {d} for {k} centroids");
    assert_eq!(points.len() % d, 0, "points of width {d}");
    let mut centroids = seed(points, d, k, rng);
    let mut assignments = assign(points, &centroids, d).codes;
    for _ in 0..iters {
        update(points, d, &assignments, &mut centroids);
        let next = assign(points, &centroids, d).codes;
        if next == assignments {
            break;
        }
        assignments = next;
    }
    let inertia = distances(points, d, &assignments, &centroids).into_iter().map(f64::from).sum();
    KMeans { centroids, assignments, inertia }
}

/// Clusters `points` `[n, d]`, then what each level leaves over, with `sizes[l]` centroids on
/// level `l`.
///
/// # Panics
/// As [`kmeans`].
pub fn residual_kmeans(
    points: &[f32],
    d: usize,
    sizes: &[usize],
    iters: usize,
    rng: &mut impl Rng,
) -> ResidualKMeans {
    let mut residual = points.to_vec();
    let mut result = ResidualKMeans {
        codebooks: Vec::with_capacity(sizes.len()),
        codes: vec![0; points.len() / d.max(1) * sizes.len()],
        inertia: Vec::with_capacity(sizes.len()),
    };
    for (level, &k) in sizes.iter().enumerate() {
        let KMeans { centroids, assignments, inertia } = kmeans(&residual, d, k, iters, rng);
        subtract(&mut residual, d, &assignments, &centroids);
        result.set_level(level, sizes.len(), &assignments);
        result.codebooks.push(centroids);
        result.inertia.push(inertia);
    }
    result
}

/// Fits the codebooks of a residual k-means to each other (enhanced residual vector quantization,
/// Ai et al., 2014): each round moves the codes of one level after the other to the mean of what
/// all other levels leave over, then chooses codes anew, greedily from the coarse level on. After
/// `rounds` rounds the codebooks of the least total error are returned; no error rises above that
/// of the given ones.
///
/// # Panics
/// If there are no codebooks or points, or a length is no multiple of `d`.
pub fn refine_residual_kmeans(
    points: &[f32],
    d: usize,
    codebooks: Vec<Vec<f32>>,
    rounds: usize,
) -> ResidualKMeans {
    let (mut present, mut residual) = encode(points, d, codebooks);
    let mut best = present.clone();
    for _ in 0..rounds {
        let levels = present.codebooks.len();
        for (level, codebook) in present.codebooks.iter_mut().enumerate() {
            let codes: Vec<u32> =
                present.codes.iter().skip(level).step_by(levels).copied().collect();
            // The mean of `code + residual` over its points is the code plus their mean residual.
            let mut shift = vec![0.0; codebook.len()];
            means(&residual, d, &codes, &mut shift);
            subtract(&mut residual, d, &codes, &shift);
            codebook.iter_mut().zip(&shift).for_each(|(code, shift)| *code += shift);
        }
        (present, residual) = encode(points, d, present.codebooks);
        if present.inertia.last() < best.inertia.last() {
            best.clone_from(&present);
        }
    }
    best
}

/// Chooses codes level by level; returns them with what is left of the points.
fn encode(points: &[f32], d: usize, codebooks: Vec<Vec<f32>>) -> (ResidualKMeans, Vec<f32>) {
    let (mut residual, levels) = (points.to_vec(), codebooks.len());
    let codes = vec![0; points.len() / d * levels];
    let mut result = ResidualKMeans { codebooks: Vec::new(), codes, inertia: Vec::new() };
    for (level, codebook) in codebooks.into_iter().enumerate() {
        let chosen = assign(&residual, &codebook, d).codes;
        let errors = distances(&residual, d, &chosen, &codebook);
        result.inertia.push(errors.into_iter().map(f64::from).sum());
        subtract(&mut residual, d, &chosen, &codebook);
        result.set_level(level, levels, &chosen);
        result.codebooks.push(codebook);
    }
    (result, residual)
}

impl ResidualKMeans {
    fn set_level(&mut self, level: usize, levels: usize, chosen: &[u32]) {
        let codes = self.codes.iter_mut().skip(level).step_by(levels);
        codes.zip(chosen).for_each(|(code, &chosen)| *code = chosen);
    }
}

/// Takes its code from each point.
fn subtract(points: &mut [f32], d: usize, codes: &[u32], codebook: &[f32]) {
    points.par_chunks_mut(d).zip(codes).for_each(|(x, &code)| {
        let e = &codebook[code as usize * d..][..d];
        x.iter_mut().zip(e).for_each(|(x, e)| *x -= e);
    });
}

/// k-means++: each next centroid is a point drawn in proportion to its squared distance to the
/// nearest one so far.
fn seed(points: &[f32], d: usize, k: usize, rng: &mut impl Rng) -> Vec<f32> {
    let sample = sample(points, d, k.saturating_mul(SEED_POINTS_PER_CENTROID), rng);
    let n = sample.len() / d;
    let mut centroids = Vec::with_capacity(k * d);
    centroids.extend_from_slice(&sample[rng.random_range(0..n) * d..][..d]);
    let mut nearest = vec![f32::INFINITY; n];
    let mut spread = None;
    for _ in 1..k {
        let last = &centroids[centroids.len() - d..];
        nearest.par_chunks_mut(ROWS).zip(sample.par_chunks(ROWS * d)).for_each(|(nearest, x)| {
            vectorize(
                #[inline(always)]
                || {
                    for (nearest, x) in nearest.iter_mut().zip(x.chunks_exact(d)) {
                        *nearest = nearest.min(rough_squared_distance(x, last));
                    }
                },
            );
        });
        let total: f64 = nearest.iter().copied().map(f64::from).sum();
        if total > 0.0 {
            let point = draw(&nearest, rng.random::<f64>() * total);
            centroids.extend_from_slice(&sample[point * d..][..d]);
        } else {
            let start = rng.random_range(0..n) * d;
            let spread = *spread.get_or_insert_with(|| self::spread(&sample, d));
            let jitter = |x: &f32| x + spread * JITTER * (rng.random::<f32>() - 0.5);
            centroids.extend(sample[start..start + d].iter().map(jitter));
        }
    }
    centroids
}

/// The point at which the running sum of the weights passes `target`.
fn draw(weights: &[f32], mut target: f64) -> usize {
    let mut last = 0;
    for (point, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        last = point;
        target -= f64::from(weight);
        if target < 0.0 {
            break;
        }
    }
    last
}

/// At most `count` of the points, without replacement.
fn sample(points: &[f32], d: usize, count: usize, rng: &mut impl Rng) -> Vec<f32> {
    let n = points.len() / d;
    if n <= count {
        return points.to_vec();
    }
    let mut chosen = rand::seq::index::sample(rng, n, count).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().flat_map(|row| &points[row * d..][..d]).copied().collect()
}

/// Root of the mean variance over dimensions; 1 for points that are all the same.
fn spread(points: &[f32], d: usize) -> f32 {
    let n = (points.len() / d) as f64;
    let variance = |dim: usize| {
        let column = || points.iter().skip(dim).step_by(d).map(|&x| f64::from(x));
        let mean = column().sum::<f64>() / n;
        column().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n
    };
    let mean_variance = (0..d).map(variance).sum::<f64>() / d as f64;
    if mean_variance > 0.0 { mean_variance.sqrt() as f32 } else { 1.0 }
}

/// Moves each centroid to the mean of its points; an empty cluster takes the farthest point of a
/// cluster that has others, as long as one lies off its centroid.
fn update(points: &[f32], d: usize, assignments: &[u32], centroids: &mut [f32]) {
    let k = centroids.len() / d;
    let mut sizes = vec![0u32; k];
    assignments.iter().for_each(|&code| sizes[code as usize] += 1);
    let mut assignments = assignments.to_vec();
    let mut empty = (0..k).filter(|&code| sizes[code] == 0).collect::<Vec<_>>().into_iter();
    if empty.len() > 0 {
        let distances = distances(points, d, &assignments, centroids);
        let mut by_distance: Vec<usize> = (0..distances.len()).collect();
        by_distance.sort_by(|&p, &q| distances[q].total_cmp(&distances[p]).then(p.cmp(&q)));
        for point in by_distance.into_iter().take_while(|&point| distances[point] > 0.0) {
            let donor = &mut sizes[assignments[point] as usize];
            if *donor > 1 {
                let Some(code) = empty.next() else { break };
                *donor -= 1;
                assignments[point] = code as u32;
            }
        }
    }
    means(points, d, &assignments, centroids);
}

/// The mean of each group, in double precision; centroids of no points stay.
fn means(points: &[f32], d: usize, assignments: &[u32], centroids: &mut [f32]) {
    let groups = RowGroups::new(assignments);
    let means: Vec<Vec<f32>> = (0..groups.len())
        .into_par_iter()
        .map(|group| {
            let members = groups.members(group);
            let mut sum = vec![0.0f64; d];
            vectorize(
                #[inline(always)]
                || {
                    for &member in members {
                        let x = &points[member as usize * d..][..d];
                        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(*x));
                    }
                },
            );
            sum.into_iter().map(|sum| (sum / members.len() as f64) as f32).collect()
        })
        .collect();
    for (&code, mean) in groups.targets().iter().zip(means) {
        centroids[code as usize * d..][..d].copy_from_slice(&mean);
    }
}

/// Squared distances of the points to their centroids, free of the cancellation that the fused
/// assignment has.
fn distances(points: &[f32], d: usize, assignments: &[u32], centroids: &[f32]) -> Vec<f32> {
    let blocks = points.par_chunks(ROWS * d).zip(assignments.par_chunks(ROWS));
    let of_block = |(x, codes): (&[f32], &[u32])| -> Vec<f32> {
        vectorize(
            #[inline(always)]
            || {
                let rows = x.chunks_exact(d).zip(codes);
                rows.map(|(x, &code)| {
                    squared_distance(x, &centroids[code as usize * d..][..d]) as f32
                })
                .collect()
            },
        )
    };
    blocks.map(of_block).collect::<Vec<_>>().concat()
}
