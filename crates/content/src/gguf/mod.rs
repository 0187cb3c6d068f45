//! Texts written by a language model in this process: Gemma 3, Llama, Qwen2 and Qwen3, quantized
//! or not, from one GGUF file, such as `gemma-3-270m-q4_k_m.gguf`.
//! Settings are always read; running the models takes the feature `models`.

mod config;
#[cfg(feature = "models")]
mod engine;

pub use self::config::GgufConfig;
#[cfg(feature = "models")]
pub use self::engine::Gguf;
