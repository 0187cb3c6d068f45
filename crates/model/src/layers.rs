//! Stacks of linear layers and their initial values.

use das_nn::{Activation, ParamId, ParamKind, Params, Tape, Var};
use rand::Rng;
use rand_distr::StandardNormal;

use crate::Result;

/// Linear layers with ReLU between them and none after the last.
#[derive(Clone, Debug)]
pub(crate) struct Mlp {
    layers: Vec<(ParamId, ParamId)>,
}

impl Mlp {
    /// Registers `NAME.0.weight`, `NAME.0.bias`, … for layers of the given `widths`, drawn
    /// uniformly from ±1/√fan_in (PyTorch's default for linear layers).
    pub(crate) fn new(
        params: &mut Params,
        name: &str,
        widths: &[usize],
        rng: &mut impl Rng,
    ) -> Result<Mlp> {
        let mut layers = Vec::with_capacity(widths.len() - 1);
        for (at, pair) in widths.windows(2).enumerate() {
            let (fan_in, fan_out) = (pair[0], pair[1]);
            let bound = (fan_in as f32).powf(-0.5);
            let mut draw = |count| uniform(count, bound, rng);
            let (weight, bias) = (draw(fan_out * fan_in), draw(fan_out));
            let dense = ParamKind::Dense;
            let weight =
                params.add(&format!("{name}.{at}.weight"), dense, fan_out, fan_in, &weight)?;
            let bias = params.add(&format!("{name}.{at}.bias"), dense, 1, fan_out, &bias)?;
            layers.push((weight, bias));
        }
        Ok(Mlp { layers })
    }

    /// x `[n, widths[0]]` → `[n, widths[last]]`.
    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var) -> Var {
        let mut x = x;
        for (at, &(weight, bias)) in self.layers.iter().enumerate() {
            let last = at + 1 == self.layers.len();
            let activation = if last { Activation::Identity } else { Activation::Relu };
            x = tape.linear(x, weight, bias, activation);
        }
        x
    }
}

fn uniform(count: usize, bound: f32, rng: &mut impl Rng) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-bound..=bound)).collect()
}

/// Draws from N(0, `deviation`²).
pub(crate) fn normal(count: usize, deviation: f32, rng: &mut impl Rng) -> Vec<f32> {
    rng.sample_iter(StandardNormal).take(count).map(|value: f32| value * deviation).collect()
}
