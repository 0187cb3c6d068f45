//! InfoNCE with its gradients, over blocks of rows of the logits.
//!
//! With `s_ij = a_i · b_j / τ`, masked pairs at minus infinity, and weights `w` that sum to `W`:
//! rows normalise to `p_ij = exp(s_ij - log Q_j - lse_i)`, columns to
//! `p'_ij = exp(s_ij - log Q'_i - lse'_j)`, and the gradient of the loss by `a_i · b_j` is
//! `(w_i (p_ij - δ_ij) + w_j (p'_ij - δ_ij)) / (τ W m)`, where `m` is the number of directions.
//! The gradient overwrites the logits block by block and is then multiplied with both operands.

use std::ops::Range;

use rayon::prelude::*;

use super::elementwise::optional_chunks;
use super::gemm::{Mat, block_range};
use super::products::{Products, Right};
use super::simd::{exp, max_difference, sum_exp_difference, vectorize};
use crate::ops::{Direction, InfoNce};
use crate::pair_mask::PairMask;

/// Rows of logits per task: with the thousand columns of a usual batch they fill half of a
/// second-level cache.
const ROWS: usize = 128;

/// Operands, options with defaults filled in, and what the passes share.
struct Problem<'a> {
    products: Products<'a>,
    a: Mat<'a>,
    /// `bᵀ` for the logits, `b` for the gradient.
    bt: Right<'a>,
    b: Option<Right<'a>>,
    n: usize,
    d: usize,
    inverse_temperature: f32,
    mask: Option<&'a PairMask>,
    log_q: &'a [f32],
    log_q_rows: &'a [f32],
    weights: &'a [f32],
    /// `1 / (W m)`.
    share: f32,
}

/// The loss; gradients are written where asked for. `a` and `b` are `[n, d]`.
pub(super) fn forward(
    products: Products<'_>,
    (a, b): (&[f32], &[f32]),
    (n, d): (usize, usize),
    options: &InfoNce<'_>,
    da: Option<&mut [f32]>,
    db: Option<&mut [f32]>,
) -> f32 {
    let (zeros, ones) = (vec![0.0; n], vec![1.0; n]);
    let weights = options.row_weights.unwrap_or(&ones);
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    if total == 0.0 {
        da.into_iter().chain(db).for_each(|grad| grad.fill(0.0));
        return 0.0;
    }
    let both = options.direction == Direction::Both;
    let share = 1.0 / (total * if both { 2.0 } else { 1.0 });
    let (a, b) = (Mat::new(a, n, d), Mat::new(b, n, d));
    let problem = Problem {
        products,
        a,
        bt: products.right(b.t()),
        b: da.is_some().then(|| products.right(b)),
        n,
        d,
        inverse_temperature: 1.0 / options.temperature,
        mask: options.mask,
        log_q: options.log_q.unwrap_or(&zeros),
        log_q_rows: options.log_q_rows.unwrap_or(&zeros),
        weights,
        share: share as f32,
    };
    let mut logits = products.pool.scratch(n * n);
    let with_gradient = da.is_some() || db.is_some();
    let loss = if both {
        problem.two_way(&mut logits, with_gradient, da)
    } else {
        problem.one_way(&mut logits, with_gradient, da)
    };
    if let Some(db) = db {
        products.par_product(Mat::new(&logits, n, n).t(), a, db);
    }
    (loss * share) as f32
}

/// What the first pass learns from a block of rows: the log-normalisers of its rows, its share of
/// the columns' (`max + ln(sum)` of its own terms), and `Σ w_i ℓ_i`.
struct Normalizers {
    rows: Vec<f32>,
    column_max: Vec<f32>,
    column_sum: Vec<f32>,
    loss: f64,
}

impl Problem<'_> {
    /// Rows only: logits become gradients while their block is in cache. Returns `Σ w_i ℓ_i`.
    fn one_way(&self, logits: &mut [f32], with_gradient: bool, da: Option<&mut [f32]>) -> f64 {
        let losses = self.blocks(logits, da, |rows, block, da| {
            self.fill_logits(rows.start, block);
            let mut loss = 0.0;
            vectorize(
                #[inline(always)]
                || {
                    for (row, logits) in rows.zip(block.chunks_exact_mut(self.n)) {
                        let log_sum = log_sum_exp(logits, self.log_q);
                        loss += self.row_loss(row, logits[row], log_sum);
                        if with_gradient {
                            self.row_gradient(row, logits, log_sum);
                        }
                    }
                },
            );
            self.times_b(block, da);
            loss
        });
        losses.into_iter().sum()
    }

    /// Rows and columns: a first pass for the normalisers, a second for the gradient. Returns
    /// `Σ w_i (ℓ_i + ℓ'_i)`.
    fn two_way(&self, logits: &mut [f32], with_gradient: bool, da: Option<&mut [f32]>) -> f64 {
        let parts = self.blocks(logits, None, |rows, block, _| {
            self.fill_logits(rows.start, block);
            vectorize(
                #[inline(always)]
                || self.normalizers(rows, block),
            )
        });
        let (log_sum, column_log_sum, row_loss) = self.join(parts);
        let diagonal = (0..self.n).map(|i| f64::from(logits[i * self.n + i]));
        let column_loss: f64 = diagonal
            .enumerate()
            .map(|(j, s)| {
                let positive = s - f64::from(self.log_q_rows[j]);
                f64::from(self.weights[j]) * (f64::from(column_log_sum[j]) - positive)
            })
            .sum();
        if with_gradient {
            self.blocks(logits, da, |rows, block, da| {
                vectorize(
                    #[inline(always)]
                    || {
                        for (row, logits) in rows.zip(block.chunks_exact_mut(self.n)) {
                            self.two_way_gradient(row, logits, log_sum[row], &column_log_sum);
                        }
                    },
                );
                self.times_b(block, da);
            });
        }
        row_loss + column_loss
    }

    /// Runs `f(rows, block of logits, block of da)` over blocks of rows; results in order.
    fn blocks<T: Send>(
        &self,
        logits: &mut [f32],
        da: Option<&mut [f32]>,
        f: impl Fn(Range<usize>, &mut [f32], Option<&mut [f32]>) -> T + Sync,
    ) -> Vec<T> {
        let da = optional_chunks(da, ROWS * self.d, self.n.div_ceil(ROWS));
        logits
            .par_chunks_mut(ROWS * self.n)
            .zip(da)
            .enumerate()
            .map(|(index, (block, da))| f(block_range(index, ROWS, self.n), block, da))
            .collect()
    }

    fn fill_logits(&self, first: usize, block: &mut [f32]) {
        let rows = first..first + block.len() / self.n;
        let a = self.a.rows(rows.clone());
        self.products.product(a, &self.bt, self.inverse_temperature, block);
        let Some(mask) = self.mask else { return };
        for (row, logits) in rows.zip(block.chunks_exact_mut(self.n)) {
            for &column in mask.columns(row) {
                logits[column as usize] = f32::NEG_INFINITY;
            }
        }
    }

    /// `da = g b` for one block of rows of the gradient `g`.
    fn times_b(&self, gradient: &[f32], da: Option<&mut [f32]>) {
        if let (Some(da), Some(b)) = (da, &self.b) {
            let gradient = Mat::new(gradient, gradient.len() / self.n, self.n);
            self.products.product(gradient, b, 1.0, da);
        }
    }

    /// `w_i ℓ_i`.
    fn row_loss(&self, row: usize, positive: f32, log_sum: f32) -> f64 {
        let positive = f64::from(positive) - f64::from(self.log_q[row]);
        f64::from(self.weights[row]) * (f64::from(log_sum) - positive)
    }

    #[inline(always)]
    fn row_gradient(&self, row: usize, logits: &mut [f32], log_sum: f32) {
        let factor = self.weights[row] * self.share * self.inverse_temperature;
        for (s, log_q) in logits.iter_mut().zip(self.log_q) {
            *s = factor * exp(*s - log_q - log_sum);
        }
        logits[row] -= factor;
    }

    #[inline(always)]
    fn two_way_gradient(&self, row: usize, logits: &mut [f32], log_sum: f32, columns: &[f32]) {
        let factor = self.share * self.inverse_temperature;
        let (weight, log_q_row) = (self.weights[row], self.log_q_rows[row]);
        let of_column = self.log_q.iter().zip(columns).zip(self.weights);
        for (s, ((log_q, column), column_weight)) in logits.iter_mut().zip(of_column) {
            let by_row = weight * exp(*s - log_q - log_sum);
            let by_column = column_weight * exp(*s - log_q_row - column);
            *s = factor * (by_row + by_column);
        }
        logits[row] -= factor * 2.0 * weight;
    }

    #[inline(always)]
    fn normalizers(&self, rows: Range<usize>, block: &[f32]) -> Normalizers {
        let mut column_max = vec![f32::NEG_INFINITY; self.n];
        let mut column_sum = vec![0.0; self.n];
        let (mut log_sums, mut loss) = (Vec::with_capacity(rows.len()), 0.0);
        for (row, logits) in rows.clone().zip(block.chunks_exact(self.n)) {
            let log_sum = log_sum_exp(logits, self.log_q);
            loss += self.row_loss(row, logits[row], log_sum);
            log_sums.push(log_sum);
            let log_q_row = self.log_q_rows[row];
            for (max, s) in column_max.iter_mut().zip(logits) {
                let s = s - log_q_row;
                *max = if s > *max { s } else { *max };
            }
        }
        column_max.iter_mut().for_each(|max| *max = finite_shift(*max));
        for (row, logits) in rows.zip(block.chunks_exact(self.n)) {
            let log_q_row = self.log_q_rows[row];
            for ((sum, max), s) in column_sum.iter_mut().zip(&column_max).zip(logits) {
                *sum += exp(s - log_q_row - max);
            }
        }
        Normalizers { rows: log_sums, column_max, column_sum, loss }
    }

    /// The log-normalisers of all rows and of all columns, and the rows' loss, from the blocks in
    /// order.
    fn join(&self, parts: Vec<Normalizers>) -> (Vec<f32>, Vec<f32>, f64) {
        let column = |j: usize| {
            // A block whose share is 0 has masked the whole column; it has no maximum.
            let shares = parts.iter().map(|part| (part.column_max[j], part.column_sum[j]));
            let shares = shares.filter(|&(_, sum)| sum != 0.0);
            let max = shares.clone().fold(f32::NEG_INFINITY, |max, (other, _)| max.max(other));
            max + shares.map(|(own, sum)| sum * (own - max).exp()).sum::<f32>().ln()
        };
        let columns = (0..self.n).map(column).collect();
        let loss = parts.iter().map(|part| part.loss).sum();
        (parts.into_iter().flat_map(|part| part.rows).collect(), columns, loss)
    }
}

/// The maximum to subtract before `exp`, or 0 if every term is minus infinity, so that the
/// differences stay numbers.
#[inline(always)]
fn finite_shift(max: f32) -> f32 {
    if max == f32::NEG_INFINITY { 0.0 } else { max }
}

/// `log Σ_j exp(s_j - log Q_j)`.
#[inline(always)]
fn log_sum_exp(logits: &[f32], log_q: &[f32]) -> f32 {
    let max = finite_shift(max_difference(logits, log_q));
    max + sum_exp_difference(logits, log_q, max).ln()
}
