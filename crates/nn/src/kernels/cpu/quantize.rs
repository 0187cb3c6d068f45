//! Residual quantizer and nearest codes.

use rayon::prelude::*;

use super::elementwise::{scale, sum_in_order};
use super::packed::Packed;
use super::pool::Pool;
use super::rows::add_groups;
use super::simd::{argmin, dot, square_sum, vectorize};
use crate::row_groups::RowGroups;

/// Rows per task, a multiple of what the packed product takes at once.
const ROWS: usize = 96;

/// `‖e‖² − 2 x · e` for each code of a codebook `[K, d]`, the squared distance less `‖x‖²`, as a
/// product with what is made here; infinite beyond the codes.
pub(crate) fn scores_of(codes: &[f32], d: usize) -> Packed {
    assert!(d > 0 && !codes.is_empty() && codes.len().is_multiple_of(d), "codes of width {d}");
    let norms: Vec<f32> = vectorize(
        #[inline(always)]
        || codes.chunks_exact(d).map(|e| dot(e, e)).collect(),
    );
    Packed::new(codes, d, &norms, -2.0, f32::INFINITY)
}

/// A codebook `[K, d]`, packed to be searched.
pub(crate) struct Book<'a> {
    codes: &'a [f32],
    d: usize,
    scores: Packed,
}

impl<'a> Book<'a> {
    pub(crate) fn new(codes: &'a [f32], d: usize) -> Self {
        Self { codes, d, scores: scores_of(codes, d) }
    }

    fn code(&self, index: u32) -> &'a [f32] {
        &self.codes[index as usize * self.d..][..self.d]
    }

    /// `argmin_k ‖x - e_k‖² = argmin_k (‖e_k‖² - 2 x · e_k)` for each row of `x`, on this thread;
    /// `found` receives the row, the code and that difference, i.e. the distance less `‖x‖²`.
    fn nearest(&self, x: &[f32], scores: &mut Vec<f32>, mut found: impl FnMut(usize, u32, f32)) {
        let padded = self.scores.padded();
        scores.resize(x.len() / self.d * padded, 0.0);
        self.scores.apply(x, self.d, false, scores);
        vectorize(
            #[inline(always)]
            || {
                for (row, scores) in scores.chunks_exact(padded).enumerate() {
                    let code = argmin(scores);
                    found(row, code, scores[code as usize]);
                }
            },
        );
    }
}

/// The nearest code of each row of `x` `[n, d]` and the squared distance to it.
pub(crate) fn assign(x: &[f32], book: &Book<'_>, codes: &mut [u32], distances: &mut [f32]) {
    let d = book.d;
    let outputs = codes.par_chunks_mut(ROWS).zip(distances.par_chunks_mut(ROWS));
    x.par_chunks(ROWS * d).zip(outputs).for_each_init(
        Vec::new,
        |scores, (x, (codes, distances))| {
            book.nearest(
                x,
                scores,
                #[inline(always)]
                |row, code, score| {
                    let x = &x[row * d..][..d];
                    codes[row] = code;
                    distances[row] = (dot(x, x) + score).max(0.0);
                },
            );
        },
    );
}

/// Chooses codes level by level; `through` becomes `z + (Σe - z)`, computed as the straight-through
/// estimator writes it, so that rounding matches. Returns `Σ_l ‖r_l‖²` over all rows.
pub(super) fn forward(
    z: &[f32],
    books: &[Book<'_>],
    through: &mut [f32],
    codes: &mut [u32],
) -> f64 {
    let (d, levels) = (books[0].d, books.len());
    let blocks = through.par_chunks_mut(ROWS * d).zip(codes.par_chunks_mut(ROWS * levels));
    let partial = z.par_chunks(ROWS * d).zip(blocks).map(|(z, (through, codes))| {
        let (mut residual, mut scores) = (z.to_vec(), Vec::new());
        let mut sum = 0.0;
        through.fill(0.0);
        for (level, book) in books.iter().enumerate() {
            book.nearest(&residual, &mut scores, |row, code, _| {
                codes[row * levels + level] = code;
            });
            vectorize(
                #[inline(always)]
                || {
                    let rows = residual.chunks_exact_mut(d).zip(through.chunks_exact_mut(d));
                    for ((r, q), codes) in rows.zip(codes.chunks_exact(levels)) {
                        for ((r, q), e) in r.iter_mut().zip(q).zip(book.code(codes[level])) {
                            *q += e;
                            *r -= e;
                        }
                    }
                    sum += square_sum(&residual);
                },
            );
        }
        vectorize(
            #[inline(always)]
            || through.iter_mut().zip(z).for_each(|(q, z)| *q = z + (*q - z)),
        );
        sum
    });
    sum_in_order(partial)
}

/// The factors of the quantizer's gradient: `dz = commitment Σ_l r_l`, and each code adds up
/// `codebook · r_l` over its rows.
pub(super) struct Factors {
    pub(super) commitment: f32,
    pub(super) codebook: f32,
}

/// Works the residuals out again from the codes; `dbooks` is zero on entry.
pub(super) fn backward(
    pool: &Pool,
    z: &[f32],
    (books, d): (&[&[f32]], usize),
    codes: &[u32],
    factors: &Factors,
    mut dz: Option<&mut [f32]>,
    dbooks: &mut [&mut [f32]],
) {
    let levels = books.len();
    let mut residual = pool.scratch(z.len());
    residual.copy_from_slice(z);
    if let Some(dz) = dz.as_deref_mut() {
        dz.fill(0.0);
    }
    for (level, (book, dbook)) in books.iter().zip(dbooks).enumerate() {
        let chosen: Vec<u32> = codes.iter().skip(level).step_by(levels).copied().collect();
        let blocks = residual.par_chunks_mut(ROWS * d).zip(chosen.par_chunks(ROWS));
        let subtract = |residual: &mut [f32], chosen: &[u32]| {
            for (r, &code) in residual.chunks_exact_mut(d).zip(chosen) {
                let e = &book[code as usize * d..][..d];
                r.iter_mut().zip(e).for_each(|(r, e)| *r -= e);
            }
        };
        match dz.as_deref_mut() {
            Some(dz) => blocks.zip(dz.par_chunks_mut(ROWS * d)).for_each(|((r, chosen), dz)| {
                vectorize(
                    #[inline(always)]
                    || {
                        subtract(r, chosen);
                        dz.iter_mut().zip(r.iter()).for_each(|(g, r)| *g += factors.commitment * r);
                    },
                );
            }),
            None => blocks.for_each(|(r, chosen)| {
                vectorize(
                    #[inline(always)]
                    || subtract(r, chosen),
                )
            }),
        }
        add_groups(&residual, &RowGroups::new(&chosen), d, dbook);
        scale(dbook, factors.codebook);
    }
}
