//! Softmax cross entropy over a catalogue with its gradients, block by block of logits.
//!
//! With `z_ij = s x_i · c_j`, weights `w` that sum to `W` and smoothing `ε`, the gradient by `z_ij`
//! is `w_i / W (p_ij - (1 - ε) δ_ij - ε / V)`, where `δ` marks the target. A block's logits are
//! overwritten by `e_ij = exp(z_ij - max_i)`, and these by `e_ij - S_i ((1 - ε) δ_ij + ε / V)` with
//! `S_i = Σ_j e_ij`: the gradient but for the factor `w_i / (W S_i)` of the row. That factor is
//! left to the narrow matrices: it multiplies the rows of `dx` after the product with `c`, and
//! those of `x` before the product that makes `dc`.
//!
//! Where a row chooses among candidates, the same is done to their logits alone, and the gradient
//! by all others is 0.

use std::ops::Range;

use rayon::prelude::*;

use super::elementwise::{optional_chunks, sum_in_order};
use super::gemm::{Mat, block_range, par_add_product, product};
use super::pool::Pool;
use super::simd::{exp_in_place, max, sum, vectorize};
use crate::ops::{Candidates, SoftmaxCe};

/// Logits alive at a time, unless the fewest rows have more: 16 MiB stay in the last cache.
const BLOCK: usize = 1 << 22;
/// Tasks that a block keeps busy at least.
const TASKS: usize = 4;
/// The fewest and the most rows per task: each packs the catalogue anew, which few rows do not
/// repay, and more than these gain nothing.
const FEWEST_ROWS: usize = 32;
const MOST_ROWS: usize = 128;

/// Operands, options with defaults filled in, and what the passes share.
struct Problem<'a> {
    x: &'a [f32],
    catalogue: Mat<'a>,
    d: usize,
    classes: usize,
    targets: &'a [u32],
    weights: &'a [f32],
    candidates: Option<Candidates<'a>>,
    scale: f32,
    smoothing: f32,
    /// `1 / W`.
    share: f32,
    /// Rows per task.
    task_rows: usize,
}

/// The loss; gradients are written where asked for. `x` is `[n, d]`, `catalogue` `[V, d]`.
pub(super) fn forward(
    pool: &Pool,
    (x, catalogue, d): (&[f32], &[f32], usize),
    targets: &[u32],
    options: &SoftmaxCe<'_>,
    mut dx: Option<&mut [f32]>,
    mut dcatalogue: Option<&mut [f32]>,
) -> f32 {
    let (n, classes) = (targets.len(), catalogue.len() / d);
    let ones = vec![1.0; n];
    let weights = options.row_weights.unwrap_or(&ones);
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    dcatalogue.iter_mut().for_each(|gradient| gradient.fill(0.0));
    if total == 0.0 {
        dx.into_iter().for_each(|gradient| gradient.fill(0.0));
        return 0.0;
    }
    let affordable = BLOCK / classes;
    let task_rows = (affordable / TASKS / 16 * 16).clamp(FEWEST_ROWS, MOST_ROWS);
    let height = ((affordable / task_rows).max(TASKS) * task_rows).min(n);
    let problem = Problem {
        x,
        catalogue: Mat::new(catalogue, classes, d),
        d,
        classes,
        targets,
        weights,
        candidates: options.candidates,
        scale: options.scale,
        smoothing: options.label_smoothing,
        share: (1.0 / total) as f32,
        task_rows,
    };
    let mut logits = pool.scratch(height * classes);
    let mut scaled = pool.scratch(height * d);
    let mut loss = 0.0;
    for index in 0..n.div_ceil(height) {
        let rows = block_range(index, height, n);
        let logits = &mut logits[..rows.len() * classes];
        let scaled = &mut scaled[..rows.len() * d];
        let dx = dx.as_deref_mut().map(|dx| &mut dx[rows.start * d..rows.end * d]);
        let for_catalogue = dcatalogue.is_some().then_some(&mut *scaled);
        loss += problem.block(rows.clone(), logits, dx, for_catalogue);
        if let Some(dcatalogue) = dcatalogue.as_deref_mut() {
            let gradient = Mat::new(logits, rows.len(), classes);
            par_add_product(gradient.t(), Mat::new(scaled, rows.len(), d), dcatalogue);
        }
    }
    (loss / total) as f32
}

impl Problem<'_> {
    /// `Σ w_i ℓ_i` of a block of rows. Leaves its gradient in `logits` but for the rows' factors;
    /// writes `dx` and the rows of `x` times their factors where asked for.
    fn block(
        &self,
        rows: Range<usize>,
        logits: &mut [f32],
        dx: Option<&mut [f32]>,
        scaled: Option<&mut [f32]>,
    ) -> f64 {
        let (height, tasks) = (self.task_rows, rows.len().div_ceil(self.task_rows));
        let dx = optional_chunks(dx, height * self.d, tasks);
        let scaled = optional_chunks(scaled, height * self.d, tasks);
        let blocks = logits.par_chunks_mut(height * self.classes).zip(dx).zip(scaled);
        sum_in_order(blocks.enumerate().map(|(index, ((logits, dx), scaled))| {
            let first = rows.start + index * height;
            self.task(first..first + logits.len() / self.classes, logits, dx, scaled)
        }))
    }

    fn task(
        &self,
        rows: Range<usize>,
        logits: &mut [f32],
        dx: Option<&mut [f32]>,
        scaled: Option<&mut [f32]>,
    ) -> f64 {
        let (d, count) = (self.d, rows.len());
        let x = &self.x[rows.start * d..rows.end * d];
        product(Mat::new(x, count, d), self.catalogue.t(), self.scale, logits);
        let mut loss = 0.0;
        let mut factors = vec![0.0; count];
        let mut chosen = Vec::new();
        vectorize(
            #[inline(always)]
            || {
                let logits = logits.chunks_exact_mut(self.classes);
                for ((row, logits), factor) in rows.zip(logits).zip(&mut factors) {
                    loss += self.row(row, logits, factor, &mut chosen);
                }
            },
        );
        if let Some(dx) = dx {
            product(Mat::new(logits, count, self.classes), self.catalogue, 1.0, dx);
            for (dx, factor) in dx.chunks_exact_mut(d).zip(&factors) {
                dx.iter_mut().for_each(|dx| *dx *= factor);
            }
        }
        if let Some(scaled) = scaled {
            let rows = scaled.chunks_exact_mut(d).zip(x.chunks_exact(d));
            for ((scaled, x), factor) in rows.zip(&factors) {
                scaled.iter_mut().zip(x).for_each(|(scaled, x)| *scaled = factor * x);
            }
        }
        loss
    }

    /// Returns `w_i ℓ_i`, leaves the gradient in `logits` and its factor in `factor`. `chosen` is
    /// scratch space.
    #[inline(always)]
    fn row(&self, row: usize, logits: &mut [f32], factor: &mut f32, chosen: &mut Vec<f32>) -> f64 {
        let (weight, target) = (self.weights[row], self.targets[row] as usize);
        if weight == 0.0 {
            logits.fill(0.0);
            return 0.0;
        }
        let (loss, total) = match self.candidates {
            None => self.contrast(logits, target),
            Some(candidates) => {
                let classes = candidates.of(row);
                chosen.clear();
                chosen.extend(classes.iter().map(|&class| logits[class as usize]));
                let place = classes.iter().position(|&class| class as usize == target);
                let result = self.contrast(chosen, place.expect("the target is a candidate"));
                logits.fill(0.0);
                for (&class, gradient) in classes.iter().zip(&*chosen) {
                    logits[class as usize] = *gradient;
                }
                result
            }
        };
        *factor = weight * self.share * self.scale / total;
        f64::from(weight) * loss
    }

    /// `ℓ` and `S` of the logits of one row, in whose place it leaves the gradient but for the
    /// row's factor.
    #[inline(always)]
    fn contrast(&self, logits: &mut [f32], target: usize) -> (f64, f32) {
        let (top, positive) = (max(logits), f64::from(logits[target]));
        let even = self.smoothing / logits.len() as f32;
        let smoothed = if even > 0.0 { f64::from(even) * f64::from(sum(logits)) } else { 0.0 };
        let total = exp_in_place(logits, top);
        if even > 0.0 {
            logits.iter_mut().for_each(|e| *e -= even * total);
        }
        let sharp = 1.0 - self.smoothing;
        logits[target] -= sharp * total;
        let log_sum = f64::from(top) + f64::from(total).ln();
        (log_sum - f64::from(sharp) * positive - smoothed, total)
    }
}
