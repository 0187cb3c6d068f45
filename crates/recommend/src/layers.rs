//! Layers that the networks are made of, and their initial values.

use das_nn::safetensors_io::NamedTensor;
use das_nn::{Activation, Device, ParamId, ParamKind, Params, Tape, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::Result;

/// Standard deviation of embeddings before training.
const EMBEDDING_DEVIATION: f32 = 0.02;

/// Registers parameters: with initial values to be trained, or with zeros to be loaded over.
pub(crate) struct Builder {
    params: Params,
    rng: Option<ChaCha8Rng>,
}

impl Builder {
    /// Parameters with initial values drawn from `rng`.
    pub(crate) fn drawing(device: &Device, rng: ChaCha8Rng) -> Builder {
        Builder { params: Params::new(device), rng: Some(rng) }
    }

    /// Parameters that are only a shape yet.
    pub(crate) fn blank(device: &Device) -> Builder {
        Builder { params: Params::new(device), rng: None }
    }

    /// The parameters registered, in order.
    pub(crate) fn finish(self) -> Params {
        self.params
    }

    /// An embedding table, drawn from N(0, 0.02²). Its gradient is dense: the tables of this
    /// crate are small or meet a softmax over all of their rows.
    pub(crate) fn embedding(&mut self, name: &str, rows: usize, dim: usize) -> Result<ParamId> {
        let values = match &mut self.rng {
            Some(rng) => (0..rows * dim)
                .map(|_| rng.sample::<f32, _>(StandardNormal) * EMBEDDING_DEVIATION)
                .collect(),
            None => vec![0.0; rows * dim],
        };
        Ok(self.params.add(name, ParamKind::Dense, rows, dim, &values)?)
    }

    /// A matrix `[outputs, inputs]`, drawn uniformly within Glorot and Bengio's bound
    /// √(6 / (inputs + outputs)).
    pub(crate) fn matrix(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<ParamId> {
        let bound = (6.0 / (inputs + outputs) as f32).sqrt();
        let values: Vec<f32> = match &mut self.rng {
            Some(rng) => (0..outputs * inputs).map(|_| rng.random_range(-bound..=bound)).collect(),
            None => vec![0.0; outputs * inputs],
        };
        Ok(self.params.add(name, ParamKind::Dense, outputs, inputs, &values)?)
    }

    /// One row of equal values.
    fn row(&mut self, name: &str, dim: usize, value: f32) -> Result<ParamId> {
        Ok(self.params.add(name, ParamKind::Dense, 1, dim, &vec![value; dim])?)
    }
}

/// Whether loaded tensors hold as many values as a network that is about to be built, so that
/// nothing is allocated for sizes that a file only claims.
pub(crate) fn same_size(tensors: &[NamedTensor], expected: u128) -> bool {
    tensors.iter().map(|tensor| tensor.data.len() as u128).sum::<u128>() == expected
}

/// Dropout during training: its rate and its generator. Without one, nothing is dropped.
pub(crate) type Dropout<'a> = Option<(f32, &'a mut ChaCha8Rng)>;

pub(crate) fn dropout(tape: &mut Tape<'_>, x: Var, dropout: &mut Dropout<'_>) -> Var {
    match dropout {
        Some((rate, rng)) => tape.dropout(x, *rate, *rng),
        None => x,
    }
}

/// `x wᵀ + b`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    weight: ParamId,
    bias: ParamId,
}

impl Linear {
    pub(crate) fn new(
        builder: &mut Builder,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear> {
        let weight = builder.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let bias = builder.row(&format!("{name}.bias"), outputs, 0.0)?;
        Ok(Linear { weight, bias })
    }

    pub(crate) fn num_values(inputs: usize, outputs: usize) -> u128 {
        (inputs as u128 + 1) * outputs as u128
    }

    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var, activation: Activation) -> Var {
        tape.linear(x, self.weight, self.bias, activation)
    }
}

/// Layer normalisation (Ba et al., 2016).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    gain: ParamId,
    bias: ParamId,
}

impl Norm {
    pub(crate) fn new(builder: &mut Builder, name: &str, dim: usize) -> Result<Norm> {
        let gain = builder.row(&format!("{name}.gain"), dim, 1.0)?;
        let bias = builder.row(&format!("{name}.bias"), dim, 0.0)?;
        Ok(Norm { gain, bias })
    }

    pub(crate) fn num_values(dim: usize) -> u128 {
        2 * dim as u128
    }

    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var) -> Var {
        tape.layer_norm(x, self.gain, self.bias, Tape::LAYER_NORM_EPS)
    }
}

/// `x + FFN(norm(x))` with one hidden layer of GELUs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedForward {
    norm: Norm,
    rise: Linear,
    fall: Linear,
}

impl FeedForward {
    pub(crate) fn new(
        builder: &mut Builder,
        name: &str,
        dim: usize,
        hidden: usize,
    ) -> Result<FeedForward> {
        Ok(FeedForward {
            norm: Norm::new(builder, &format!("{name}.norm"), dim)?,
            rise: Linear::new(builder, &format!("{name}.rise"), dim, hidden)?,
            fall: Linear::new(builder, &format!("{name}.fall"), hidden, dim)?,
        })
    }

    pub(crate) fn num_values(dim: usize, hidden: usize) -> u128 {
        Norm::num_values(dim) + Linear::num_values(dim, hidden) + Linear::num_values(hidden, dim)
    }

    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var, drop: &mut Dropout<'_>) -> Var {
        let normed = self.norm.forward(tape, x);
        let hidden = self.rise.forward(tape, normed, Activation::GeluTanh);
        let change = self.fall.forward(tape, hidden, Activation::Identity);
        let change = dropout(tape, change, drop);
        tape.add(x, change)
    }
}
