//! What uses semantic IDs: a generative retriever and a CTR ranker, with SASRec and popularity to
//! compare with.
//!
//! Models take plain rows ([`Sequences`], [`Query`]) and know no files. Every one is trained by
//! [`fit`] and asked through its own methods or through the [`Recommender`] trait.

mod digest;
mod error;
pub mod fit;
pub mod generative;
mod layers;
pub mod popularity;
pub mod ranker;
pub mod sasrec;
mod saved;
pub mod sequence;
mod transformer;
mod windows;
pub mod yardstick;

pub use error::{Error, Result};
pub use generative::{Retrieved, Retriever, RetrieverConfig};
pub use popularity::Popularity;
pub use sasrec::{SasRec, SasRecConfig};
pub use sequence::{Query, Recommender, Sequences};
