//! DAS itself: two residual-quantizing tokenizers (UISM), a debiased ID-based collaborative model
//! (ICDM) and the alignments between them (MDAM), trained together in one stage; and the methods
//! that it is compared with.
//!
//! The method is from the DAS paper (arXiv:2508.10584); what the paper leaves open is marked as
//! ours. [`train_method`] trains any [`Method`], and the result is behind the [`Tokenizer`] trait
//! that all of them share. [`Das`] records the objective of one step of DAS.

mod adapter;
mod baselines;
mod batch;
mod codebooks;
mod config;
mod das;
mod encoder;
mod error;
mod frozen;
mod fusion;
mod icdm;
mod layers;
mod mdam;
mod method;
mod standard;
mod step;
mod terms;
mod tokenizer;
pub mod train;
mod uism;
pub mod yardstick;

pub use baselines::letter::LetterConfig;
pub use baselines::qarm::{QarmConfig, Similarity, VqCodes, VqPool};
pub use baselines::residual::ResidualTokenizer;
pub use baselines::rqkmeans::RqkmeansConfig;
pub use baselines::rqvae::RqvaeConfig;
pub use batch::{Batch, BatchBuilder, Partners, SideBatch};
pub use config::{
    Direction, Fusion, ModelConfig, Reduction, Sides, TableUpdate, TokenizerConfig, TrainConfig,
};
pub use encoder::{EncodedRows, SideEncoder};
pub use error::{Error, Result};
pub use icdm::{PopularityFeatures, table_names};
pub use method::{
    ExtraFile, Inputs, Method, MethodConfigs, Run, Settings, Trained, load_tokenizer, train_method,
};
pub use standard::Standard;
pub use step::{Das, Phase};
pub use terms::{Part, Term, TermWeights};
pub use tokenizer::{Encoded, Keep, NeuralTokenizer, Tokenizer, encode_all, encode_chunks};
