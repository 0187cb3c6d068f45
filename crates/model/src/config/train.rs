//! The optimizer, the schedule, and what is kept on the way.

use das_nn::Precision;
use serde::{Deserialize, Serialize};

use super::check::{at_least_one, non_negative, positive, share};
use crate::{Error, Result};

/// How the model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training clicks.
    pub epochs: u32,
    /// Clicks a step.
    pub batch_size: usize,
    /// Peak learning rate of dense parameters.
    pub learning_rate: f32,
    /// Peak learning rate of ID embedding tables.
    pub table_learning_rate: f32,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f32,
    /// Share of all steps spent on linear warm-up, before the cosine decay.
    pub warmup: f32,
    /// Largest global gradient norm; 0 disables clipping.
    pub clip_norm: f32,
    /// Whether rows of ID tables without a gradient are left alone (`lazy`) or follow AdamW's
    /// moments at every step (`dense`).
    pub table_update: TableUpdate,
    /// First epochs in which vectors pass unquantized; residual k-means then sets the codebooks.
    pub quantize_after: u32,
    /// First epochs without alignments with ID embeddings, in which those learn from clicks alone.
    pub teach_after: u32,
    /// Longest that encoder outputs may be, as a root mean square, when quantization begins; longer ones are scaled
    /// down and the decoder's weights up. 0 leaves them alone.
    pub max_latent_norm: f32,
    /// Whether codebooks start from residual k-means on encoder outputs.
    pub kmeans_init: bool,
    /// Lloyd iterations of that k-means.
    pub kmeans_iterations: u32,
    /// Whether codes that no entity uses are moved onto data after an epoch.
    pub reset_dead_codes: bool,
    /// Last epochs without such a reset, so that the moved codes settle.
    pub settle_epochs: u32,
    /// Most entities of a side that k-means and usage counts look at.
    pub codebook_sample: usize,
    /// Epochs without a better validation score before training stops; 0 trains to the end.
    pub early_stopping: u32,
    /// In which linear layers and contrasts multiply, forward and backward; codes of a trained model
    /// are always worked out in single precision.
    pub precision: Precision,
    /// Steps between checkpoints inside an epoch; more where checkpoints would take over a tenth of
    /// the time. One is written after each epoch anyway.
    pub checkpoint_steps: u64,
    /// Steps between gradient reports, each of which costs about a step for every loss term; 0
    /// makes none. Training is the same with and without.
    pub gradient_report_steps: u64,
}

/// What AdamW does with table rows that got no gradient in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableUpdate {
    /// They stay as they are: the cost of a step does not grow with the table.
    Lazy,
    /// They decay and follow their moments, as a dense AdamW does.
    Dense,
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainConfig {
            epochs: 12,
            batch_size: 1024,
            learning_rate: 2e-3,
            table_learning_rate: 5e-3,
            weight_decay: 0.01,
            warmup: 0.05,
            clip_norm: 0.0,
            table_update: TableUpdate::Lazy,
            quantize_after: 2,
            teach_after: 0,
            max_latent_norm: 4.0,
            kmeans_init: true,
            kmeans_iterations: 20,
            reset_dead_codes: true,
            settle_epochs: 1,
            codebook_sample: 200_000,
            early_stopping: 0,
            precision: Precision::F32,
            checkpoint_steps: 200,
            gradient_report_steps: 0,
        }
    }
}

impl TrainConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [
            ("train.epochs", self.epochs as usize),
            ("train.kmeans_iterations", self.kmeans_iterations as usize),
            ("train.codebook_sample", self.codebook_sample),
            ("train.checkpoint_steps", self.checkpoint_steps as usize),
        ] {
            at_least_one(key, value)?;
        }
        if self.batch_size < 2 {
            let expected = "at least 2: the other clicks of a batch are the negatives";
            return Err(Error::config("train.batch_size", expected, self.batch_size));
        }
        positive("train.learning_rate", self.learning_rate)?;
        positive("train.table_learning_rate", self.table_learning_rate)?;
        non_negative("train.weight_decay", self.weight_decay)?;
        non_negative("train.clip_norm", self.clip_norm)?;
        non_negative("train.max_latent_norm", self.max_latent_norm)?;
        share("train.warmup", self.warmup)?;
        if self.quantize_after >= self.epochs {
            let expected = format!("less than train.epochs ({})", self.epochs);
            return Err(Error::config("train.quantize_after", expected, self.quantize_after));
        }
        if self.teach_after >= self.epochs {
            let expected = format!("less than train.epochs ({})", self.epochs);
            return Err(Error::config("train.teach_after", expected, self.teach_after));
        }
        Ok(())
    }
}
