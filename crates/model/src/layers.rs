//! Stacks of linear layers and their initial values.

use das_nn::{Activation, ParamId, ParamKind, Params, Tape, Var};
use rand::Rng;
use rand_distr::StandardNormal;

use crate::Result;

/// Linear layers with ReLU between them and none after the last.
#[derive(Clone, Debug)]
pub(crate) struct Mlp {
    layers: Vec<Linear>,
}

/// A linear layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    weight: ParamId,
    bias: ParamId,
}

impl Linear {
    /// Registers `NAME.weight` `[fan_out, fan_in]` and `NAME.bias`, drawn uniformly from ±1/√fan_in
    /// (PyTorch's default for linear layers).
    pub(crate) fn new(
        params: &mut Params,
        name: &str,
        fan_in: usize,
        fan_out: usize,
        rng: &mut impl Rng,
    ) -> Result<Linear> {
        let bound = (fan_in as f32).powf(-0.5);
        let mut draw = |count| uniform(count, bound, rng);
        let (weight, bias) = (draw(fan_out * fan_in), draw(fan_out));
        let dense = ParamKind::Dense;
        let weight = params.add(&format!("{name}.weight"), dense, fan_out, fan_in, &weight)?;
        let bias = params.add(&format!("{name}.bias"), dense, 1, fan_out, &bias)?;
        Ok(Linear { weight, bias })
    }

    /// The layer of parameters that are there.
    pub(crate) fn of(weight: ParamId, bias: ParamId) -> Linear {
        Linear { weight, bias }
    }

    /// The parameters, to which its outputs are proportional.
    pub(crate) fn params(self) -> [ParamId; 2] {
        [self.weight, self.bias]
    }

    /// What multiplies its inputs.
    pub(crate) fn weight(self) -> ParamId {
        self.weight
    }

    /// x `[n, fan_in]` → `[n, fan_out]`.
    pub(crate) fn forward(self, tape: &mut Tape<'_>, x: Var, act: Activation) -> Var {
        tape.linear(x, self.weight, self.bias, act)
    }
}

impl Mlp {
    /// Registers `NAME.0`, `NAME.1`, … for layers of the given `widths`.
    pub(crate) fn new(
        params: &mut Params,
        name: &str,
        widths: &[usize],
        rng: &mut impl Rng,
    ) -> Result<Mlp> {
        Mlp::continued(params, name, widths, 0, rng)
    }

    /// The same, counting layers from `first`. One width makes no layer.
    pub(crate) fn continued(
        params: &mut Params,
        name: &str,
        widths: &[usize],
        first: usize,
        rng: &mut impl Rng,
    ) -> Result<Mlp> {
        let layer = |(at, pair): (usize, &[usize])| {
            Linear::new(params, &format!("{name}.{}", first + at), pair[0], pair[1], rng)
        };
        Ok(Mlp { layers: widths.windows(2).enumerate().map(layer).collect::<Result<_>>()? })
    }

    /// The first layer.
    pub(crate) fn first(&self) -> Option<Linear> {
        self.layers.first().copied()
    }

    /// The last layer.
    pub(crate) fn last(&self) -> Option<Linear> {
        self.layers.last().copied()
    }

    /// Whether there is no layer.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// x `[n, widths[0]]` → `[n, widths[last]]`.
    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var) -> Var {
        let mut x = x;
        for (at, layer) in self.layers.iter().enumerate() {
            let last = at + 1 == self.layers.len();
            x = layer.forward(tape, x, if last { Activation::Identity } else { Activation::Relu });
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
