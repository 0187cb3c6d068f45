//! ln p of some classes of a catalogue for each row.

use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{Mat, block_range, product};
use super::pool::Pool;
use super::simd::{dot, max, sum_exp, vectorize};
use crate::ops::{Among, Candidates};

/// Rows per task.
const ROWS: usize = 64;
/// One product with the whole catalogue costs as much as dot products with this part of it.
const PART: usize = 5;

/// Operands that tasks share.
struct Problem<'a> {
    x: Mat<'a>,
    catalogue: Mat<'a>,
    candidates: &'a Candidates<'a>,
    among: Among,
}

/// Writes ln p of each row's candidates, row after row. `x` is `[n, d]`, `catalogue` `[V, d]`.
pub(super) fn log_probabilities(
    pool: &Pool,
    (x, catalogue): (Mat<'_>, Mat<'_>),
    candidates: &Candidates<'_>,
    among: Among,
    mut out: &mut [f32],
) {
    let of_rows = candidates.of_rows;
    let problem = Problem { x, catalogue, candidates, among };
    let mut tasks = Vec::with_capacity(of_rows.len().div_ceil(ROWS));
    for (index, lists) in of_rows.chunks(ROWS).enumerate() {
        let count: usize = lists.iter().map(Range::len).sum();
        let of_task = out.split_off_mut(..count).expect("room for all candidates");
        tasks.push((block_range(index, ROWS, of_rows.len()), of_task));
    }
    tasks.into_par_iter().for_each(|(rows, out)| problem.task(pool, rows, out));
}

impl Problem<'_> {
    fn task(&self, pool: &Pool, rows: Range<usize>, out: &mut [f32]) {
        let cells = rows.len() * self.catalogue.height();
        if self.among == Among::Candidates && out.len() * PART < cells {
            vectorize(
                #[inline(always)]
                || self.one_by_one(rows, out),
            );
        } else {
            let mut logits = pool.scratch(cells);
            product(self.x.rows(rows.clone()), self.catalogue.t(), 1.0, &mut logits);
            vectorize(
                #[inline(always)]
                || self.picked(rows, &logits, out),
            );
        }
    }

    /// From the logits of the candidates alone.
    #[inline(always)]
    fn one_by_one(&self, rows: Range<usize>, mut out: &mut [f32]) {
        for row in rows {
            let (classes, x) = (self.candidates.of(row), self.x.row(row));
            let own = out.split_off_mut(..classes.len()).expect("room for all candidates");
            for (out, &class) in own.iter_mut().zip(classes) {
                *out = dot(x, self.catalogue.row(class as usize));
            }
            let total = log_sum_exp(own);
            own.iter_mut().for_each(|logit| *logit -= total);
        }
    }

    /// From the logits of all classes.
    #[inline(always)]
    fn picked(&self, rows: Range<usize>, logits: &[f32], mut out: &mut [f32]) {
        for (row, logits) in rows.zip(logits.chunks_exact(self.catalogue.height())) {
            let classes = self.candidates.of(row);
            let own = out.split_off_mut(..classes.len()).expect("room for all candidates");
            for (out, &class) in own.iter_mut().zip(classes) {
                *out = logits[class as usize];
            }
            let total = match self.among {
                Among::Candidates => log_sum_exp(own),
                Among::All => log_sum_exp(logits),
            };
            own.iter_mut().for_each(|logit| *logit -= total);
        }
    }
}

/// ln Σ exp(x), without overflow.
#[inline(always)]
fn log_sum_exp(x: &[f32]) -> f32 {
    let top = max(x);
    top + sum_exp(x, top).ln()
}
