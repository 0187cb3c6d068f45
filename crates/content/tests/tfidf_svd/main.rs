//! The TF-IDF/SVD embedder from outside.

mod corpus;
mod properties;
mod saved_state;
