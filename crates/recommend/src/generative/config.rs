//! Settings of the generative retriever.

use serde::{Deserialize, Serialize};

use crate::fit::{FitConfig, depth, share, width};
use crate::transformer::Shape;
use crate::{Error, Result};

/// The generative retriever and its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrieverConfig {
    /// Newest items of a history that are looked at.
    pub history: usize,
    /// Width of embeddings and states.
    pub dim: usize,
    /// Transformer blocks over the items of a history.
    pub layers: usize,
    /// Attention heads; they divide `dim`.
    pub heads: usize,
    /// Hidden width of the feed-forward layers.
    pub hidden: usize,
    /// Feed-forward layers of the depth decoder.
    pub depth_layers: usize,
    /// Their hidden width.
    pub depth_hidden: usize,
    /// Dropout of embeddings and of every layer's output.
    pub dropout: f32,
    /// Share of the target probability spread over all codes that a digit is told from.
    pub label_smoothing: f32,
    /// Whether each digit is told from the codes that continue an existing ID (in training one of
    /// an item that is clicked there), so that the probabilities of the catalogue add up to 1, or
    /// from all codes, as other generative retrievers do.
    pub renormalise: bool,
    /// Beam width of validation, and of the search that gives exact search its first bound.
    pub beam: usize,
    /// Validation queries that are looked at, evenly spread; 0 takes all.
    pub validation_queries: usize,
    /// The training. Its examples are windows of at most `history` inputs.
    pub fit: FitConfig,
}

impl Default for RetrieverConfig {
    fn default() -> RetrieverConfig {
        RetrieverConfig {
            history: 20,
            dim: 128,
            layers: 2,
            heads: 4,
            hidden: 256,
            depth_layers: 1,
            depth_hidden: 256,
            dropout: 0.3,
            label_smoothing: 0.0,
            renormalise: true,
            beam: 20,
            validation_queries: 2000,
            fit: FitConfig {
                epochs: 30,
                batch_size: 256,
                min_steps: 64,
                learning_rate: 2e-3,
                clip_norm: 1.0,
                ..FitConfig::default()
            },
        }
    }
}

impl RetrieverConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        self.check_keys().map_err(|error| error.within("retriever"))
    }

    fn check_keys(&self) -> Result<()> {
        width("history", self.history)?;
        self.shape().check()?;
        width("depth_hidden", self.depth_hidden)?;
        depth("depth_layers", self.depth_layers)?;
        share("dropout", self.dropout)?;
        share("label_smoothing", self.label_smoothing)?;
        if self.beam == 0 {
            return Err(Error::config("beam", "at least 1", 0));
        }
        self.fit.check()
    }

    pub(super) fn shape(&self) -> Shape {
        Shape { dim: self.dim, layers: self.layers, heads: self.heads, hidden: self.hidden }
    }
}
