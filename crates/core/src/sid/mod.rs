//! Semantic IDs: for each entity a short tuple of integers, `(17, 403, 88)`.
//!
//! [`SidLayout`] says what the digits mean, [`SidTable`] holds one tuple a row, [`collision`]
//! tells apart the rows that a tokenizer gave the same tuple, [`files`] reads and writes them,
//! [`Trie`] holds the tuples that exist, and [`index`] is what a server looks them up in.

pub mod collision;
pub mod files;
pub mod index;
mod layout;
mod table;
mod token;
mod trie;

pub use collision::{CollisionConfig, CollisionPolicy, LastLevel};
pub use layout::{MAX_CODEBOOK_SIZE, MAX_DIGITS, SidLayout};
pub use table::{Buckets, SidTable};
pub use token::{parse_token, parse_tokens, token, token_string};
pub use trie::Trie;
