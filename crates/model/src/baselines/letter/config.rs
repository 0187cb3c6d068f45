//! Settings of `letter`.

use serde::{Deserialize, Serialize};

use crate::baselines::rows::RowsConfig;
use crate::config::{at_least_one, non_negative, positive};
use crate::{Error, ModelConfig, Reduction, Result, RqvaeConfig, TrainConfig};

/// Settings of `letter`; the paper's values where it gives any. Both sides have the same shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LetterConfig {
    /// Hidden widths of the encoder; the decoder mirrors them.
    pub hidden: Vec<usize>,
    /// Codes of each level.
    pub codebook_sizes: Vec<u32>,
    /// Width d of codes, and of collaborative vectors.
    pub code_dim: usize,
    /// Weight of the commitment term.
    pub commitment_weight: f32,
    /// How squared errors are reduced over the dimensions.
    pub reduction: Reduction,
    /// Weight α of the collaborative term.
    pub alpha: f32,
    /// Weight β of the diversity term.
    pub beta: f32,
    /// Clusters of codes on each level, found anew before each epoch; at most half as many as
    /// codes are made.
    pub clusters: u32,
    /// Passes over the rows of a side.
    pub epochs: u32,
    /// Rows a step; a side with fewer trains on all of them at once.
    pub batch_size: usize,
    /// Peak learning rate of AdamW. The published code has 1e-3 over thousands of epochs; over
    /// these few, 3e-3 leaves a tenth less reconstruction error (measured on Amazon Beauty).
    pub learning_rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Share of all steps spent on linear warm-up, before the cosine decay.
    pub warmup: f32,
    /// Iterations of every constrained k-means.
    pub kmeans_iterations: u32,
    /// Whether codes that no entity uses are moved onto data after an epoch (ours).
    pub reset_dead_codes: bool,
    /// Last epochs without such a reset.
    pub settle_epochs: u32,
    /// Passes over the clicks that train the collaborative vectors, where none are given.
    pub cf_epochs: u32,
    /// Clicks a step in that training.
    pub cf_batch_size: usize,
    /// Its learning rate.
    pub cf_learning_rate: f32,
    /// Its temperature τ. Vectors trained here are c/(‖c‖√τ), so that their products are the
    /// logits that they were trained with.
    pub cf_temperature: f32,
}

impl Default for LetterConfig {
    fn default() -> LetterConfig {
        LetterConfig {
            hidden: vec![256, 128],
            codebook_sizes: vec![256; 4],
            code_dim: 32,
            commitment_weight: 0.25,
            reduction: Reduction::Mean,
            alpha: 0.02,
            beta: 1e-4,
            clusters: 10,
            epochs: 60,
            batch_size: 1024,
            learning_rate: 3e-3,
            weight_decay: 1e-4,
            warmup: 0.05,
            kmeans_iterations: 10,
            reset_dead_codes: true,
            settle_epochs: 3,
            cf_epochs: 10,
            cf_batch_size: 1024,
            cf_learning_rate: 5e-3,
            cf_temperature: 0.1,
        }
    }
}

impl LetterConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        self.rows().check()?;
        non_negative("letter.alpha", self.alpha)?;
        non_negative("letter.beta", self.beta)?;
        positive("letter.cf_learning_rate", self.cf_learning_rate)?;
        positive("letter.cf_temperature", self.cf_temperature)?;
        at_least_one("letter.clusters", self.clusters as usize)?;
        at_least_one("letter.cf_epochs", self.cf_epochs as usize)?;
        if self.cf_batch_size < 2 {
            let expected = "at least 2: the other clicks of a batch are the negatives";
            return Err(Error::config("letter.cf_batch_size", expected, self.cf_batch_size));
        }
        Ok(())
    }

    pub(crate) fn rows(&self) -> RowsConfig {
        let shape = RqvaeConfig {
            hidden: self.hidden.clone(),
            codebook_sizes: self.codebook_sizes.clone(),
            code_dim: self.code_dim,
            commitment_weight: self.commitment_weight,
            reduction: self.reduction,
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            warmup: self.warmup,
            kmeans_iterations: self.kmeans_iterations,
            reset_dead_codes: self.reset_dead_codes,
            settle_epochs: self.settle_epochs,
        };
        RowsConfig { method: "letter", shape }
    }

    /// The collaborative model: one embedding an entity, trained on clicks alone.
    pub(super) fn collaborative(&self) -> ModelConfig {
        ModelConfig {
            code_dim: self.code_dim,
            temperature: self.cf_temperature,
            debias: false,
            ..ModelConfig::paper()
        }
    }

    /// Its training.
    pub(super) fn collaborative_training(&self, common: &TrainConfig) -> TrainConfig {
        TrainConfig {
            epochs: self.cf_epochs,
            batch_size: self.cf_batch_size,
            learning_rate: self.cf_learning_rate,
            table_learning_rate: self.cf_learning_rate,
            checkpoint_steps: common.checkpoint_steps,
            gradient_report_steps: common.gradient_report_steps,
            ..TrainConfig::default()
        }
    }
}
