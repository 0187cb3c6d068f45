//! Squared cosine between rows.

use rayon::prelude::*;

use super::elementwise::{optional_chunks, sum_in_order};
use super::simd::{dot, vectorize};

/// Rows per task.
const ROWS: usize = 64;
/// Norms below this count as this, as in PyTorch's `F.cosine_similarity`.
const EPS: f32 = 1e-8;

/// Mean over rows of `cos(a, b)²`; with `c` the cosine, its gradient by `a` is
/// `2c/n (b/(‖a‖‖b‖) - c a/‖a‖²)`, the second term only where the norm is not clamped.
pub(super) fn squared_cosine(
    (a, b): (&[f32], &[f32]),
    (n, cols): (usize, usize),
    da: Option<&mut [f32]>,
    db: Option<&mut [f32]>,
) -> f32 {
    if n == 0 || cols == 0 {
        return 0.0;
    }
    let block = ROWS * cols;
    let (da, db) = (
        optional_chunks(da, block, n.div_ceil(ROWS)),
        optional_chunks(db, block, n.div_ceil(ROWS)),
    );
    let sum = sum_in_order((a.par_chunks(block), b.par_chunks(block), da, db).into_par_iter().map(
        |(a, b, da, db)| {
            vectorize(
                #[inline(always)]
                || cosine_rows(a, b, cols, n, da, db),
            )
        },
    ));
    (sum / n as f64) as f32
}

#[inline(always)]
fn cosine_rows(
    a: &[f32],
    b: &[f32],
    cols: usize,
    n: usize,
    mut da: Option<&mut [f32]>,
    mut db: Option<&mut [f32]>,
) -> f64 {
    let mut sum = 0.0;
    for (row, (a, b)) in a.chunks_exact(cols).zip(b.chunks_exact(cols)).enumerate() {
        let at = row * cols..(row + 1) * cols;
        let (norm_a, norm_b) = (dot(a, a).sqrt(), dot(b, b).sqrt());
        let (length_a, length_b) = (norm_a.max(EPS), norm_b.max(EPS));
        let product = 1.0 / (length_a * length_b);
        let cosine = dot(a, b) * product;
        sum += f64::from(cosine) * f64::from(cosine);
        let factor = 2.0 * cosine / n as f32;
        let gradient = |out: &mut [f32], x: &[f32], other: &[f32], norm: f32| {
            let along = if norm > EPS { cosine / (norm * norm) } else { 0.0 };
            for ((d, x), other) in out.iter_mut().zip(x).zip(other) {
                *d = factor * (other * product - along * x);
            }
        };
        if let Some(da) = &mut da {
            gradient(&mut da[at.clone()], a, b, norm_a);
        }
        if let Some(db) = &mut db {
            gradient(&mut db[at], b, a, norm_b);
        }
    }
    sum
}
