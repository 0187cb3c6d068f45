//! Settings of `qarm`.

use serde::{Deserialize, Serialize};

use super::neighbours::Similarity;
use crate::baselines::residual::ResidualFit;
use crate::config::{at_least_one, codebook_sizes, hidden_widths, non_negative, positive, share};
use crate::{Error, ModelConfig, Result, Sides, TrainConfig};

/// Settings of `qarm`. Both sides have the same codebooks and hidden layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QarmConfig {
    /// Codes of each level. The paper has six levels; three compare with the other methods.
    pub codebook_sizes: Vec<u32>,
    /// Hidden widths of the adapter; empty makes it linear.
    pub hidden: Vec<usize>,
    /// Temperature τ of the contrastive terms.
    pub temperature: f32,
    /// Which item-to-item pairs the adapter is trained on, besides those of a user's own clicks.
    pub similarity: Similarity,
    /// Weight of the term of those pairs; 0 leaves it out.
    pub i2i_weight: f32,
    /// Most similar items of each item that pairs are drawn from.
    pub neighbours: usize,
    /// Smoothing α of Swing: the larger, the less it matters what else two users share.
    pub swing_alpha: f32,
    /// Most users of an item that its similarities are worked out from: those with the fewest
    /// items. Bounds the cost, which grows with the square.
    pub users_per_item: usize,
    /// Passes over the training clicks.
    pub epochs: u32,
    /// Clicks a step.
    pub batch_size: usize,
    /// Peak learning rate of AdamW.
    pub learning_rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Share of all steps spent on linear warm-up, before the cosine decay.
    pub warmup: f32,
    /// Lloyd iterations of residual k-means, a level.
    pub kmeans_iterations: u32,
    /// Rounds in which its codebooks are fitted to each other; 0 is plain residual k-means.
    pub kmeans_refinements: u32,
    /// Most rows of a side that codebooks are fitted to.
    pub kmeans_sample: usize,
    /// Nearest pool items that make up an item's VQ code (paper: 25); 0 makes none.
    pub vq_codes: usize,
    /// Most items in that pool: of those clicked in training, the ones with the most clicks.
    pub vq_pool: usize,
}

impl Default for QarmConfig {
    fn default() -> QarmConfig {
        QarmConfig {
            codebook_sizes: vec![256; 3],
            hidden: vec![256],
            temperature: 0.1,
            similarity: Similarity::Swing,
            i2i_weight: 1.0,
            neighbours: 20,
            swing_alpha: 1.0,
            users_per_item: 200,
            epochs: 6,
            batch_size: 1024,
            learning_rate: 1e-3,
            weight_decay: 0.01,
            warmup: 0.05,
            kmeans_iterations: 20,
            kmeans_refinements: 10,
            kmeans_sample: 1 << 16,
            vq_codes: 25,
            vq_pool: 50_000,
        }
    }
}

impl QarmConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        codebook_sizes("qarm.codebook_sizes", &self.codebook_sizes)?;
        hidden_widths("qarm.hidden", &self.hidden)?;
        for (key, value) in [
            ("qarm.neighbours", self.neighbours),
            ("qarm.epochs", self.epochs as usize),
            ("qarm.kmeans_iterations", self.kmeans_iterations as usize),
            ("qarm.kmeans_sample", self.kmeans_sample),
            ("qarm.vq_pool", self.vq_pool),
        ] {
            at_least_one(key, value)?;
        }
        for (key, value, of) in [
            ("qarm.batch_size", self.batch_size, "the other clicks of a batch are the negatives"),
            ("qarm.users_per_item", self.users_per_item, "Swing looks at pairs of users"),
        ] {
            if value < 2 {
                return Err(Error::config(key, format!("at least 2: {of}"), value));
            }
        }
        positive("qarm.temperature", self.temperature)?;
        positive("qarm.learning_rate", self.learning_rate)?;
        non_negative("qarm.i2i_weight", self.i2i_weight)?;
        non_negative("qarm.swing_alpha", self.swing_alpha)?;
        non_negative("qarm.weight_decay", self.weight_decay)?;
        share("qarm.warmup", self.warmup)
    }

    /// How the adapters are trained; checkpoints and reports are due as `common` says.
    pub(super) fn training(&self, common: &TrainConfig) -> TrainConfig {
        TrainConfig {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            warmup: self.warmup,
            quantize_after: 0,
            checkpoint_steps: common.checkpoint_steps,
            gradient_report_steps: common.gradient_report_steps,
            ..TrainConfig::default()
        }
    }

    /// The batches of stage 1 are those of DAS's co-click alignments.
    pub(super) fn pairs(&self, sides: Sides) -> ModelConfig {
        ModelConfig { icdm: false, temperature: self.temperature, sides, ..ModelConfig::default() }
    }

    pub(super) fn fit(&self) -> ResidualFit<'_> {
        ResidualFit {
            codebook_sizes: &self.codebook_sizes,
            iterations: self.kmeans_iterations,
            refinements: self.kmeans_refinements,
            sample: self.kmeans_sample,
        }
    }
}
