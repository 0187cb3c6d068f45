//! Orthonormal bases of tall matrices.

use super::tall::{gram, times_small};
use super::vector::dot;

/// A column whose part outside the columns before it is smaller than this, relative and squared,
/// is rounding of f32 and no direction of its own.
const DEPENDENT: f64 = 1e-11;

/// Replaces the columns of `x` [rows, width] by nearly orthonormal ones that span the same space;
/// columns that depend on those before them become zero.
///
/// Cholesky QR, with the Gram matrix in f64, which holds the squared condition number of f32
/// data. What is left of the condition is small enough to go on with in a subspace iteration.
pub(super) fn precondition(x: &[f32], width: usize) -> Vec<f32> {
    let inverse = inverse_factor(gram(x, width), width);
    times_small(x, width, &inverse, width)
}

/// [`precondition`] done twice, which brings orthogonality to the rounding of f32 (Yamamoto,
/// Nakatsukasa, Yanagisawa, Fukaya 2015).
pub(super) fn orthonormalize(x: &[f32], width: usize) -> Vec<f32> {
    precondition(&precondition(x, width), width)
}

/// R⁻¹ of the Cholesky factorisation RᵀR of `gram`, upper triangular, with zero rows and columns
/// for the columns found dependent.
fn inverse_factor(gram: Vec<f64>, n: usize) -> Vec<f64> {
    let factor = lower_factor(gram, n);
    // L·Y = I by forward substitution gives Y = L⁻¹, and R⁻¹ = Yᵀ.
    let mut inverse = vec![0.0; n * n];
    for column in (0..n).filter(|&c| factor[c * n + c] > 0.0) {
        inverse[column * n + column] = 1.0 / factor[column * n + column];
        for row in column + 1..n {
            let pivot = factor[row * n + row];
            if pivot > 0.0 {
                let solved = &inverse[column * n + column..column * n + row];
                let sum = dot(&factor[row * n + column..row * n + row], solved);
                inverse[column * n + row] = -sum / pivot;
            }
        }
    }
    inverse
}

/// The lower Cholesky factor L of `gram`; the pivots and rows of dependent columns are zero.
fn lower_factor(mut gram: Vec<f64>, n: usize) -> Vec<f64> {
    for row in 0..n {
        let diagonal = gram[row * n + row];
        for column in 0..row {
            let (before, rest) = gram.split_at_mut(row * n);
            let other = &before[column * n..column * n + column + 1];
            let pivot = other[column];
            let sum = dot(&rest[..column], &other[..column]);
            rest[column] = if pivot > 0.0 { (rest[column] - sum) / pivot } else { 0.0 };
        }
        let current = &mut gram[row * n..(row + 1) * n];
        let squared = diagonal - dot(&current[..row], &current[..row]);
        if squared > DEPENDENT * diagonal {
            current[row] = squared.sqrt();
        } else {
            current[..=row].fill(0.0);
        }
        current[row + 1..].fill(0.0);
    }
    gram
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn columns_become_orthonormal_and_dependent_ones_zero() {
        let (rows, width) = (300, 6);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut x: Vec<f32> = (0..rows * width).map(|_| rng.random_range(-1.0..1.0)).collect();
        for row in x.chunks_exact_mut(width) {
            row[1] = row[0] + 1e-3 * row[1]; // nearly dependent
            row[3] = 2.0 * row[0] - row[2]; // dependent
        }
        let q = orthonormalize(&x, width);
        let gram = gram(&q, width);
        for i in 0..width {
            for j in 0..width {
                let expected = if i == j && i != 3 { 1.0 } else { 0.0 };
                assert!((gram[i * width + j] - expected).abs() < 1e-5, "{i} {j}");
            }
        }
        // x = q·qᵀ·x: nothing of the space was lost.
        for j in 0..width {
            let along = |c: usize| -> f64 {
                (0..rows).map(|r| f64::from(q[r * width + c]) * f64::from(x[r * width + j])).sum()
            };
            let parts: Vec<f64> = (0..width).map(along).collect();
            for r in 0..rows {
                let back: f64 = (0..width).map(|c| parts[c] * f64::from(q[r * width + c])).sum();
                assert!((back - f64::from(x[r * width + j])).abs() < 1e-4);
            }
        }
    }
}
