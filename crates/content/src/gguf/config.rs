//! How a local model is to write.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::within;

/// What may be chosen about a local model's answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GgufConfig {
    /// Longest answer, in tokens.
    pub max_tokens: u32,
    /// Randomness of the answers; 0 takes the likeliest token each time.
    pub temperature: f64,
    /// Most tokens of a prompt and its answer together, at most those that the model was made for.
    /// Memory grows with what is used of them.
    pub context: usize,
}

impl Default for GgufConfig {
    fn default() -> GgufConfig {
        GgufConfig { max_tokens: 128, temperature: 0.0, context: 2048 }
    }
}

impl GgufConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the first key that is out of range.
    pub fn check(&self) -> Result<()> {
        within("max_tokens", self.max_tokens, 1..=65_536)?;
        within("temperature", self.temperature, 0.0..=2.0)?;
        within("context", self.context, 2..=1 << 20)
    }
}
