//! Binary cross entropy with logits.

use rayon::prelude::*;

use super::elementwise::{optional_chunks, sum_in_order};

/// Rows per task.
const ROWS: usize = 1024;

/// `Σ w ℓ / Σ w` with `ℓ = max(z, 0) - z y + ln(1 + exp(-|z|))`, and its gradient
/// `w (σ(z) - y) / Σ w` where asked for.
pub(super) fn with_logits(
    logits: &[f32],
    labels: &[f32],
    weights: Option<&[f32]>,
    gradient: Option<&mut [f32]>,
) -> f32 {
    let ones;
    let weights = match weights {
        Some(weights) => weights,
        None => {
            ones = vec![1.0; logits.len()];
            &ones
        }
    };
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    if total == 0.0 {
        gradient.into_iter().for_each(|gradient| gradient.fill(0.0));
        return 0.0;
    }
    let gradient = optional_chunks(gradient, ROWS, logits.len().div_ceil(ROWS));
    let rows = logits.par_chunks(ROWS).zip(labels.par_chunks(ROWS));
    let losses = rows.zip(weights.par_chunks(ROWS).zip(gradient));
    let sum = sum_in_order(losses.map(|((logits, labels), (weights, mut gradient))| {
        let mut sum = 0.0;
        for (row, ((&z, &y), &w)) in logits.iter().zip(labels).zip(weights).enumerate() {
            let (z, y, w) = (f64::from(z), f64::from(y), f64::from(w));
            let tail = (-z.abs()).exp();
            sum += w * (z.max(0.0) - z * y + tail.ln_1p());
            if let Some(gradient) = &mut gradient {
                let sigmoid = if z < 0.0 { tail } else { 1.0 } / (1.0 + tail);
                gradient[row] = (w * (sigmoid - y) / total) as f32;
            }
        }
        sum
    }));
    (sum / total) as f32
}
