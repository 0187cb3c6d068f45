//! DAS itself: two residual-quantizing tokenizers (UISM), a debiased ID-based collaborative model
//! (ICDM) and the alignments between them (MDAM), trained together in one stage.
//!
//! The method is from the DAS paper (arXiv:2508.10584); what the paper leaves open is marked as
//! ours. [`Das`] records the objective of one step, [`train`] runs it, and the result is a
//! [`NeuralTokenizer`] behind the [`Tokenizer`] trait that every method shares.

mod batch;
mod config;
mod encoder;
mod error;
mod icdm;
mod layers;
mod mdam;
mod step;
mod terms;
mod tokenizer;
pub mod train;
mod uism;
pub mod yardstick;

pub use batch::{Batch, BatchBuilder, Partners, SideBatch};
pub use config::{Direction, ModelConfig, Reduction, TableUpdate, TokenizerConfig, TrainConfig};
pub use encoder::{EncodedRows, SideEncoder};
pub use error::{Error, Result};
pub use icdm::{PopularityFeatures, table_names};
pub use step::{Das, StepTerms};
pub use terms::{Part, Term, TermWeights};
pub use tokenizer::{Encoded, NeuralTokenizer, Tokenizer, encode_all, encode_chunks};
