//! Content vectors: texts of items and users turned into one f32 row each.
//!
//! Every embedder stands behind the [`Embedder`] trait, saves its fitted state into a folder that
//! travels in the artifact, and is read back by [`load`], so that a text written after training
//! can still be encoded. The embedder of this crate is [`TfidfSvd`], which needs no download.

mod embedder;
mod error;
mod linalg;
mod tfidf_svd;

pub use embedder::{DESCRIPTION_FILE, Embedder, EmbedderIdentity, Embeddings, load};
pub use error::{Error, Result};
pub use tfidf_svd::{FitReport, TfidfSvd, TfidfSvdConfig};
