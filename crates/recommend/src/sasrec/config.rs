//! Settings of SASRec.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::fit::{FitConfig, non_negative, share, width};
use crate::transformer::Shape;

/// SASRec and its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SasRecConfig {
    /// Newest items of a history that are looked at.
    pub history: usize,
    /// Width of item embeddings and states.
    pub dim: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; they divide `dim`.
    pub heads: usize,
    /// Hidden width of the feed-forward layers.
    pub hidden: usize,
    /// Dropout of embeddings and of every layer's output.
    pub dropout: f32,
    /// Share of the target probability spread over all items.
    pub label_smoothing: f32,
    /// Logits are this many times the cosine of state and item; 0 takes plain dot products.
    pub cosine_scale: f32,
    /// Validation queries that are looked at, evenly spread; 0 takes all.
    pub validation_queries: usize,
    /// The training. Its examples are windows of at most `history` inputs.
    pub fit: FitConfig,
}

impl Default for SasRecConfig {
    fn default() -> SasRecConfig {
        SasRecConfig {
            history: 20,
            dim: 64,
            layers: 2,
            heads: 2,
            hidden: 128,
            dropout: 0.3,
            label_smoothing: 0.0,
            cosine_scale: 20.0,
            validation_queries: 4000,
            fit: FitConfig {
                epochs: 12,
                batch_size: 128,
                min_steps: 64,
                learning_rate: 3e-3,
                ..FitConfig::default()
            },
        }
    }
}

impl SasRecConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        self.check_keys().map_err(|error| error.within("sasrec"))
    }

    fn check_keys(&self) -> Result<()> {
        width("history", self.history)?;
        self.shape().check()?;
        share("dropout", self.dropout)?;
        share("label_smoothing", self.label_smoothing)?;
        non_negative("cosine_scale", self.cosine_scale)?;
        self.fit.check()
    }

    pub(super) fn shape(&self) -> Shape {
        Shape { dim: self.dim, layers: self.layers, heads: self.heads, hidden: self.hidden }
    }
}
