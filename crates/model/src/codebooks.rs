//! Trained codebooks of one side: vectors → codes, level by level.

use std::collections::HashMap;

use das_core::Side;
use das_nn::kernels;
use das_nn::safetensors_io::{NamedTensor, TensorData};

use crate::encoder::EncodedRows;
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
}

impl Codebooks {
    /// Takes codebooks `[size, dim]` of at least one level.
    pub(crate) fn new(dim: usize, levels: Vec<Vec<f32>>) -> Codebooks {
        Codebooks { dim, levels }
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
        Ok(Codebooks { dim, levels })
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
    pub(crate) fn quantize(&self, vectors: Vec<f32>) -> EncodedRows {
        let (dim, levels) = (self.dim, self.levels.len());
        let mut codes = vec![0; vectors.len() / dim * levels];
        let mut residuals = vectors;
        let mut last_residuals = Vec::new();
        for (level, book) in self.levels.iter().enumerate() {
            if level + 1 == levels {
                last_residuals.clone_from(&residuals);
            }
            let chosen = kernels::assign(&residuals, book, dim).codes;
            for (row, &code) in chosen.iter().enumerate() {
                codes[row * levels + level] = code;
                let code = &book[code as usize * dim..][..dim];
                for (r, e) in residuals[row * dim..][..dim].iter_mut().zip(code) {
                    *r -= e;
                }
            }
        }
        let quantized = self.sum_of_codes(&codes);
        EncodedRows { codes, quantized, last_residuals }
    }

    /// The sum of the chosen vectors of each row of `codes` `[n, levels]`: `[n, dim]`.
    pub(crate) fn sum_of_codes(&self, codes: &[u32]) -> Vec<f32> {
        let (dim, levels) = (self.dim, self.levels.len());
        let mut quantized = vec![0.0; codes.len() / levels * dim];
        for (row, sum) in codes.chunks_exact(levels).zip(quantized.chunks_exact_mut(dim)) {
            for (&code, book) in row.iter().zip(&self.levels) {
                let code = &book[code as usize * dim..][..dim];
                sum.iter_mut().zip(code).for_each(|(s, e)| *s += e);
            }
        }
        quantized
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
