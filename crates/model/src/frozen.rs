//! Trained layers, ready to run on plain slices.

use das_nn::kernels::FrozenLayers;
use das_nn::safetensors_io::NamedTensor;

use crate::codebooks::{TensorMap, float};
use crate::{Error, Result};

/// Linear layers with ReLU between them and none after the last; at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FrozenMlp {
    layers: Vec<Layer>,
    packed: FrozenLayers,
}

#[derive(Clone, Debug, PartialEq)]
struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
    fan_in: usize,
}

impl FrozenMlp {
    /// Takes the layers `PREFIX.0`, `PREFIX.1`, … out of loaded tensors.
    pub(crate) fn take(tensors: &mut TensorMap, prefix: &str) -> Result<FrozenMlp> {
        let mut layers: Vec<Layer> = Vec::new();
        loop {
            let name = |what| format!("{prefix}.{}.{what}", layers.len());
            let Some((shape, weight)) = tensors.remove(&name("weight")) else { break };
            let Some((_, bias)) = tensors.remove(&name("bias")) else {
                return Err(Error::Invalid(format!("tensor `{}` is missing", name("bias"))));
            };
            let before = layers.last().map(|layer| layer.bias.len());
            let fits = shape.len() == 2
                && shape[0] == bias.len()
                && shape.iter().all(|&size| size > 0)
                && before.is_none_or(|width| width == shape[1]);
            if !fits {
                return Err(Error::Invalid(format!(
                    "tensor `{}`: expected shape [{}, {}], found {shape:?}",
                    name("weight"),
                    bias.len(),
                    before.map_or("any".to_string(), |width| width.to_string()),
                )));
            }
            layers.push(Layer { weight, bias, fan_in: shape[1] });
        }
        if layers.is_empty() {
            return Err(Error::Invalid(format!("tensor `{prefix}.0.weight` is missing")));
        }
        let packed =
            FrozenLayers::new(layers.iter().map(|layer| (&layer.weight[..], &layer.bias[..])));
        Ok(FrozenMlp { layers, packed })
    }

    /// Width of what it is given.
    pub(crate) fn inputs(&self) -> usize {
        self.packed.inputs()
    }

    /// Width of what it yields.
    pub(crate) fn outputs(&self) -> usize {
        self.packed.outputs()
    }

    /// What it makes of `input` `[n, inputs]`: `[n, outputs]`.
    pub(crate) fn forward(&self, input: &[f32]) -> Vec<f32> {
        self.packed.forward(input)
    }

    /// The layers for kernels that do more than run them.
    pub(crate) fn packed(&self) -> &FrozenLayers {
        &self.packed
    }

    /// The layers as tensors that are called `PREFIX.0`, `PREFIX.1`, ….
    pub(crate) fn to_tensors(&self, prefix: &str) -> Vec<NamedTensor> {
        let of_layer = |(at, layer): (usize, &Layer)| {
            let shape = vec![layer.bias.len(), layer.fan_in];
            let name = |what| format!("{prefix}.{at}.{what}");
            [
                float(name("weight"), shape, &layer.weight),
                float(name("bias"), vec![1, layer.bias.len()], &layer.bias),
            ]
        };
        self.layers.iter().enumerate().flat_map(of_layer).collect()
    }
}
