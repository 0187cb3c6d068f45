//! Content → codes with trained weights: inference without a tape.

use das_core::Side;
use das_nn::Params;
use das_nn::kernels::{self, Activation};
use das_nn::safetensors_io::NamedTensor;

use crate::codebooks::{Codebooks, TensorMap, float, float_map};
use crate::fusion::join_projections;
use crate::{Error, Result};

/// The encoder, codebooks and decoder of one side, ready to run on plain slices.
#[derive(Clone, Debug, PartialEq)]
pub struct SideEncoder {
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
    codebooks: Codebooks,
}

/// A linear layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
    fan_in: usize,
}

/// Codes and vectors of a run of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncodedRows {
    /// `[n, levels]`, row-major.
    pub codes: Vec<u32>,
    /// q = Σ_l e^l_{c_l}, `[n, d]`.
    pub quantized: Vec<f32>,
    /// What the last level was given to quantize, r_{L−1}, `[n, d]`.
    pub last_residuals: Vec<f32>,
}

impl SideEncoder {
    /// Copies the weights of `side` out of a model's parameters.
    pub fn from_params(params: &Params, side: Side) -> Result<SideEncoder> {
        let prefix = format!("{side}.");
        let mut tensors: TensorMap = params
            .ids()
            .filter(|&id| params.name(id).starts_with(&prefix))
            .map(|id| {
                let tensor = params.get(id);
                let shape = vec![tensor.rows(), tensor.cols()];
                (params.name(id).to_string(), (shape, tensor.to_vec()))
            })
            .collect();
        join_projections(&mut tensors, &format!("{side}.encoder"));
        SideEncoder::from_map(tensors, side)
    }

    /// Builds the encoder of `side` from loaded tensors; shapes are checked against each other.
    pub fn from_tensors(tensors: &[NamedTensor], side: Side) -> Result<SideEncoder> {
        SideEncoder::from_map(float_map(tensors), side)
    }

    fn from_map(mut tensors: TensorMap, side: Side) -> Result<SideEncoder> {
        let encoder = take_layers(&mut tensors, &format!("{side}.encoder"))?;
        let decoder = take_layers(&mut tensors, &format!("{side}.decoder"))?;
        let dim = encoder.last().map_or(0, Layer::fan_out);
        let codebooks = Codebooks::take(&mut tensors, side, dim)?;
        Ok(SideEncoder { encoder, decoder, codebooks })
    }

    /// Width of the content vectors.
    pub fn content_dim(&self) -> usize {
        self.encoder[0].fan_in
    }

    /// Width d of codes and quantized vectors.
    pub fn code_dim(&self) -> usize {
        self.encoder.last().map_or(0, Layer::fan_out)
    }

    /// Codes of each level.
    pub fn codebook_sizes(&self) -> Vec<u32> {
        self.codebooks.sizes()
    }

    /// Number of levels, at least 1.
    pub fn num_levels(&self) -> usize {
        self.codebooks.num_levels()
    }

    /// The codes of `level`, `[size, d]`.
    pub fn codebook(&self, level: usize) -> &[f32] {
        self.codebooks.level(level)
    }

    /// Encoder outputs z `[n, d]` of `content` `[n, content_dim]`.
    pub fn latents(&self, content: &[f32]) -> Vec<f32> {
        forward(&self.encoder, content)
    }

    /// x̂ `[n, content_dim]` of quantized vectors `[n, d]`.
    pub fn decode(&self, quantized: &[f32]) -> Vec<f32> {
        forward(&self.decoder, quantized)
    }

    /// Codes, quantized vectors and last residuals of `content` `[n, content_dim]`.
    pub fn encode(&self, content: &[f32]) -> EncodedRows {
        self.codebooks.quantize(self.latents(content))
    }

    /// The tensors under the names that training uses.
    pub fn to_tensors(&self, side: Side) -> Vec<NamedTensor> {
        let mut tensors = layer_tensors(&self.encoder, &format!("{side}.encoder"));
        tensors.extend(layer_tensors(&self.decoder, &format!("{side}.decoder")));
        tensors.extend(self.codebooks.to_tensors(side));
        tensors
    }
}

impl Layer {
    /// Width of what it is given.
    pub(crate) fn fan_in(&self) -> usize {
        self.fan_in
    }

    /// Width of what it yields.
    pub(crate) fn fan_out(&self) -> usize {
        self.bias.len()
    }
}

/// The tensors of layers that are called `PREFIX.0`, `PREFIX.1`, ….
pub(crate) fn layer_tensors(layers: &[Layer], prefix: &str) -> Vec<NamedTensor> {
    let of_layer = |(at, layer): (usize, &Layer)| {
        let shape = vec![layer.fan_out(), layer.fan_in];
        let name = |what| format!("{prefix}.{at}.{what}");
        [
            float(name("weight"), shape, &layer.weight),
            float(name("bias"), vec![1, layer.fan_out()], &layer.bias),
        ]
    };
    layers.iter().enumerate().flat_map(of_layer).collect()
}

/// Runs `input` `[n, fan_in]` through layers with ReLU between them; at least one layer.
pub(crate) fn forward(layers: &[Layer], input: &[f32]) -> Vec<f32> {
    let mut x = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        let last = at + 1 == layers.len();
        let activation = if last { Activation::Identity } else { Activation::Relu };
        let input = if at == 0 { input } else { &x };
        let rows = input.len() / layer.fan_in;
        let mut output = vec![0.0; rows * layer.fan_out()];
        kernels::linear_forward(input, rows, &layer.weight, &layer.bias, activation, &mut output);
        x = output;
    }
    x
}

/// Takes the layers `PREFIX.0`, `PREFIX.1`, … out of loaded tensors; at least one.
pub(crate) fn take_layers(tensors: &mut TensorMap, prefix: &str) -> Result<Vec<Layer>> {
    let mut layers: Vec<Layer> = Vec::new();
    loop {
        let name = |what| format!("{prefix}.{}.{what}", layers.len());
        let Some((shape, weight)) = tensors.remove(&name("weight")) else { break };
        let Some((_, bias)) = tensors.remove(&name("bias")) else {
            return Err(Error::Invalid(format!("tensor `{}` is missing", name("bias"))));
        };
        let before = layers.last().map(Layer::fan_out);
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
    Ok(layers)
}
