//! Content vectors: texts of items and users turned into one f32 row each.
//!
//! Every embedder stands behind the [`Embedder`] trait, saves its fitted state into a folder that
//! travels in the artifact, and is read back by [`load`], so that a text written after training
//! can still be encoded. [`TfidfSvd`] is fitted to the texts and needs no download. A
//! [`PublishedModel`] is frozen and comes from elsewhere: `Plm` runs one in process (feature
//! `models`), [`EndpointEmbedder`] asks a server ([`endpoint`]); a [`Cache`] remembers what they
//! answered.
//!
//! ```
//! use das_content::{Embedder, TfidfSvd, TfidfSvdConfig};
//! use das_core::progress::{Cancel, Silent};
//! use das_core::{RowMatrix, streams};
//!
//! let titles = ["red nail polish", "blue nail polish", "argan shampoo", "dry shampoo"];
//! let config = TfidfSvdConfig { dim: 2, ..Default::default() };
//! let mut rng = streams::stream(1, "embed", 0);
//! let (embedder, report) =
//!     TfidfSvd::fit(&titles, &config, &mut rng, &Silent, &Cancel::default())?;
//! assert_eq!(report.dim, 2);
//!
//! let rows = embedder.embed(&["nail polish remover"], &Silent, &Cancel::default())?;
//! assert_eq!((rows.matrix.rows(), rows.matrix.dim()), (1, 2));
//! # Ok::<(), das_content::Error>(())
//! ```

mod cache;
mod describe;
mod distinct;
mod embedder;
pub mod endpoint;
mod error;
mod gguf;
mod linalg;
mod plm;
mod published;
mod text_model;
mod tfidf_svd;

pub use cache::Cache;
pub use describe::{Completion, Descriptions, LanguageModel, describe};
pub use embedder::{
    DESCRIPTION_FILE, Embedder, EmbedderIdentity, Embeddings, Models, load, saved_identity,
};
pub use endpoint::{ChatClient, Dialect, EndpointConfig, EndpointEmbedder};
pub use error::{Error, Result};
#[cfg(feature = "models")]
pub use gguf::Gguf;
pub use gguf::GgufConfig;
#[cfg(feature = "models")]
pub use plm::Plm;
pub use plm::{PlmConfig, Pooling};
pub use published::PublishedModel;
pub use text_model::{Batch, Done, TextModel};
pub use tfidf_svd::{FitReport, TfidfSvd, TfidfSvdConfig};
