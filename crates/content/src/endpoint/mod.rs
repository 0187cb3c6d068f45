//! Clients of remote inference servers: [`EndpointEmbedder`] turns texts into vectors,
//! [`ChatClient`] has texts written by a language model.
//!
//! Both keep several requests in flight (`pool`), each of them repeated after faults that pass
//! (`client`, `retry`), and hand over every answer as it comes: whatever fails later, what is
//! done is the caller's to keep. Where a server stands and the key to it are private: neither
//! appears in an error, an identity or a `Debug` output (`secrets`).

pub(crate) mod chat;
mod client;
mod config;
mod embedder;
mod pool;
mod retry;
mod rows;
mod secrets;
mod vectors;

pub use chat::ChatClient;
pub use config::{Dialect, EndpointConfig};
pub use embedder::EndpointEmbedder;
