//! Parameters of a model, drawn anew or taken from a file.

use std::collections::HashMap;

use das_core::streams::stream;
use das_nn::safetensors_io::{NamedTensor, TensorData};
use das_nn::{Activation, Device, ParamId, ParamKind, Params, Tape, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::{Error, Result};

/// Standard deviation of fresh embeddings.
const TABLE_DEVIATION: f32 = 0.05;

/// Adds parameters by name and shape, values from its source.
pub(super) struct Builder<'a> {
    params: Params,
    source: Source<'a>,
}

enum Source<'a> {
    /// Each parameter from a stream of its own name: one more table changes no other.
    Seed(u64),
    Saved(HashMap<&'a str, &'a NamedTensor>),
}

/// A linear layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    pub(super) weight: ParamId,
    pub(super) bias: ParamId,
}

impl Linear {
    /// `act(x wᵀ + b)`.
    pub(super) fn forward(self, tape: &mut Tape<'_>, x: Var, activation: Activation) -> Var {
        tape.linear(x, self.weight, self.bias, activation)
    }
}

impl<'a> Builder<'a> {
    /// Fresh parameters.
    pub(super) fn fresh(device: &Device, seed: u64) -> Builder<'a> {
        Builder { params: Params::new(device), source: Source::Seed(seed) }
    }

    /// Parameters of a file. No size is believed that its tensors do not have.
    pub(super) fn saved(device: &Device, tensors: &'a [NamedTensor]) -> Builder<'a> {
        let by_name = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        Builder { params: Params::new(device), source: Source::Saved(by_name) }
    }

    /// An embedding table, N(0, 0.05²).
    pub(super) fn table(&mut self, name: &str, rows: usize, dim: usize) -> Result<ParamId> {
        self.add(name, ParamKind::Table, (rows, dim), |rng, count| {
            let normal = rng.sample_iter(StandardNormal).take(count);
            normal.map(|value: f32| value * TABLE_DEVIATION).collect()
        })
    }

    /// `NAME.weight` and `NAME.bias`, uniform within ±1/√fan_in (PyTorch's default).
    pub(super) fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let bound = (inputs as f32).powf(-0.5);
        let draw = |rng: &mut ChaCha8Rng, count| {
            (0..count).map(|_| rng.random_range(-bound..=bound)).collect()
        };
        let dense = ParamKind::Dense;
        let weight = self.add(&format!("{name}.weight"), dense, (outputs, inputs), draw)?;
        let bias = self.add(&format!("{name}.bias"), dense, (1, outputs), draw)?;
        Ok(Linear { weight, bias })
    }

    /// The parameters.
    ///
    /// # Errors
    /// If the file has a tensor that was not asked for.
    pub(super) fn finish(self) -> Result<Params> {
        if let Source::Saved(tensors) = self.source {
            let unknown = tensors.keys().copied().filter(|name| self.params.id(name).is_none());
            if let Some(name) = unknown.min() {
                return Err(das_nn::Error::UnexpectedTensor { name: name.to_owned() }.into());
            }
        }
        Ok(self.params)
    }

    fn add(
        &mut self,
        name: &str,
        kind: ParamKind,
        (rows, cols): (usize, usize),
        draw: impl FnOnce(&mut ChaCha8Rng, usize) -> Vec<f32>,
    ) -> Result<ParamId> {
        let drawn;
        let values = match &self.source {
            Source::Seed(seed) => {
                drawn = draw(&mut stream(*seed, &format!("ranker {name}"), 0), rows * cols);
                &drawn
            }
            Source::Saved(tensors) => saved_values(tensors, name, [rows, cols])?,
        };
        Ok(self.params.add(name, kind, rows, cols, values)?)
    }
}

fn saved_values<'a>(
    tensors: &HashMap<&str, &'a NamedTensor>,
    name: &str,
    shape: [usize; 2],
) -> Result<&'a Vec<f32>> {
    let missing = || das_nn::Error::MissingTensor { name: name.to_owned() };
    let tensor = *tensors.get(name).ok_or_else(missing)?;
    match &tensor.data {
        TensorData::F32(values) if tensor.shape == shape => Ok(values),
        data => {
            let (found, of_shape) = (data.dtype(), &tensor.shape);
            let message =
                format!("tensor `{name}`: expected f32 {shape:?}, found {found} {of_shape:?}");
            Err(Error::Stored { model: "ranker", message })
        }
    }
}
