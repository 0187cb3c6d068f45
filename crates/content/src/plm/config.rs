//! How a published model is to be run.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Tokens of one batch. Results depend on it by rounding alone.
const BATCH_TOKENS: usize = 2048;
const MAX_BATCH_TOKENS: usize = 1 << 20;

/// How the states of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The state of the first token.
    Cls,
    /// The mean over all tokens, special ones included.
    Mean,
    /// The largest value of each dimension.
    Max,
}

/// What to do otherwise than the model's own files say. Nothing needs to be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlmConfig {
    /// Longest sequence in tokens, special ones included; longer texts are cut. 0 takes the
    /// model's own limit.
    pub max_length: usize,
    /// How token states become one vector, where not as the model's files say, or the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Whether vectors get norm 1, where not as the model's files say; true if they are silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    /// Put before every text, such as `"passage: "`, where not as the model's files say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Tokens that are worked on at once.
    pub batch_tokens: usize,
}

impl Default for PlmConfig {
    fn default() -> PlmConfig {
        PlmConfig {
            max_length: 0,
            pooling: None,
            normalize: None,
            prefix: None,
            batch_tokens: BATCH_TOKENS,
        }
    }
}

impl PlmConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key.
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_BATCH_TOKENS).contains(&self.batch_tokens) {
            return Err(Error::Config {
                key: "plm.batch_tokens",
                expected: format!("1 to {MAX_BATCH_TOKENS}"),
                got: self.batch_tokens.to_string(),
            });
        }
        Ok(())
    }
}
