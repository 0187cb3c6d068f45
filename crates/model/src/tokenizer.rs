//! What every tokenizer offers once trained, whatever the method that trained it.

use das_core::progress::{Cancel, Progress};
use das_core::{RowMatrix, Side, Views};
use das_nn::safetensors_io::{self, Contents, NamedTensor};

use crate::encoder::{EncodedRows, SideEncoder};
use crate::{Error, Result};

/// The key of the method's name in the metadata of `model.safetensors`.
pub(crate) const METHOD: &str = "method";

/// Rows encoded at a time: large enough for the matrix kernels, small enough for the caches.
const CHUNK_ROWS: usize = 4096;

/// A trained tokenizer: content in, codes out, for one side or both.
pub trait Tokenizer: Send + Sync {
    /// The method that trained it, e.g. `das`.
    fn method(&self) -> &str;

    /// The sides that it encodes.
    fn sides(&self) -> Vec<Side> {
        Side::BOTH.into_iter().filter(|&side| self.content_dim(side).is_some()).collect()
    }

    /// Width of the content vectors of `side`; none where the method has no such side.
    fn content_dim(&self, side: Side) -> Option<usize>;

    /// Codes of each level of `side`; empty where the method has no such side.
    fn codebook_sizes(&self, side: Side) -> Vec<u32>;

    /// The vectors of the last level's codes, `[size, d]`: what collisions are resolved among.
    /// Empty where the method has no such side.
    fn last_codebook(&self, side: Side) -> &[f32];

    /// Codes and vectors of `content` `[n, content_dim]`.
    fn encode_rows(&self, side: Side, content: &[f32]) -> Result<EncodedRows>;

    /// Sum over rows of ‖x − x̂‖²; none where the method has no decoder.
    fn squared_error(
        &self,
        side: Side,
        views: &Views,
        content: &[f32],
        rows: &EncodedRows,
    ) -> Option<f64>;

    /// The content of `model.safetensors`.
    fn to_bytes(&self) -> Result<Vec<u8>>;
}

/// What is kept of every row besides its codes. A matrix of any length passes through, but what is
/// kept of it must fit in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Sums of the chosen codes.
    pub quantized: bool,
    /// What the last level was given to quantize.
    pub last_residuals: bool,
    /// The error of reconstruction, which takes as long again as encoding.
    pub error: bool,
}

impl Keep {
    /// Everything.
    pub const ALL: Keep = Keep { quantized: true, last_residuals: true, error: true };
}

/// All rows of one side, encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// Codes of every row, and the vectors that were to be kept; the others are empty.
    pub rows: EncodedRows,
    /// Mean over rows of ‖x − x̂‖², where it was asked for and the method has a decoder.
    pub reconstruction_error: Option<f64>,
}

/// Encodes every row of `content`.
pub fn encode_all(
    tokenizer: &dyn Tokenizer,
    side: Side,
    content: &dyn RowMatrix,
    keep: Keep,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Encoded> {
    let mut all = EncodedRows::default();
    let mut error = keep.error.then_some(0.0);
    let views = content.views();
    progress.begin(&format!("encoding {side}s"), Some(content.rows() as u64));
    encode_chunks(tokenizer, side, content, cancel, |chunk, rows| {
        if let Some(sum) = error {
            let squared = tokenizer.squared_error(side, &views, chunk, &rows);
            error = squared.map(|chunk| sum + chunk);
        }
        all.codes.extend(rows.codes);
        if keep.quantized {
            all.quantized.extend(rows.quantized);
        }
        if keep.last_residuals {
            all.last_residuals.extend(rows.last_residuals);
        }
        progress.update((all.codes.len() / tokenizer.codebook_sizes(side).len()) as u64, "");
        Ok(())
    })?;
    progress.end();
    let rows = content.rows().max(1) as f64;
    Ok(Encoded { rows: all, reconstruction_error: error.map(|sum| sum / rows) })
}

/// Encodes `content` chunk by chunk and hands each chunk's content and codes to `consume`, so
/// that a matrix larger than memory can pass through.
pub fn encode_chunks(
    tokenizer: &dyn Tokenizer,
    side: Side,
    content: &dyn RowMatrix,
    cancel: &Cancel,
    mut consume: impl FnMut(&[f32], EncodedRows) -> Result<()>,
) -> Result<()> {
    check_dim(tokenizer, side, content.dim())?;
    let mut buffer = Vec::new();
    for start in (0..content.rows()).step_by(CHUNK_ROWS) {
        cancel.check()?;
        let end = content.rows().min(start + CHUNK_ROWS);
        content.enter(start..end)?;
        let chunk = match content.consecutive(start..end) {
            Some(chunk) => chunk,
            None => {
                buffer.clear();
                (start..end).for_each(|row| buffer.extend_from_slice(content.row(row)));
                &buffer
            }
        };
        consume(chunk, tokenizer.encode_rows(side, chunk)?)?;
        content.leave(start..end);
    }
    Ok(())
}

fn check_dim(tokenizer: &dyn Tokenizer, side: Side, found: usize) -> Result<()> {
    match tokenizer.content_dim(side) {
        Some(dim) if dim == found => Ok(()),
        Some(dim) => Err(Error::Invalid(format!(
            "{side} content: expected vectors of width {dim}, as in training, found {found}"
        ))),
        None => Err(no_side(tokenizer.method(), side)),
    }
}

pub(crate) fn no_side(method: &str, side: Side) -> Error {
    Error::Invalid(format!("method `{method}` has no {side} tokenizer"))
}

/// A tokenizer made of an encoder, codebooks and a decoder for each of its sides.
#[derive(Clone, Debug, PartialEq)]
pub struct NeuralTokenizer {
    method: String,
    /// `[user, item]`.
    sides: [Option<SideEncoder>; 2],
}

impl NeuralTokenizer {
    /// Joins the sides, `[user, item]`, under the name of the method that trained them.
    ///
    /// # Errors
    /// If there is no side.
    pub fn new(method: &str, sides: [Option<SideEncoder>; 2]) -> Result<NeuralTokenizer> {
        if sides.iter().all(Option::is_none) {
            return Err(Error::Invalid(format!("method `{method}` has no tokenizer")));
        }
        Ok(NeuralTokenizer { method: method.to_string(), sides })
    }

    /// Reads what [`Tokenizer::to_bytes`] wrote; shapes and values are checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<NeuralTokenizer> {
        NeuralTokenizer::from_file(&safetensors_io::from_bytes(bytes)?)
    }

    pub(crate) fn from_file(file: &Contents) -> Result<NeuralTokenizer> {
        let method = file.metadata.get(METHOD).cloned().unwrap_or_default();
        let mut sides = [None, None];
        for (side, encoder) in Side::BOTH.into_iter().zip(&mut sides) {
            let prefix = format!("{side}.");
            if file.tensors.iter().any(|tensor| tensor.name.starts_with(&prefix)) {
                *encoder = Some(SideEncoder::from_tensors(&file.tensors, side)?);
            }
        }
        NeuralTokenizer::new(&method, sides)
    }

    /// The encoder of `side`, where the method has one.
    pub fn side(&self, side: Side) -> Option<&SideEncoder> {
        self.sides[side as usize].as_ref()
    }
}

impl Tokenizer for NeuralTokenizer {
    fn method(&self) -> &str {
        &self.method
    }

    fn content_dim(&self, side: Side) -> Option<usize> {
        self.side(side).map(SideEncoder::content_dim)
    }

    fn codebook_sizes(&self, side: Side) -> Vec<u32> {
        self.side(side).map_or_else(Vec::new, SideEncoder::codebook_sizes)
    }

    fn last_codebook(&self, side: Side) -> &[f32] {
        self.side(side).map_or(&[], |encoder| encoder.codebook(encoder.num_levels() - 1))
    }

    fn encode_rows(&self, side: Side, content: &[f32]) -> Result<EncodedRows> {
        let encoder = self.side(side).ok_or_else(|| no_side(&self.method, side))?;
        if !content.len().is_multiple_of(encoder.content_dim()) {
            let dim = encoder.content_dim();
            let found = content.len();
            return Err(Error::Invalid(format!("{found} values are not rows of width {dim}")));
        }
        Ok(encoder.encode(content))
    }

    fn squared_error(
        &self,
        side: Side,
        views: &Views,
        content: &[f32],
        rows: &EncodedRows,
    ) -> Option<f64> {
        let decoded = self.side(side)?.decode(&rows.quantized);
        Some(views.squared_error(content, &decoded))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let of_side = |side| self.side(side).map(|encoder: &SideEncoder| encoder.to_tensors(side));
        let tensors: Vec<NamedTensor> =
            Side::BOTH.into_iter().filter_map(of_side).flatten().collect();
        let metadata = [(METHOD.to_string(), self.method.clone())].into();
        Ok(safetensors_io::to_bytes(&tensors, &metadata)?)
    }
}
