//! Layer normalisation by row.

use rayon::prelude::*;

use super::elementwise::optional_chunks;
use super::simd::{dot, sum, vectorize};

/// Rows per task.
const ROWS: usize = 64;

/// `y = (x - μ) / √(σ² + ε) ⊙ gain + bias`; `moments` receives `μ` and `1 / √(σ² + ε)` by row.
pub(super) fn forward(
    x: &[f32],
    (gain, bias): (&[f32], &[f32]),
    eps: f32,
    y: &mut [f32],
    moments: &mut [f32],
) {
    let d = gain.len();
    let blocks = y.par_chunks_mut(ROWS * d).zip(moments.par_chunks_mut(ROWS * 2));
    blocks.zip(x.par_chunks(ROWS * d)).for_each(|((y, moments), x)| {
        vectorize(
            #[inline(always)]
            || {
                let rows = y.chunks_exact_mut(d).zip(x.chunks_exact(d));
                for ((y, x), moments) in rows.zip(moments.chunks_exact_mut(2)) {
                    let mean = sum(x) / d as f32;
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = x - mean);
                    let inverse = 1.0 / (dot(y, y) / d as f32 + eps).sqrt();
                    for (y, (g, b)) in y.iter_mut().zip(gain.iter().zip(bias)) {
                        *y = (*y * inverse).mul_add(*g, *b);
                    }
                    moments.copy_from_slice(&[mean, inverse]);
                }
            },
        );
    });
}

/// What the backward pass reads.
pub(super) struct Operands<'a> {
    pub(super) x: &'a [f32],
    pub(super) gain: &'a [f32],
    pub(super) moments: &'a [f32],
    pub(super) dy: &'a [f32],
}

/// Writes the gradients of gain and bias, and that of `x` where asked for.
pub(super) fn backward(
    operands: &Operands<'_>,
    dx: Option<&mut [f32]>,
    dgain: &mut [f32],
    dbias: &mut [f32],
) {
    let (d, moments) = (operands.gain.len(), operands.moments);
    let dx = optional_chunks(dx, ROWS * d, moments.len().div_ceil(ROWS * 2));
    let blocks = operands.x.par_chunks(ROWS * d).zip(operands.dy.par_chunks(ROWS * d));
    let partial: Vec<Vec<f32>> = blocks
        .zip(moments.par_chunks(ROWS * 2).zip(dx))
        .map(|((x, dy), (moments, dx))| {
            let mut sums = vec![0.0; 2 * d];
            let (dgain, dbias) = sums.split_at_mut(d);
            let block = Operands { x, gain: operands.gain, moments, dy };
            vectorize(
                #[inline(always)]
                || block.backward(dx, dgain, dbias),
            );
            sums
        })
        .collect();
    dgain.fill(0.0);
    dbias.fill(0.0);
    for sums in partial {
        let (gain, bias) = sums.split_at(d);
        dgain.iter_mut().zip(gain).for_each(|(sum, part)| *sum += part);
        dbias.iter_mut().zip(bias).for_each(|(sum, part)| *sum += part);
    }
}

impl Operands<'_> {
    /// One block of rows; adds to the gradients of gain and bias.
    #[inline(always)]
    fn backward(&self, mut dx: Option<&mut [f32]>, dgain: &mut [f32], dbias: &mut [f32]) {
        let d = self.gain.len();
        let (mut normal, mut g) = (vec![0.0; d], vec![0.0; d]);
        let rows = self.x.chunks_exact(d).zip(self.dy.chunks_exact(d));
        for (row, ((x, dy), moments)) in rows.zip(self.moments.chunks_exact(2)).enumerate() {
            let (mean, inverse) = (moments[0], moments[1]);
            normal.iter_mut().zip(x).for_each(|(n, x)| *n = (x - mean) * inverse);
            dbias.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
            let terms = dgain.iter_mut().zip(dy.iter().zip(&normal));
            terms.for_each(|(sum, (dy, n))| *sum = dy.mul_add(*n, *sum));
            let Some(dx) = &mut dx else { continue };
            g.iter_mut().zip(dy.iter().zip(self.gain)).for_each(|(g, (dy, gain))| *g = dy * gain);
            let (mean, along) = (sum(&g) / d as f32, dot(&g, &normal) / d as f32);
            for (dx, (g, n)) in dx[row * d..][..d].iter_mut().zip(g.iter().zip(&normal)) {
                *dx = inverse * (g - mean - n * along);
            }
        }
    }
}
