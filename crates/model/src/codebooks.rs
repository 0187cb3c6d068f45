//! Trained codebooks of one side: vectors → codes, level by level.

use std::collections::HashMap;

use das_core::Side;
use das_nn::kernels::{FrozenCodebooks, Quantized};
use das_nn::safetensors_io::{NamedTensor, TensorData};

use crate::encoder::EncodedRows;
use crate::frozen::FrozenMlp;
use crate::uism::codebook_name;
use crate::{Error, Result};

/// Shape and values by name.
pub(crate) type TensorMap = HashMap<String, (Vec<usize>, Vec<f32>)>;

/// The codebooks of all levels, coarse level first; at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Codebooks {
    dim: usize,
    /// `[size, dim]` each.
    levels: Vec<Vec<f32>>,
    packed: FrozenCodebooks,
}

impl Codebooks {
    /// Takes codebooks `[size, dim]` of at least one level.
    pub(crate) fn new(dim: usize, levels: Vec<Vec<f32>>) -> Codebooks {
        let packed = FrozenCodebooks::new(levels.iter().map(Vec::as_slice), dim);
        Codebooks { dim, levels, packed }
    }

    /// Takes the codebooks of `side` for vectors of width `dim` out of loaded tensors.
    pub(crate) fn take(tensors: &mut TensorMap, side: Side, dim: usize) -> Result<Codebooks> {
        let mut levels = Vec::new();
        while let Some((shape, codes)) = tensors.remove(&codebook_name(side, levels.len())) {
            if shape.len() != 2 || shape[1] != dim || codes.is_empty() {
                let name = codebook_name(side, levels.len());
                return Err(Error::Invalid(format!(
                    "tensor `{name}`: expected shape [codes, {dim}], found {shape:?}"
                )));
            }
            levels.push(codes);
        }
        if levels.is_empty() {
            let name = codebook_name(side, 0);
            return Err(Error::Invalid(format!("tensor `{name}` is missing")));
        }
        Ok(Codebooks::new(dim, levels))
    }

    /// Width of the codes.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Number of levels.
    pub(crate) fn num_levels(&self) -> usize {
        self.levels.len()
    }

    /// Codes of each level.
    pub(crate) fn sizes(&self) -> Vec<u32> {
        self.levels.iter().map(|codes| (codes.len() / self.dim) as u32).collect()
    }

    /// The codes of `level`, `[size, dim]`.
    pub(crate) fn level(&self, level: usize) -> &[f32] {
        &self.levels[level]
    }

    /// The codes of the last level, `[size, dim]`.
    pub(crate) fn last(&self) -> &[f32] {
        self.level(self.levels.len() - 1)
    }

    /// The nearest code of each level to what the levels before it leave of `vectors` `[n, dim]`.
    pub(crate) fn quantize(&self, vectors: &[f32]) -> EncodedRows {
        self.fill(vectors.len() / self.dim, |out| self.packed.quantize(vectors, out))
    }

    /// The same of what `encoder` makes of `content` `[n, inputs]`.
    pub(crate) fn encode(&self, encoder: &FrozenMlp, content: &[f32]) -> EncodedRows {
        let rows = content.len() / encoder.inputs();
        self.fill(rows, |out| self.packed.encode(encoder.packed(), content, out))
    }

    fn fill(&self, rows: usize, quantize: impl FnOnce(Quantized<'_>)) -> EncodedRows {
        let mut encoded = EncodedRows {
            codes: vec![0; rows * self.levels.len()],
            quantized: vec![0.0; rows * self.dim],
            last_residuals: vec![0.0; rows * self.dim],
        };
        quantize(Quantized {
            codes: &mut encoded.codes,
            quantized: &mut encoded.quantized,
            last_residuals: &mut encoded.last_residuals,
        });
        encoded
    }

    /// The codebooks under the names that training uses.
    pub(crate) fn to_tensors(&self, side: Side) -> Vec<NamedTensor> {
        let tensor = |(level, codes): (usize, &Vec<f32>)| {
            let shape = vec![codes.len() / self.dim, self.dim];
            float(codebook_name(side, level), shape, codes)
        };
        self.levels.iter().enumerate().map(tensor).collect()
    }
}

/// A tensor of floats.
pub(crate) fn float(name: String, shape: Vec<usize>, values: &[f32]) -> NamedTensor {
    NamedTensor { name, shape, data: TensorData::F32(values.to_vec()) }
}

/// The tensors of floats among `tensors`, by name.
pub(crate) fn float_map(tensors: &[NamedTensor]) -> TensorMap {
    let float = |tensor: &NamedTensor| {
        let values = tensor.data.as_f32()?.to_vec();
        Some((tensor.name.clone(), (tensor.shape.clone(), values)))
    };
    tensors.iter().filter_map(float).collect()
}
