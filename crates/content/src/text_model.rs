//! The seam behind which expensive, published models stand: vectors batch by batch, so that what
//! is done can be kept whatever comes later.

use das_core::DenseMatrix;
use das_core::progress::{Cancel, Progress};

use crate::{EmbedderIdentity, Result};

/// The vectors of some texts of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Which texts these are.
    pub rows: Vec<usize>,
    /// One row a text.
    pub vectors: DenseMatrix,
    /// Of which texts only the beginning was read, as far as the model tells.
    pub truncated: Vec<bool>,
}

/// Receives each batch as soon as it is there, on the thread of the call.
pub type Done<'a> = &'a mut dyn FnMut(Batch) -> Result<()>;

/// A frozen model that turns texts into vectors of a fixed width, at a price.
pub trait TextModel: Send + Sync + std::fmt::Debug {
    /// Which model this is, and how it is used. Equal identities give equal vectors, up to
    /// rounding.
    fn identity(&self) -> EmbedderIdentity;

    /// Embeds `texts`, none of them blank, and hands every text's vector to `done` once, in any
    /// order.
    ///
    /// # Errors
    /// `Interrupted` once `cancel` is set; what `done` returns; what goes wrong with the model.
    /// Batches handed over before stay valid.
    fn embed_batches(
        &self,
        texts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
        done: Done<'_>,
    ) -> Result<()>;
}

/// Brings a vector to norm 1; a zero vector stays.
#[cfg(feature = "models")]
pub(crate) fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    }
}
