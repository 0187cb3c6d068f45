//! Texts from local language models, with the tiny models of `fixtures/gguf`.
#![cfg(feature = "models")]

mod allocations;
mod answers;
mod common;
mod hostile;
mod real;
