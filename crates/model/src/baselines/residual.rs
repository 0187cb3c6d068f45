//! Tokenizers without an autoencoder: residual k-means on content vectors, as they are or aligned
//! with behaviour first.

use das_core::progress::{Cancel, Silent};
use das_core::{RowMatrix, Side, Views};
use das_nn::kernels::kmeans::{refine_residual_kmeans, residual_kmeans};
use das_nn::safetensors_io::{self, Contents, NamedTensor};
use rand::Rng;
use rand::seq::index;

use crate::batch::gather;
use crate::codebooks::{Codebooks, TensorMap, float_map};
use crate::encoder::EncodedRows;
use crate::frozen::FrozenMlp;
use crate::method::Inputs;
use crate::tokenizer::METHOD;
use crate::train::{Validation, item_retrieval};
use crate::uism::codebook_name;
use crate::{Error, Keep, Result, Tokenizer, encode_all};

/// Whether vectors are brought to unit length, in the metadata of `model.safetensors`.
const NORMALIZE: &str = "normalize";
/// Rows mapped at a time.
const CHUNK_ROWS: usize = 4096;

/// x → x + MLP(x), or x itself where there are no layers; then, if asked for, to unit length.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Adapter {
    layers: Option<FrozenMlp>,
    normalize: bool,
}

impl Adapter {
    /// Leaves content as it is, or brings it to unit length.
    pub(crate) fn identity(normalize: bool) -> Adapter {
        Adapter { layers: None, normalize }
    }

    /// The adapter of `side` among `tensors`, [`Adapter::identity`] where there is none.
    pub(crate) fn take(tensors: &mut TensorMap, side: Side, normalize: bool) -> Result<Adapter> {
        let name = layers_name(side);
        let layers = match tensors.contains_key(&format!("{name}.0.weight")) {
            true => Some(FrozenMlp::take(tensors, &name)?),
            false => None,
        };
        Ok(Adapter { layers, normalize })
    }

    /// Maps `content` `[n, dim]` to vectors of the same shape.
    pub(crate) fn apply(&self, content: &[f32], dim: usize) -> Vec<f32> {
        let mut vectors = content.to_vec();
        if let Some(layers) = &self.layers {
            let moves = layers.forward(content);
            vectors.iter_mut().zip(&moves).for_each(|(x, moved)| *x += moved);
        }
        if self.normalize {
            for vector in vectors.chunks_exact_mut(dim) {
                let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
                vector.iter_mut().for_each(|x| *x /= norm);
            }
        }
        vectors
    }

    /// The mapped `rows` of `content`, `[rows.len(), dim]`.
    pub(crate) fn map_rows(
        &self,
        content: &dyn RowMatrix,
        rows: &[u32],
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let dim = content.dim();
        let mut vectors = Vec::with_capacity(rows.len() * dim);
        for chunk in rows.chunks(CHUNK_ROWS) {
            cancel.check()?;
            vectors.extend(self.apply(&gather(content, chunk), dim));
        }
        Ok(vectors)
    }
}

/// The name of an adapter's layers among the parameters and in `model.safetensors`.
pub(crate) fn layers_name(side: Side) -> String {
    format!("{side}.adapter")
}

/// How residual k-means is fitted.
#[derive(Clone, Debug)]
pub(crate) struct ResidualFit<'a> {
    pub(crate) codebook_sizes: &'a [u32],
    pub(crate) iterations: u32,
    pub(crate) refinements: u32,
    pub(crate) sample: usize,
}

impl ResidualFit<'_> {
    /// Codebooks for what `adapter` makes of `content`.
    pub(crate) fn run(
        &self,
        adapter: &Adapter,
        content: &dyn RowMatrix,
        rng: &mut impl Rng,
        cancel: &Cancel,
    ) -> Result<Codebooks> {
        let mut rows: Vec<u32> = (0..content.rows() as u32).collect();
        if rows.len() > self.sample {
            let drawn = index::sample(rng, rows.len(), self.sample);
            rows = drawn.into_iter().map(|row| row as u32).collect();
            rows.sort_unstable();
        }
        let (dim, vectors) = (content.dim(), adapter.map_rows(content, &rows, cancel)?);
        let sizes: Vec<usize> = self.codebook_sizes.iter().map(|&size| size as usize).collect();
        let plain = residual_kmeans(&vectors, dim, &sizes, self.iterations as usize, rng);
        cancel.check()?;
        let rounds = self.refinements as usize;
        let fitted = refine_residual_kmeans(&vectors, dim, plain.codebooks, rounds);
        Ok(Codebooks::new(dim, fitted.codebooks))
    }
}

/// Adapter and codebooks of one side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResidualSide {
    adapter: Adapter,
    codebooks: Codebooks,
}

impl ResidualSide {
    /// Joins an adapter with the codebooks that were fitted to its vectors.
    pub(crate) fn new(adapter: Adapter, codebooks: Codebooks) -> ResidualSide {
        ResidualSide { adapter, codebooks }
    }

    fn take(tensors: &mut TensorMap, side: Side, normalize: bool) -> Result<ResidualSide> {
        let first = tensors.get(&codebook_name(side, 0));
        let dim = first.and_then(|(shape, _)| shape.get(1)).copied().unwrap_or(0);
        let codebooks = Codebooks::take(tensors, side, dim)?;
        let adapter = Adapter::take(tensors, side, normalize)?;
        let fits = |layers: &FrozenMlp| (layers.inputs(), layers.outputs()) == (dim, dim);
        if !adapter.layers.as_ref().is_none_or(fits) {
            return Err(Error::Invalid(format!(
                "tensors `{}`: expected layers from width {dim}, that of the codes, to {dim}",
                layers_name(side)
            )));
        }
        Ok(ResidualSide { adapter, codebooks })
    }

    fn to_tensors(&self, side: Side) -> Vec<NamedTensor> {
        let layers = self.adapter.layers.as_ref();
        let mut tensors = layers.map_or_else(Vec::new, |l| l.to_tensors(&layers_name(side)));
        tensors.extend(self.codebooks.to_tensors(side));
        tensors
    }
}

/// A tokenizer whose codes are those of residual k-means: on content (`rqkmeans`) or on content
/// that a trained adapter has moved (`qarm`).
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualTokenizer {
    method: String,
    /// `[user, item]`.
    sides: [ResidualSide; 2],
}

impl ResidualTokenizer {
    /// Joins both sides, `[user, item]`, under the name of their method. Both normalise, or none.
    pub(crate) fn new(method: &str, sides: [ResidualSide; 2]) -> ResidualTokenizer {
        ResidualTokenizer { method: method.to_string(), sides }
    }

    /// Reads what [`Tokenizer::to_bytes`] wrote; shapes and values are checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<ResidualTokenizer> {
        ResidualTokenizer::from_file(&safetensors_io::from_bytes(bytes)?)
    }

    pub(crate) fn from_file(file: &Contents) -> Result<ResidualTokenizer> {
        let text = |key: &str| file.metadata.get(key).map(String::as_str).unwrap_or_default();
        let normalize = text(NORMALIZE).parse::<bool>().map_err(|_| {
            let found = text(NORMALIZE);
            Error::Invalid(format!(
                "metadata `{NORMALIZE}`: expected true or false, found {found:?}"
            ))
        })?;
        let mut tensors = float_map(&file.tensors);
        let mut side = |side| ResidualSide::take(&mut tensors, side, normalize);
        let sides = [side(Side::User)?, side(Side::Item)?];
        Ok(ResidualTokenizer::new(text(METHOD), sides))
    }

    /// The vectors that codes are chosen for, `[n, d]`: `content` `[n, content_dim]` after the
    /// adapter.
    ///
    /// # Errors
    /// If `content` is not rows of that width.
    pub fn vectors(&self, side: Side, content: &[f32]) -> Result<Vec<f32>> {
        let ResidualSide { adapter, codebooks } = self.side(side);
        let dim = codebooks.dim();
        if !content.len().is_multiple_of(dim) {
            let found = content.len();
            return Err(Error::Invalid(format!("{found} values are not rows of width {dim}")));
        }
        Ok(adapter.apply(content, dim))
    }

    /// Retrieval of held-out items by the quantized vectors, where there are held-out clicks.
    pub(crate) fn validate(
        &self,
        inputs: &Inputs<'_>,
        cancel: &Cancel,
    ) -> Result<Option<Validation>> {
        let Some(held_out) = inputs.validation.filter(|clicks| !clicks.items.is_empty()) else {
            return Ok(None);
        };
        let keep = Keep { quantized: true, ..Keep::default() };
        let items = encode_all(self, Side::Item, inputs.content[1], keep, &Silent, cancel)?;
        let dim = self.side(Side::Item).codebooks.dim();
        Ok(Some(item_retrieval(&items.rows.quantized, dim, held_out)))
    }

    fn side(&self, side: Side) -> &ResidualSide {
        &self.sides[side as usize]
    }
}

impl Tokenizer for ResidualTokenizer {
    fn method(&self) -> &str {
        &self.method
    }

    fn content_dim(&self, side: Side) -> Option<usize> {
        Some(self.side(side).codebooks.dim())
    }

    fn codebook_sizes(&self, side: Side) -> Vec<u32> {
        self.side(side).codebooks.sizes()
    }

    fn last_codebook(&self, side: Side) -> &[f32] {
        self.side(side).codebooks.last()
    }

    fn encode_rows(&self, side: Side, content: &[f32]) -> Result<EncodedRows> {
        Ok(self.side(side).codebooks.quantize(&self.vectors(side, content)?))
    }

    /// Of content without an adapter, after normalisation if that is asked for: there x̂ is q. An
    /// adapter has no way back.
    fn squared_error(
        &self,
        side: Side,
        views: &Views,
        content: &[f32],
        rows: &EncodedRows,
    ) -> Option<f64> {
        let ResidualSide { adapter, codebooks } = self.side(side);
        if adapter.layers.is_some() {
            return None;
        }
        let vectors = adapter.apply(content, codebooks.dim());
        Some(views.squared_error(&vectors, &rows.quantized))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let tensors: Vec<NamedTensor> =
            Side::BOTH.into_iter().flat_map(|side| self.side(side).to_tensors(side)).collect();
        let normalize = self.sides[0].adapter.normalize.to_string();
        let metadata =
            [(METHOD.to_string(), self.method.clone()), (NORMALIZE.to_string(), normalize)].into();
        Ok(safetensors_io::to_bytes(&tensors, &metadata)?)
    }
}
