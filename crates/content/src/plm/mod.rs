//! Published pretrained language models: BERT, RoBERTa and XLM-RoBERTa encoders from a local
//! folder of `config.json`, `tokenizer.json` and safetensors, such as MiniLM, bge-small and bge-m3. Settings
//! are always read; running the models takes the feature `models`.
//!
//! text → token ids (`tokens`) → packed batches of similar length (`batches`) → states of all
//! tokens (`network`, on the training engine) → one vector a text (`pooling`).

mod config;
#[cfg(feature = "models")]
mod engine;

pub use self::config::{PlmConfig, Pooling};
#[cfg(feature = "models")]
pub use self::engine::Plm;
#[cfg(feature = "models")]
pub(crate) use self::engine::read_text;

/// The kind that descriptions and identities carry.
pub(crate) const KIND: &str = "plm";
