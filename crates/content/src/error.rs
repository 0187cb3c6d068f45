//! The errors of this crate.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// What can go wrong with embedders.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation, a malformed file, or an interruption.
    #[error(transparent)]
    Core(#[from] das_core::Error),
    /// A setting is out of its range.
    #[error("`{key}`: expected {expected}, got {got}")]
    Config {
        /// The key as it stands in the configuration file.
        key: &'static str,
        /// The values that are allowed.
        expected: String,
        /// The value that came.
        got: String,
    },
    /// The texts to fit on hold nothing to learn from.
    #[error(
        "cannot fit an embedder: none of {texts} texts has a feature that occurs in at least \
         `min_df` = {min_df} of them"
    )]
    NoFeatures {
        /// Number of texts given.
        texts: usize,
        /// The threshold in force.
        min_df: u32,
    },
    /// The cache of answers cannot be used.
    #[error("cache {}: {message}", folder.display())]
    Cache {
        /// Its folder.
        folder: std::path::PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A published model, its tokenizer or its weights do not work together.
    #[error("{0}")]
    Model(String),
    /// A remote inference server refused a request, gave a wrong answer, or kept failing. The
    /// server's address and the key to it are in no message.
    #[error("the endpoint, {rows}: {message}")]
    Endpoint {
        /// What was asked for, such as `rows 32 to 63`: indices into the texts given.
        rows: String,
        /// What was expected and what came.
        message: String,
    },
    /// An iteration did not reach its precision; finite input never leads here.
    #[error("the eigenvalue iteration did not converge")]
    NoConvergence,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Holds the value of a setting against its range.
pub(crate) fn within<T: PartialOrd + Display>(
    key: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("a value from {} to {}", range.start(), range.end());
    Err(Error::Config { key, expected, got: value.to_string() })
}
