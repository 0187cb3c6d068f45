//! Content → codes with trained weights: inference without a tape.

use das_core::Side;
use das_nn::Params;
use das_nn::safetensors_io::NamedTensor;

use crate::Result;
use crate::adapter;
use crate::codebooks::{Codebooks, TensorMap, float_map};
use crate::frozen::FrozenMlp;
use crate::fusion::join_projections;
use crate::standard::Standard;

/// The encoder, codebooks and decoder of one side, ready to run on plain slices.
#[derive(Clone, Debug, PartialEq)]
pub struct SideEncoder {
    encoder: FrozenMlp,
    decoder: FrozenMlp,
    codebooks: Codebooks,
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
    /// Copies the weights of `side` out of a model's parameters; ID tables stay where they are.
    pub fn from_params(params: &Params, side: Side) -> Result<SideEncoder> {
        SideEncoder::from_map(tensors_of(params, side), side)
    }

    /// The same of a model that meets content as `standard` says; the encoder takes it as it is.
    pub(crate) fn standardized(
        params: &Params,
        side: Side,
        standard: &Standard,
    ) -> Result<SideEncoder> {
        let mut tensors = tensors_of(params, side);
        standard.fold(&mut tensors, &format!("{side}.encoder"), &format!("{side}.decoder"));
        SideEncoder::from_map(tensors, side)
    }

    /// Builds the encoder of `side` from loaded tensors; shapes are checked against each other.
    pub fn from_tensors(tensors: &[NamedTensor], side: Side) -> Result<SideEncoder> {
        SideEncoder::from_map(float_map(tensors), side)
    }

    fn from_map(mut tensors: TensorMap, side: Side) -> Result<SideEncoder> {
        let encoder = FrozenMlp::take(&mut tensors, &format!("{side}.encoder"))?;
        let decoder = FrozenMlp::take(&mut tensors, &format!("{side}.decoder"))?;
        let dim = encoder.outputs();
        let codebooks = Codebooks::take(&mut tensors, side, dim)?;
        Ok(SideEncoder { encoder, decoder, codebooks })
    }

    /// Width of the content vectors.
    pub fn content_dim(&self) -> usize {
        self.encoder.inputs()
    }

    /// Width d of codes and quantized vectors.
    pub fn code_dim(&self) -> usize {
        self.encoder.outputs()
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
        self.encoder.forward(content)
    }

    /// x̂ `[n, content_dim]` of quantized vectors `[n, d]`.
    pub fn decode(&self, quantized: &[f32]) -> Vec<f32> {
        self.decoder.forward(quantized)
    }

    /// Codes, quantized vectors and last residuals of `content` `[n, content_dim]`.
    pub fn encode(&self, content: &[f32]) -> EncodedRows {
        self.codebooks.encode(&self.encoder, content)
    }

    /// The tensors under the names that training uses.
    pub fn to_tensors(&self, side: Side) -> Vec<NamedTensor> {
        let mut tensors = self.encoder.to_tensors(&format!("{side}.encoder"));
        tensors.extend(self.decoder.to_tensors(&format!("{side}.decoder")));
        tensors.extend(self.codebooks.to_tensors(side));
        tensors
    }
}

/// The tensors of `side`, with what is trained apart put together.
fn tensors_of(params: &Params, side: Side) -> TensorMap {
    let parts = ["adapter", "encoder", "decoder", "codebook"];
    let parts = parts.map(|part| format!("{side}.{part}."));
    let is_part = |name: &str| parts.iter().any(|part| name.starts_with(part));
    let mut tensors: TensorMap = params
        .ids()
        .filter(|&id| is_part(params.name(id)))
        .map(|id| {
            let tensor = params.get(id);
            let shape = vec![tensor.rows(), tensor.cols()];
            (params.name(id).to_string(), (shape, tensor.to_vec()))
        })
        .collect();
    let encoder = format!("{side}.encoder");
    join_projections(&mut tensors, &encoder);
    adapter::fold(&mut tensors, &format!("{side}.adapter"), &encoder);
    tensors
}
