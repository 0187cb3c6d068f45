//! t-SNE for a few thousand points.

use das_core::Result;
use das_core::progress::{Cancel, Progress};
use rayon::prelude::*;

/// Effective number of neighbours of a point.
const PERPLEXITY: f32 = 30.0;
/// Steps in which attraction is exaggerated, so that clusters find each other.
const EARLY: u64 = 120;
const EXAGGERATION: f32 = 12.0;
const STEPS: u64 = 500;
/// Standard deviation of the first coordinate at the start (Kobak and Berens 2019).
const START_DEVIATION: f32 = 1e-4;

/// Coordinates `[n, 2]` of the rows of `points` `[n, dim]`, dim ≥ 2, whose first two columns are
/// where the map starts (principal components: Kobak and Berens, *The art of using t-SNE*, 2019).
///
/// Van der Maaten and Hinton 2008, with attraction over 3 × perplexity nearest neighbours, exact
/// repulsion and the learning rate n/12 (Belkina et al. 2019). O(n²) a step. The result depends
/// neither on threads nor on chance.
pub fn tsne(
    points: &[f32],
    dim: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<[f32; 2]>> {
    let n = points.len() / dim;
    let affinities = Affinities::new(points, dim);
    let mut map = Map::new(points, dim);
    progress.begin("arranging the map of items", Some(STEPS));
    for step in 0..STEPS {
        cancel.check()?;
        let (exaggeration, momentum) = if step < EARLY { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        map.step(&affinities, exaggeration, momentum, (n as f32 / EXAGGERATION).max(10.0));
        progress.update(step + 1, "");
    }
    progress.end();
    Ok((0..n).map(|i| [map.x[i], map.y[i]]).collect())
}

/// Symmetric joint probabilities p_ij of neighbours, as rows of (j, p_ij).
struct Affinities(Vec<Vec<(u32, f32)>>);

impl Affinities {
    fn new(points: &[f32], dim: usize) -> Affinities {
        let n = points.len() / dim;
        let neighbours = ((3.0 * PERPLEXITY) as usize).min(n.saturating_sub(1));
        let conditional: Vec<Vec<(u32, f32)>> = (0..n)
            .into_par_iter()
            .map(|i| conditional(&nearest(points, dim, i, neighbours)))
            .collect();
        let mut joint: Vec<Vec<(u32, f32)>> = vec![Vec::new(); n];
        for (i, row) in conditional.iter().enumerate() {
            for &(j, p) in row {
                let half = p / (2.0 * n as f32);
                joint[i].push((j, half));
                joint[j as usize].push((i as u32, half));
            }
        }
        Affinities(joint)
    }
}

/// The rows nearest to row `i` with their squared distances, nearest first, ties by row.
fn nearest(points: &[f32], dim: usize, i: usize, count: usize) -> Vec<(u32, f32)> {
    let row = &points[i * dim..][..dim];
    let distance =
        |other: &[f32]| -> f32 { row.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum() };
    let mut all: Vec<(u32, f32)> = (0u32..)
        .zip(points.chunks_exact(dim).map(distance))
        .filter(|&(j, _)| j as usize != i)
        .collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all
}

/// p_{j|i} whose perplexity is [`PERPLEXITY`], by bisection of the precision.
fn conditional(neighbours: &[(u32, f32)]) -> Vec<(u32, f32)> {
    let nearest = neighbours.first().map_or(0.0, |&(_, distance)| distance);
    let target = PERPLEXITY.min(neighbours.len() as f32).ln();
    let weights = |beta: f32| -> Vec<f32> {
        neighbours.iter().map(|&(_, distance)| (-beta * (distance - nearest)).exp()).collect()
    };
    let (mut low, mut high, mut beta) = (0.0, f32::INFINITY, 1.0);
    for _ in 0..60 {
        let w = weights(beta);
        let sum: f32 = w.iter().sum();
        let mean: f32 = w.iter().zip(neighbours).map(|(w, n)| w * (n.1 - nearest)).sum::<f32>();
        let entropy = sum.ln() + beta * mean / sum;
        if entropy > target {
            low = beta;
            beta = if high.is_finite() { (beta + high) / 2.0 } else { (beta * 2.0).min(1e30) };
        } else {
            high = beta;
            beta = (beta + low) / 2.0;
        }
    }
    let w = weights(beta);
    let sum: f32 = w.iter().sum();
    neighbours.iter().zip(w).map(|(&(j, _), w)| (j, w / sum)).collect()
}

/// The points in the plane, their velocities and the gains of each coordinate.
struct Map {
    x: Vec<f32>,
    y: Vec<f32>,
    velocity: Vec<[f32; 2]>,
    gain: Vec<[f32; 2]>,
}

impl Map {
    fn new(points: &[f32], dim: usize) -> Map {
        let n = points.len() / dim;
        let column = |c: usize| points.chunks_exact(dim).map(move |row| row[c]);
        let variance = column(0).map(|x| x * x).sum::<f32>() / n.max(1) as f32;
        let scale = START_DEVIATION / variance.sqrt().max(1e-12);
        // Points that coincide would move together for ever: a spiral too small to see.
        let spiral = |i: usize, f: fn(f32) -> f32| START_DEVIATION * 1e-3 * f(i as f32 * 2.4);
        Map {
            x: column(0).enumerate().map(|(i, x)| x * scale + spiral(i, f32::cos)).collect(),
            y: column(1).enumerate().map(|(i, y)| y * scale + spiral(i, f32::sin)).collect(),
            velocity: vec![[0.0; 2]; n],
            gain: vec![[1.0; 2]; n],
        }
    }

    fn step(&mut self, affinities: &Affinities, exaggeration: f32, momentum: f32, rate: f32) {
        let repulsions: Vec<[f32; 3]> =
            (0..self.x.len()).into_par_iter().map(|i| self.repulsion(i)).collect();
        let z: f64 = repulsions.iter().map(|r| f64::from(r[2])).sum();
        let z = (z as f32).max(f32::MIN_POSITIVE);
        let gradients: Vec<[f32; 2]> = affinities
            .0
            .par_iter()
            .enumerate()
            .map(|(i, row)| {
                let attraction = self.attraction(i, row);
                [0, 1].map(|c| 4.0 * (exaggeration * attraction[c] - repulsions[i][c] / z))
            })
            .collect();
        for (i, gradient) in gradients.iter().enumerate() {
            let (velocity, gain) = (&mut self.velocity[i], &mut self.gain[i]);
            for c in 0..2 {
                let turned = (gradient[c] > 0.0) == (velocity[c] > 0.0);
                gain[c] = if turned { (gain[c] * 0.8).max(0.01) } else { gain[c] + 0.2 };
                velocity[c] = momentum * velocity[c] - rate * gain[c] * gradient[c];
            }
            self.x[i] += velocity[0];
            self.y[i] += velocity[1];
        }
    }

    /// Σ_j p_ij w_ij (y_i − y_j), w_ij = 1/(1 + ‖y_i − y_j‖²).
    fn attraction(&self, i: usize, row: &[(u32, f32)]) -> [f32; 2] {
        let mut sum = [0.0; 2];
        for &(j, p) in row {
            let (dx, dy) = (self.x[i] - self.x[j as usize], self.y[i] - self.y[j as usize]);
            let pull = p / (1.0 + dx * dx + dy * dy);
            sum[0] += pull * dx;
            sum[1] += pull * dy;
        }
        sum
    }

    /// Σ_j w_ij² (y_i − y_j) and Σ_{j≠i} w_ij. Sixteen running sums, so that it vectorises.
    fn repulsion(&self, i: usize) -> [f32; 3] {
        const LANES: usize = 16;
        let (xi, yi) = (self.x[i], self.y[i]);
        let mut sums = [[0.0f32; LANES]; 3];
        for (xs, ys) in self.x.chunks(LANES).zip(self.y.chunks(LANES)) {
            for (lane, (x, y)) in xs.iter().zip(ys).enumerate() {
                let (dx, dy) = (xi - x, yi - y);
                let w = 1.0 / (1.0 + dx * dx + dy * dy);
                sums[0][lane] += w * w * dx;
                sums[1][lane] += w * w * dy;
                sums[2][lane] += w;
            }
        }
        let [x, y, w] = sums.map(|lanes| lanes.iter().sum::<f32>());
        [x, y, w - 1.0]
    }
}

#[cfg(test)]
mod tests {
    use das_core::progress::Silent;
    use das_core::streams::stream;
    use rand::Rng;

    use super::*;

    #[test]
    fn clusters_stay_together_and_apart() {
        let mut rng = stream(3, "clusters", 0);
        let (clusters, each, dim) = (4, 60, 6);
        let points: Vec<f32> = (0..clusters * each)
            .flat_map(|row| {
                let cluster = row % clusters;
                let mut point = vec![0.0; dim];
                point[cluster] = 8.0;
                point.iter_mut().for_each(|x| *x += rng.random_range(-1.0..1.0));
                point
            })
            .collect();
        let map = tsne(&points, dim, &Silent, &Cancel::default()).unwrap();
        assert_eq!(map, tsne(&points, dim, &Silent, &Cancel::default()).unwrap());
        let distance = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let agreeing = (0..map.len())
            .filter(|&i| {
                let others = (0..map.len()).filter(|&j| j != i);
                let nearest = others
                    .min_by(|&a, &b| distance(map[i], map[a]).total_cmp(&distance(map[i], map[b])));
                nearest.unwrap() % clusters == i % clusters
            })
            .count();
        assert_eq!(agreeing, map.len());
    }

    #[test]
    fn perplexity_is_met() {
        let neighbours: Vec<(u32, f32)> = (0..90).map(|j| (j, 0.1 * j as f32)).collect();
        let p = conditional(&neighbours);
        let entropy: f32 = p.iter().map(|&(_, p)| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum();
        assert!((entropy.exp() - PERPLEXITY).abs() < 0.05, "{}", entropy.exp());
        assert!((p.iter().map(|&(_, p)| p).sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn few_and_equal_points_stay_finite() {
        for n in [0, 1, 2, 40] {
            let map = tsne(&vec![1.5; n * 2], 2, &Silent, &Cancel::default()).unwrap();
            assert!(map.iter().flatten().all(|x| x.is_finite()), "{n}: {map:?}");
        }
    }
}
