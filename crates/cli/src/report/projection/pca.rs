//! Principal components by orthogonal iteration.

use das_core::streams::stream;
use rand::Rng;
use rayon::prelude::*;

/// Rounds of orthogonal iteration: enough for a picture, where components of nearly equal
/// variance may mix.
const ROUNDS: usize = 24;

/// Scores `[n, k]` of the rows of `vectors` `[n, dim]` on their first k principal components,
/// k = min(`components`, `dim`), in descending order of variance.
///
/// Orthogonal iteration on the centred matrix (Golub and Van Loan, *Matrix Computations*, 8.2.4).
pub fn principal_components(vectors: &[f32], dim: usize, components: usize) -> (Vec<f32>, usize) {
    let k = components.min(dim);
    let centred = centre(vectors, dim);
    let mut rng = stream(0, "report/pca", 0);
    let mut basis: Vec<f32> = (0..k * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    orthonormalize(&mut basis, dim);
    for _ in 0..ROUNDS {
        let scores = project(&centred, dim, &basis);
        basis = back_project(&centred, dim, &scores, k);
        orthonormalize(&mut basis, dim);
    }
    (project(&centred, dim, &basis), k)
}

fn centre(vectors: &[f32], dim: usize) -> Vec<f32> {
    let rows = vectors.len() / dim;
    let mut mean = vec![0.0f64; dim];
    for row in vectors.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let mean: Vec<f32> = mean.iter().map(|sum| (sum / rows.max(1) as f64) as f32).collect();
    vectors.iter().enumerate().map(|(at, x)| x - mean[at % dim]).collect()
}

/// X Bᵀ, `[n, k]`.
fn project(rows: &[f32], dim: usize, basis: &[f32]) -> Vec<f32> {
    let scores_of = |row: &[f32]| -> Vec<f32> {
        basis.chunks_exact(dim).map(|direction| dot(row, direction)).collect()
    };
    rows.par_chunks_exact(dim).flat_map_iter(scores_of).collect()
}

/// Sᵀ X, `[k, dim]`: each direction is summed by itself, rows in order.
fn back_project(rows: &[f32], dim: usize, scores: &[f32], k: usize) -> Vec<f32> {
    let direction = |component: usize| -> Vec<f32> {
        let mut sum = vec![0.0f32; dim];
        for (row, scores) in rows.chunks_exact(dim).zip(scores.chunks_exact(k)) {
            let weight = scores[component];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
        }
        sum
    };
    (0..k).into_par_iter().flat_map_iter(direction).collect()
}

/// Modified Gram–Schmidt on rows; a row that depends on those before it becomes zero.
fn orthonormalize(basis: &mut [f32], dim: usize) {
    for at in 0..basis.len() / dim {
        let (before, rest) = basis.split_at_mut(at * dim);
        let row = &mut rest[..dim];
        let length = dot(row, row).sqrt();
        for other in before.chunks_exact(dim) {
            let along = dot(row, other);
            row.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
        }
        let norm = dot(row, row).sqrt();
        let keep = norm > 1e-5 * length && norm > 0.0;
        row.iter_mut().for_each(|x| *x = if keep { *x / norm } else { 0.0 });
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on two orthogonal directions with known spread, far from the origin.
    #[test]
    fn components_come_out_by_variance() {
        let dim = 5;
        let rows: Vec<f32> = (0..200)
            .flat_map(|row| {
                let (a, b) = ((row as f32).sin() * 9.0, (row as f32 * 0.7).cos() * 2.0);
                [40.0 + b * 0.6, 7.0 + a, -3.0 + b * 0.8, 1.0, 0.0]
            })
            .collect();
        let (scores, k) = principal_components(&rows, dim, 2);
        assert_eq!((scores.len(), k), (400, 2));
        let mean_a: f32 = (0..200).map(|row| (row as f32).sin() * 9.0).sum::<f32>() / 200.0;
        let mean_b: f32 = (0..200).map(|row| (row as f32 * 0.7).cos() * 2.0).sum::<f32>() / 200.0;
        for row in 0..200 {
            let a = (row as f32).sin() * 9.0 - mean_a;
            let b = (row as f32 * 0.7).cos() * 2.0 - mean_b;
            assert!((scores[2 * row].abs() - a.abs()).abs() < 0.1, "row {row}");
            assert!((scores[2 * row + 1].abs() - b.abs()).abs() < 0.1, "row {row}");
        }
    }

    #[test]
    fn degenerate_input_stays_finite() {
        for (rows, dim) in [(vec![3.0; 12], 3), (vec![1.0, 2.0], 2), (vec![0.5, 0.5], 1)] {
            let (scores, _) = principal_components(&rows, dim, 4);
            assert!(scores.iter().all(|x| x.is_finite()), "{scores:?}");
        }
    }
}
