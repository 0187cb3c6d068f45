//! What `das compare` puts beside each other, and where its tokenizers come from.

mod candidates;
mod tokenizers;

pub use candidates::{Candidate, Source};
pub use tokenizers::Tokenizers;
