//! The VQ code of QARM: which items of a fixed pool are nearest.

use das_core::Clicks;
use das_core::metrics::top_k;
use das_nn::kernels::matmul;
use das_nn::safetensors_io::{self, NamedTensor, TensorData};
use rayon::prelude::*;

use crate::codebooks::float;
use crate::{Error, Result};

/// Rows scored at a time.
const BLOCK: usize = 64;
const VECTORS: &str = "item.vq_pool";
const ITEMS: &str = "item.vq_pool_items";
const CODES: &str = "item.vq_codes";

/// Aligned, unit-length vectors of a pool of items, among which the nearest make up a code. An
/// artifact holds it in [`VqPool::FILE`], beside the codes of all items.
#[derive(Clone, Debug, PartialEq)]
pub struct VqPool {
    dim: usize,
    /// `[P, dim]`.
    vectors: Vec<f32>,
    items: Vec<u32>,
}

impl VqPool {
    /// The artifact's file of the pool and of the codes of all items, see [`VqCodes`].
    pub const FILE: &str = "vq.safetensors";

    /// A pool of `items` with `vectors` `[items.len(), dim]`.
    pub(super) fn new(items: Vec<u32>, vectors: Vec<f32>) -> VqPool {
        VqPool { dim: vectors.len() / items.len().max(1), vectors, items }
    }

    /// Reads the pool of a [`VqPool::FILE`]; shapes and values are checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<VqPool> {
        let mut tensors = safetensors_io::from_bytes(bytes)?.tensors;
        match (take(&mut tensors, VECTORS), take(&mut tensors, ITEMS)) {
            (
                Some(NamedTensor { shape, data: TensorData::F32(vectors), .. }),
                Some(NamedTensor { data: TensorData::U32(items), .. }),
            ) if shape.len() == 2 && shape[0] == items.len() && !vectors.is_empty() => {
                Ok(VqPool { dim: shape[1], vectors, items })
            }
            _ => Err(Error::Invalid(format!(
                "expected tensors `{VECTORS}` of floats [P, d] and `{ITEMS}` of P numbers"
            ))),
        }
    }

    /// Number of items in the pool.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the pool is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The item row of each entry of the pool.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// The code of each of `vectors` `[n, dim]`, as [`ResidualTokenizer::vectors`] gives them: the
    /// `k` entries of the pool (all, where there are fewer) with the largest inner product, the
    /// nearest first, ties by number. `[n, min(k, P)]`. An item of the pool finds itself.
    ///
    /// [`ResidualTokenizer::vectors`]: crate::ResidualTokenizer::vectors
    ///
    /// # Errors
    /// If `vectors` is not rows of the pool's width.
    pub fn codes(&self, vectors: &[f32], k: usize) -> Result<Vec<u32>> {
        if self.dim == 0 || !vectors.len().is_multiple_of(self.dim) {
            let (found, dim) = (vectors.len(), self.dim);
            return Err(Error::Invalid(format!("{found} values are not rows of width {dim}")));
        }
        let (count, k) = (self.len(), k.min(self.len()));
        let mut codes = Vec::with_capacity(vectors.len() / self.dim * k);
        let mut scores = vec![0.0; BLOCK * count];
        for block in vectors.chunks(BLOCK * self.dim) {
            let rows = block.len() / self.dim;
            let scores = &mut scores[..rows * count];
            matmul::abt(block, &self.vectors, (rows, self.dim, count), scores);
            let nearest: Vec<Vec<u32>> =
                scores.par_chunks(count).map(|scores| top_k(scores, k)).collect();
            codes.extend(nearest.into_iter().flatten());
        }
        Ok(codes)
    }

    /// Pool and codes `[n, k]` as the tensors of [`VqPool::FILE`].
    pub(super) fn to_tensors(&self, codes: Vec<u32>, rows: usize) -> Vec<NamedTensor> {
        let numbers = |name: &str, shape: Vec<usize>, values: Vec<u32>| NamedTensor {
            name: name.to_string(),
            shape,
            data: TensorData::U32(values),
        };
        let k = codes.len() / rows.max(1);
        vec![
            float(VECTORS.to_string(), vec![self.len(), self.dim], &self.vectors),
            numbers(ITEMS, vec![self.len()], self.items.clone()),
            numbers(CODES, vec![rows, k], codes),
        ]
    }
}

/// The VQ codes of all items of an artifact, a multi-valued feature for rankers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VqCodes {
    /// Number of items in the pool, which every code is below.
    pub pool: usize,
    /// Codes an item.
    pub k: usize,
    /// `[items, k]`.
    pub codes: Vec<u32>,
}

impl VqCodes {
    /// Reads the codes of a [`VqPool::FILE`]; shapes and values are checked.
    ///
    /// # Errors
    /// If the bytes hold anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<VqCodes> {
        let mut tensors = safetensors_io::from_bytes(bytes)?.tensors;
        match (take(&mut tensors, ITEMS), take(&mut tensors, CODES)) {
            (
                Some(NamedTensor { data: TensorData::U32(items), .. }),
                Some(NamedTensor { shape, data: TensorData::U32(codes), .. }),
            ) if shape.len() == 2 && codes.iter().all(|&code| (code as usize) < items.len()) => {
                Ok(VqCodes { pool: items.len(), k: shape[1], codes })
            }
            _ => Err(Error::Invalid(format!(
                "expected tensors `{ITEMS}` of P numbers and `{CODES}` [items, k] of numbers below P"
            ))),
        }
    }
}

fn take(tensors: &mut Vec<NamedTensor>, name: &str) -> Option<NamedTensor> {
    let at = tensors.iter().position(|tensor| tensor.name == name)?;
    Some(tensors.swap_remove(at))
}

/// The items of a pool of at most `limit`: those with the most training clicks, ascending.
pub(super) fn pool_items(clicks: &dyn Clicks, limit: usize) -> Vec<u32> {
    let counts = clicks.item_clicks();
    let mut items: Vec<u32> =
        (0..counts.len() as u32).filter(|&item| counts[item as usize] > 0).collect();
    items.sort_by_key(|&item| std::cmp::Reverse(counts[item as usize]));
    items.truncate(limit);
    items.sort_unstable();
    items
}
