//! Activations and their derivatives.

use rayon::prelude::*;

use super::simd::{exp, vectorize};
use crate::kernels::backend::Activation;

/// Values per task.
const CHUNK: usize = 1 << 14;
/// `1 / √(2π)`, the normal density at 0.
const INVERSE_ROOT_TAU: f32 = 0.398_942_3;
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
        Activation::Gelu => y.iter_mut().for_each(|y| *y *= normal_cdf(*y)),
        Activation::GeluTanh => y.iter_mut().for_each(|y| *y *= sigmoid(gelu_gate(*y))),
    }
}

/// Multiplies `dy` by the derivative, given the activation's input if it
/// [needs that](Activation::needs_input), or else its value.
#[inline(always)]
pub(super) fn differentiate(act: Activation, activated: &[f32], dy: &mut [f32]) {
    match act {
        Activation::Identity => (),
        Activation::Relu => each(dy, activated, |g, y| if y > 0.0 { g } else { 0.0 }),
        Activation::Gelu => each(dy, activated, |g, x| g * gelu_slope(x)),
        Activation::GeluTanh => each(dy, activated, |g, x| g * gelu_tanh_slope(x)),
    }
}

/// `dy = f(dy, x)`. A loop, because `Iterator::for_each` of much work is compiled apart, for the
/// oldest machine.
#[inline(always)]
fn each(dy: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    for (g, &x) in dy.iter_mut().zip(x) {
        *g = f(*g, x);
    }
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let density = INVERSE_ROOT_TAU * exp(-0.5 * x * x);
    // Far out the density is 0, which an infinite square must not turn into NaN.
    let rise = if density > 0.0 { x * density } else { 0.0 };
    rise + normal_cdf(x)
}

#[inline(always)]
fn gelu_tanh_slope(x: f32) -> f32 {
    let gate = sigmoid(gelu_gate(x));
    let slope = GELU_SCALE * (3.0 * GELU_CUBIC * x).mul_add(x, 1.0);
    (x * slope * (1.0 - gate)).mul_add(gate, gate)
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

/// The normal distribution `Φ(x) = erfc(-x/√2) / 2`, by the fit of Press et al. (Numerical Recipes,
/// section 6.2) to `erfc`, whose relative error is below 1.2e-7 everywhere; rounding of the
/// exponent adds up to 1e-5 in the far tail.
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    const COEFFICIENTS: [f32; 9] = [
        0.170_872_77,
        -0.822_152_2,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
    ];
    let z = (x * std::f32::consts::FRAC_1_SQRT_2).abs();
    let t = 1.0 / 0.5f32.mul_add(z, 1.0);
    let mut p = COEFFICIENTS[0];
    for c in &COEFFICIENTS[1..] {
        p = p.mul_add(t, *c);
    }
    let tail = 0.5 * t * exp((-z).mul_add(z, p.mul_add(t, -1.265_512_2)));
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The argument of GELU's sigmoid: `(1 + tanh(u)) / 2 = σ(2u)`.
#[inline(always)]
fn gelu_gate(x: f32) -> f32 {
    GELU_SCALE * (GELU_CUBIC * x * x).mul_add(x, x)
}
