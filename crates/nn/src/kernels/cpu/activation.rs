//! Activations and their derivatives.

use rayon::prelude::*;

use super::simd::{exp, vectorize};
use crate::kernels::backend::Activation;

/// Values per task.
const CHUNK: usize = 1 << 14;
/// `√(8/π)`, twice the factor inside the tanh of GELU.
const GELU_SCALE: f32 = 1.595_769;
const GELU_CUBIC: f32 = 0.044_715;

/// `y = act(x)`.
pub(super) fn activate(x: &[f32], act: Activation, y: &mut [f32]) {
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
        y.copy_from_slice(x);
        vectorize(
            #[inline(always)]
            || apply(act, y),
        );
    });
}

/// `y = act(y)`.
#[inline(always)]
pub(super) fn apply(act: Activation, y: &mut [f32]) {
    match act {
        Activation::Identity => (),
        Activation::Relu => y.iter_mut().for_each(|y| *y = relu(*y)),
        Activation::Gelu => y.iter_mut().for_each(|y| *y *= sigmoid(gelu_gate(*y))),
        Activation::Silu => y.iter_mut().for_each(|y| *y *= sigmoid(*y)),
    }
}

/// Multiplies `dy` by the derivative, given the activation's input if it
/// [needs that](Activation::needs_input), or else its value.
#[inline(always)]
pub(super) fn differentiate(act: Activation, activated: &[f32], dy: &mut [f32]) {
    let pairs = dy.iter_mut().zip(activated);
    match act {
        Activation::Identity => (),
        Activation::Relu => pairs.for_each(|(g, &y)| *g = if y > 0.0 { *g } else { 0.0 }),
        Activation::Gelu => pairs.for_each(|(g, &x)| {
            let gate = sigmoid(gelu_gate(x));
            let slope = GELU_SCALE * (3.0 * GELU_CUBIC * x).mul_add(x, 1.0);
            *g *= (x * slope * (1.0 - gate)).mul_add(gate, gate);
        }),
        Activation::Silu => pairs.for_each(|(g, &x)| {
            let gate = sigmoid(x);
            *g *= (x * (1.0 - gate)).mul_add(gate, gate);
        }),
    }
}

/// `max(x, 0)`, except that NaN stays NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// `1 / (1 + e^-x)`, and 0 where that is no normal number.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let y = 1.0 / (1.0 + exp(-x));
    if x < -87.0 { 0.0 } else { y }
}

/// The argument of GELU's sigmoid: `(1 + tanh(u)) / 2 = σ(2u)`.
#[inline(always)]
fn gelu_gate(x: f32) -> f32 {
    GELU_SCALE * (GELU_CUBIC * x * x).mul_add(x, x)
}
