//! Content vectors: texts of items and users turned into one f32 row each.
//!
//! Every embedder stands behind the [`Embedder`] trait, saves its fitted state into a folder that
//! travels in the artifact, and is read back by [`load`], so that a text written after training
//! can still be encoded. The embedder of this crate is [`TfidfSvd`], which needs no download.
//! [`endpoint`] has clients for models that run on a server. With the feature `models`, `Plm` and
//! `Gguf` run published models in this process.
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

mod embedder;
pub mod endpoint;
mod error;
#[cfg(feature = "models")]
mod gguf;
mod linalg;
#[cfg(feature = "models")]
mod plm;
mod text_model;
mod tfidf_svd;

pub use embedder::{DESCRIPTION_FILE, Embedder, EmbedderIdentity, Embeddings, load};
pub use endpoint::{ChatClient, Completion, Dialect, EndpointConfig, EndpointEmbedder};
pub use error::{Error, Result};
#[cfg(feature = "models")]
pub use gguf::{Gguf, GgufConfig};
#[cfg(feature = "models")]
pub use plm::{Plm, PlmConfig, Pooling};
pub use text_model::{Batch, Done, TextModel};
pub use tfidf_svd::{FitReport, TfidfSvd, TfidfSvdConfig};
