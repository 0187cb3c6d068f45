//! Settings of the TF-IDF/SVD embedder.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The widest vector that can be asked for. The dense eigenproblem grows with its cube.
pub(super) const MAX_DIM: usize = 1024;
/// Sketch columns beyond the rank add work and no precision after a few dozen.
const MAX_OVERSAMPLE: usize = 256;

/// How texts become features, and features vectors. The defaults were chosen on Amazon Beauty
/// and MovieLens 100K by the category of nearest neighbours and by item-to-item retrieval of
/// held-out clicks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TfidfSvdConfig {
    /// Width of the vectors, at most; fewer where the texts have a lower rank.
    pub dim: usize,
    /// Each family of features is hashed into 2^`bucket_bits` buckets.
    pub bucket_bits: u32,
    /// Shortest character n-gram.
    pub char_ngram_min: usize,
    /// Longest character n-gram.
    pub char_ngram_max: usize,
    /// Share of the words in a text's vector; 0 leaves the family out.
    pub word_weight: f32,
    /// Share of the pairs of adjacent words.
    pub bigram_weight: f32,
    /// Share of the character n-grams.
    pub char_weight: f32,
    /// A feature counts only if it occurs in this many of the texts fitted on.
    pub min_df: u32,
    /// At most this many features are kept: the most frequent ones, ties by bucket.
    pub max_features: usize,
    /// Only this many characters of a text are read.
    pub max_chars: usize,
    /// Of more texts than this, an evenly drawn sample is fitted on.
    pub max_fit_texts: usize,
    /// Columns of the random sketch beyond `dim`.
    pub oversample: usize,
    /// Applications of A·Aᵀ to the sketch; more are more exact and slower.
    pub power_iterations: usize,
    /// Vectors are x·V·Σ^p before normalisation: p = 0 keeps the cosines of the TF-IDF rows as
    /// well as a space of this width can, p = −1 gives every direction the same variance.
    pub singular_power: f32,
}

impl Default for TfidfSvdConfig {
    fn default() -> Self {
        TfidfSvdConfig {
            dim: 384,
            bucket_bits: 18,
            char_ngram_min: 3,
            char_ngram_max: 5,
            word_weight: 1.0,
            bigram_weight: 0.5,
            char_weight: 1.0,
            min_df: 2,
            max_features: 40_000,
            max_chars: 8192,
            max_fit_texts: 100_000,
            oversample: 32,
            power_iterations: 2,
            singular_power: 0.0,
        }
    }
}

impl TfidfSvdConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first key that is out of range.
    pub fn validate(&self) -> Result<()> {
        within("dim", self.dim, 1..=MAX_DIM)?;
        within("bucket_bits", self.bucket_bits, 8..=24)?;
        within("char_ngram_min", self.char_ngram_min, 1..=self.char_ngram_max)?;
        within("char_ngram_max", self.char_ngram_max, self.char_ngram_min..=16)?;
        within("word_weight", self.word_weight, 0.0..=1e3)?;
        within("bigram_weight", self.bigram_weight, 0.0..=1e3)?;
        within("char_weight", self.char_weight, 0.0..=1e3)?;
        if self.weights().iter().all(|&weight| weight == 0.0) {
            return Err(Error::Config {
                key: "word_weight",
                expected: "at least one family with a weight above 0".into(),
                got: "0 for all".into(),
            });
        }
        within("min_df", self.min_df, 1..=u32::MAX)?;
        within("max_features", self.max_features, 1..=10_000_000)?;
        within("max_chars", self.max_chars, 1..=10_000_000)?;
        within("max_fit_texts", self.max_fit_texts, 1..=100_000_000)?;
        within("oversample", self.oversample, 0..=MAX_OVERSAMPLE)?;
        within("power_iterations", self.power_iterations, 1..=64)?;
        within("singular_power", self.singular_power, -1.0..=1.0)
    }

    /// Weights in the order of the feature families.
    pub(super) fn weights(&self) -> [f32; 3] {
        [self.word_weight, self.bigram_weight, self.char_weight]
    }
}

fn within<T: PartialOrd + Display>(
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
