//! Truncated singular value decomposition of a sparse matrix by random projection.

use rand::Rng;
use rand_distr::StandardNormal;

use super::eigen::{Eigen, symmetric_eigen};
use super::orthonormal::{orthonormalize, precondition};
use super::sparse::Csr;
use super::tall::{gram, times_small};
use crate::Result;

/// Directions with a singular value below this share of the largest are rounding of f32.
const RANK_TOLERANCE: f64 = 1e-5;

/// How exact, and how wide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SvdOptions {
    /// Singular triplets wanted.
    pub(crate) rank: usize,
    /// Further columns of the sketch, for precision.
    pub(crate) oversample: usize,
    /// Applications of A·Aᵀ to the sketch, at least 1.
    pub(crate) power_iterations: usize,
}

/// The leading right singular vectors of a matrix.
pub(crate) struct Svd {
    /// Descending, all above zero; as many as the numerical rank allows.
    pub(crate) singular_values: Vec<f64>,
    /// V, [cols, number of singular values], orthonormal columns.
    pub(crate) v: Vec<f32>,
}

/// The truncated SVD of `a` by randomized subspace iteration (Halko, Martinsson, Tropp 2011,
/// algorithm 4.4, and stage B by the eigenvectors of the small Gram matrix).
///
/// The Gaussian test matrix is drawn on the side of the rows, so that it and every basis are
/// [rows, rank + oversample]: the first application of A·Aᵀ makes it the sketch of half a power
/// iteration more than one drawn on the side of the columns. `step` is called after each product
/// and may stop the work by an error.
pub(crate) fn truncated_svd(
    a: &Csr,
    options: SvdOptions,
    rng: &mut impl Rng,
    mut step: impl FnMut(u64) -> Result<()>,
) -> Result<Svd> {
    let transposed = a.transposed();
    let smaller = a.rows().min(a.cols());
    let width = (options.rank + options.oversample).min(smaller);
    let mut basis: Vec<f32> = rng.sample_iter(StandardNormal).take(a.rows() * width).collect();
    for iteration in 0..options.power_iterations {
        let back = transposed.times(&basis, width);
        step(2 * iteration as u64 + 1)?;
        let sketch = a.times(&back, width);
        let last = iteration + 1 == options.power_iterations;
        basis = if last { orthonormalize(&sketch, width) } else { precondition(&sketch, width) };
        step(2 * iteration as u64 + 2)?;
    }
    // With Q the basis and Aᵀ·Q = V Σ Wᵀ, A ≈ Q·Qᵀ·A = (Q W) Σ Vᵀ; W and Σ² are the
    // eigenvectors and eigenvalues of (AᵀQ)ᵀ·(AᵀQ).
    let projected = transposed.times(&basis, width);
    let eigen = symmetric_eigen(gram(&projected, width), width)?;
    step(2 * options.power_iterations as u64 + 1)?;
    Ok(right_vectors(&projected, width, &eigen, options.rank))
}

/// V = (AᵀQ)·W·Σ⁻¹ for the numerically nonzero singular values, at most `rank`.
fn right_vectors(projected: &[f32], width: usize, eigen: &Eigen, rank: usize) -> Svd {
    let sigma = |square: &f64| square.max(0.0).sqrt();
    let least = RANK_TOLERANCE * eigen.values.first().map_or(0.0, sigma);
    let singular_values: Vec<f64> =
        eigen.values.iter().map(sigma).take(rank).take_while(|&s| s > least).collect();
    let kept = singular_values.len();
    let mut turn = vec![0.0; width * kept];
    for (j, (vector, s)) in eigen.vectors.chunks_exact(width).zip(&singular_values).enumerate() {
        for (i, x) in vector.iter().enumerate() {
            turn[i * kept + j] = x / s;
        }
    }
    let v = times_small(projected, width, &turn, kept);
    Svd { singular_values, v }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// One-sided Jacobi (Hestenes 1958) on a dense matrix: singular values, descending, and the
    /// right singular vectors as rows. Slow and independent of everything above.
    fn jacobi_svd(a: &Csr) -> (Vec<f64>, Vec<Vec<f64>>) {
        let (m, n) = (a.rows(), a.cols());
        // Column j of A·V, and column j of V, beside each other.
        let mut columns: Vec<(Vec<f64>, Vec<f64>)> = (0..n)
            .map(|j| (vec![0.0; m], (0..n).map(|i| f64::from(u8::from(i == j))).collect()))
            .collect();
        for row in 0..m {
            for (column, value) in a.row(row) {
                columns[column as usize].0[row] = f64::from(value);
            }
        }
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        for _ in 0..30 {
            for i in 0..n {
                for j in i + 1..n {
                    let (left, right) = columns.split_at_mut(j);
                    let (p, q) = (&mut left[i], &mut right[0]);
                    let angle =
                        0.5 * (2.0 * dot(&p.0, &q.0)).atan2(dot(&p.0, &p.0) - dot(&q.0, &q.0));
                    let (s, c) = angle.sin_cos();
                    let turn = |x: &mut [f64], y: &mut [f64]| {
                        for (x, y) in x.iter_mut().zip(y) {
                            (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
                        }
                    };
                    turn(&mut p.0, &mut q.0);
                    turn(&mut p.1, &mut q.1);
                }
            }
        }
        columns.sort_by(|p, q| dot(&q.0, &q.0).total_cmp(&dot(&p.0, &p.0)));
        let values = columns.iter().map(|(av, _)| dot(av, av).sqrt()).collect();
        (values, columns.into_iter().map(|(_, v)| v).collect())
    }

    /// A sparse matrix whose spectrum falls off, as that of texts does.
    fn matrix(rows: usize, cols: usize, seed: u64) -> Csr {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows: Vec<Vec<(u32, f32)>> = (0..rows)
            .map(|_| {
                let entries = (0..cols as u32).map(|c| (c, 3.0 / (1.0 + c as f32)));
                let kept = entries.filter(|_| rng.random_bool(0.5)).collect::<Vec<_>>();
                kept.into_iter().map(|(c, x)| (c, x * rng.random_range(0.2..1.0))).collect()
            })
            .collect();
        Csr::from_rows(cols, &rows)
    }

    fn options(rank: usize) -> SvdOptions {
        SvdOptions { rank, oversample: 10, power_iterations: 4 }
    }

    #[test]
    fn values_and_space_agree_with_dense_jacobi() {
        for (rows, cols) in [(80, 40), (30, 50)] {
            let a = matrix(rows, cols, 5);
            let rank = 8;
            let mut rng = ChaCha8Rng::seed_from_u64(9);
            let svd = truncated_svd(&a, options(rank), &mut rng, |_| Ok(())).unwrap();
            let (values, vectors) = jacobi_svd(&a);
            for (found, expected) in svd.singular_values.iter().zip(&values) {
                assert!((found - expected).abs() < 1e-3 * expected, "{found} {expected}");
            }
            // Every found direction lies in the space of the leading true ones.
            for j in 0..rank {
                let along = |v: &Vec<f64>| -> f64 {
                    v.iter().enumerate().map(|(i, x)| x * f64::from(svd.v[i * rank + j])).sum()
                };
                let inside: f64 = vectors[..rank].iter().map(along).map(|x| x * x).sum();
                assert!((inside - 1.0).abs() < 1e-3, "direction {j}: {inside}");
            }
        }
    }

    #[test]
    fn the_rank_limits_the_width() {
        let row = |x: f32| vec![(0, x), (2, 1.0)];
        let rows = [row(1.0), row(1.0), row(-2.0), row(1.0), vec![(1, 1e-7)], vec![]];
        let a = Csr::from_rows(3, &rows);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let svd = truncated_svd(&a, options(8), &mut rng, |_| Ok(())).unwrap();
        assert_eq!(svd.singular_values.len(), 2);
        assert_eq!(svd.v.len(), 3 * 2);
        assert!(svd.v.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn an_error_of_the_step_stops_the_work() {
        let mut calls = 0;
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let stopped = truncated_svd(&matrix(20, 10, 1), options(2), &mut rng, |_| {
            calls += 1;
            Err(das_core::Error::Interrupted.into())
        });
        assert!(stopped.is_err());
        assert_eq!(calls, 1);
    }
}
