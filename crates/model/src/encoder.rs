//! Content → codes with trained weights: inference without a tape.

use std::collections::HashMap;

use das_core::Side;
use das_nn::Params;
use das_nn::kernels::{self, Activation};
use das_nn::safetensors_io::{NamedTensor, TensorData};

use crate::uism::codebook_name;
use crate::{Error, Result};

/// The encoder, codebooks and decoder of one side, ready to run on plain slices.
#[derive(Clone, Debug, PartialEq)]
pub struct SideEncoder {
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
    codebooks: Vec<Codebook>,
}

/// Shape and values by name.
type TensorMap = HashMap<String, (Vec<usize>, Vec<f32>)>;

#[derive(Clone, Debug, PartialEq)]
struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
    fan_in: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Codebook {
    /// `[size, dim]`.
    codes: Vec<f32>,
    size: usize,
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
        let tensors = params
            .ids()
            .filter(|&id| params.name(id).starts_with(&prefix))
            .map(|id| {
                let tensor = params.get(id);
                let shape = vec![tensor.rows(), tensor.cols()];
                (params.name(id).to_string(), (shape, tensor.to_vec()))
            })
            .collect();
        SideEncoder::from_map(tensors, side)
    }

    /// Builds the encoder of `side` from loaded tensors; shapes are checked against each other.
    pub fn from_tensors(tensors: &[NamedTensor], side: Side) -> Result<SideEncoder> {
        let float = |tensor: &NamedTensor| match &tensor.data {
            TensorData::F32(values) => {
                Some((tensor.name.clone(), (tensor.shape.clone(), values.clone())))
            }
            _ => None,
        };
        SideEncoder::from_map(tensors.iter().filter_map(float).collect(), side)
    }

    fn from_map(mut tensors: TensorMap, side: Side) -> Result<SideEncoder> {
        let encoder = take_layers(&mut tensors, &format!("{side}.encoder"))?;
        let decoder = take_layers(&mut tensors, &format!("{side}.decoder"))?;
        let dim = encoder.last().map_or(0, Layer::fan_out);
        let mut codebooks = Vec::new();
        while let Some((shape, codes)) = tensors.remove(&codebook_name(side, codebooks.len())) {
            if shape.len() != 2 || shape[1] != dim || shape[0] == 0 {
                let name = codebook_name(side, codebooks.len());
                return Err(Error::Invalid(format!(
                    "tensor `{name}`: expected shape [codes, {dim}], found {shape:?}"
                )));
            }
            codebooks.push(Codebook { codes, size: shape[0] });
        }
        if codebooks.is_empty() {
            let name = codebook_name(side, 0);
            return Err(Error::Invalid(format!("tensor `{name}` is missing")));
        }
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
        self.codebooks.iter().map(|book| book.size as u32).collect()
    }

    /// The codes of `level`, `[size, d]`.
    pub fn codebook(&self, level: usize) -> &[f32] {
        &self.codebooks[level].codes
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
        self.quantize(self.latents(content))
    }

    fn quantize(&self, latents: Vec<f32>) -> EncodedRows {
        let (dim, levels) = (self.code_dim(), self.codebooks.len());
        let rows = latents.len() / dim;
        let mut codes = vec![0; rows * levels];
        let mut residuals = latents.clone();
        let mut last_residuals = Vec::new();
        for (level, book) in self.codebooks.iter().enumerate() {
            if level + 1 == levels {
                last_residuals.clone_from(&residuals);
            }
            let chosen = kernels::assign(&residuals, &book.codes, dim).codes;
            for (row, &code) in chosen.iter().enumerate() {
                codes[row * levels + level] = code;
                let code = &book.codes[code as usize * dim..][..dim];
                for (r, e) in residuals[row * dim..][..dim].iter_mut().zip(code) {
                    *r -= e;
                }
            }
        }
        let quantized = self.sum_of_codes(&codes);
        EncodedRows { codes, quantized, last_residuals }
    }

    /// q of given codes: the sum of the chosen vectors, `[n, d]`.
    pub fn sum_of_codes(&self, codes: &[u32]) -> Vec<f32> {
        let (dim, levels) = (self.code_dim(), self.codebooks.len());
        let mut quantized = vec![0.0; codes.len() / levels * dim];
        for (row, sum) in codes.chunks_exact(levels).zip(quantized.chunks_exact_mut(dim)) {
            for (&code, book) in row.iter().zip(&self.codebooks) {
                let code = &book.codes[code as usize * dim..][..dim];
                sum.iter_mut().zip(code).for_each(|(s, e)| *s += e);
            }
        }
        quantized
    }

    /// The tensors under the names that training uses.
    pub fn to_tensors(&self, side: Side) -> Vec<NamedTensor> {
        let mut tensors = Vec::new();
        for (part, layers) in [("encoder", &self.encoder), ("decoder", &self.decoder)] {
            for (at, layer) in layers.iter().enumerate() {
                let shape = vec![layer.fan_out(), layer.fan_in];
                let name = |what| format!("{side}.{part}.{at}.{what}");
                tensors.push(float(name("weight"), shape, &layer.weight));
                tensors.push(float(name("bias"), vec![1, layer.fan_out()], &layer.bias));
            }
        }
        for (level, book) in self.codebooks.iter().enumerate() {
            let shape = vec![book.size, self.code_dim()];
            tensors.push(float(codebook_name(side, level), shape, &book.codes));
        }
        tensors
    }
}

impl Layer {
    fn fan_out(&self) -> usize {
        self.bias.len()
    }
}

fn float(name: String, shape: Vec<usize>, values: &[f32]) -> NamedTensor {
    NamedTensor { name, shape, data: TensorData::F32(values.to_vec()) }
}

fn forward(layers: &[Layer], input: &[f32]) -> Vec<f32> {
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

fn take_layers(tensors: &mut TensorMap, prefix: &str) -> Result<Vec<Layer>> {
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
