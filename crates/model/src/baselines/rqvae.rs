//! `rqvae`: the content-only residual-quantizing autoencoder of TIGER (arXiv:2305.05065), as the
//! code base of LETTER trains it: L = recon + RQ with both mean-reduced, over items and, ours,
//! over users alike. It sees content alone; clicks play no part.

use das_core::Side;
use das_core::progress::Cancel;
use serde::{Deserialize, Serialize};

use super::rows::{RowsConfig, RowsObjective};
use crate::method::{Run, Trained};
use crate::train::{Objective, Observer, Position, Stage, train_stage};
use crate::{NeuralTokenizer, Reduction, Result, TrainConfig};

/// Settings of `rqvae`. Both sides have the same shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RqvaeConfig {
    /// Hidden widths of the encoder; the decoder mirrors them.
    pub hidden: Vec<usize>,
    /// Codes of each level. TIGER has three, and a last digit that tells collided items apart.
    pub codebook_sizes: Vec<u32>,
    /// Width d of codes.
    pub code_dim: usize,
    /// Weight of the commitment term.
    pub commitment_weight: f32,
    /// How squared errors are reduced over the dimensions.
    pub reduction: Reduction,
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
    /// Lloyd iterations of the residual k-means that sets the codebooks before the first step.
    pub kmeans_iterations: u32,
    /// Whether codes that no entity uses are moved onto data after an epoch (ours).
    pub reset_dead_codes: bool,
    /// Last epochs without such a reset.
    pub settle_epochs: u32,
}

impl Default for RqvaeConfig {
    fn default() -> RqvaeConfig {
        RqvaeConfig {
            hidden: vec![256, 128],
            codebook_sizes: vec![256; 3],
            code_dim: 32,
            commitment_weight: 0.25,
            reduction: Reduction::Mean,
            epochs: 30,
            batch_size: 1024,
            learning_rate: 3e-3,
            weight_decay: 1e-4,
            warmup: 0.05,
            kmeans_iterations: 20,
            reset_dead_codes: true,
            settle_epochs: 3,
        }
    }
}

impl RqvaeConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        self.rows().check()
    }

    pub(crate) fn rows(&self) -> RowsConfig {
        RowsConfig { method: "rqvae", shape: self.clone() }
    }
}

/// Trains users, then items.
pub(crate) fn train(
    config: &RqvaeConfig,
    common: &TrainConfig,
    run: &Run<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Trained> {
    config.check()?;
    let training = config.rows().training(common);
    let mut stage = Stage { run, config: &training, name: Some("user"), from: Position::default() };
    let new = |side| RowsObjective::new(config.rows(), run, side);
    let users = train_stage(new(Side::User)?, stage, observer, cancel)?;
    stage = Stage { name: None, from: users.position, ..stage };
    let items = train_stage(new(Side::Item)?, stage, observer, cancel)?;
    let sides =
        [Some(users.objective.encoder(Side::User)?), Some(items.objective.encoder(Side::Item)?)];
    Ok(Trained {
        tokenizer: Box::new(NeuralTokenizer::new("rqvae", sides)?),
        extra: Vec::new(),
        validation: items.validation,
        epochs: items.position.epochs,
        steps: items.position.steps,
    })
}
