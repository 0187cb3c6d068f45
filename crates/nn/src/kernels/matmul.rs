//! Parallel matrix products on row-major slices.

use super::cpu::gemm::{Mat, par_product};

/// `out = a b` with `a` `[m, k]`, `b` `[k, n]`, `out` `[m, n]`.
///
/// # Panics
/// If a length does not fit.
pub fn ab(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize), out: &mut [f32]) {
    par_product(Mat::new(a, m, k), Mat::new(b, k, n), out);
}

/// `out = a bᵀ` with `a` `[m, k]`, `b` `[n, k]`, `out` `[m, n]`.
///
/// # Panics
/// If a length does not fit.
pub fn abt(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize), out: &mut [f32]) {
    par_product(Mat::new(a, m, k), Mat::new(b, n, k).t(), out);
}

/// `out = aᵀ b` with `a` `[k, m]`, `b` `[k, n]`, `out` `[m, n]`. Sums over many rows `k` run on
/// one thread an output block, so this scales with `m n`.
///
/// # Panics
/// If a length does not fit.
pub fn atb(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize), out: &mut [f32]) {
    par_product(Mat::new(a, k, m).t(), Mat::new(b, k, n), out);
}
