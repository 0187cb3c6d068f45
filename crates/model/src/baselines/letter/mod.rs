//! `letter`: LETTER (arXiv:2405.07314), an RQ-VAE regularised twice.
//!
//! L = recon + RQ + α·L_cf + β·L_div, all mean-reduced. L_cf aligns the quantized vector with a
//! **frozen** collaborative vector of the same entity; L_div keeps codes of a cluster together so
//! that codes are used evenly. Collaborative vectors are given, or trained first (two-tower
//! InfoNCE on clicks, ours; the paper has SASRec). Users get the same treatment (ours).

mod balanced;
mod collaborative;
mod config;
mod objective;

use das_core::Side;
use das_core::progress::Cancel;

pub use self::config::LetterConfig;
pub(super) use self::objective::LetterObjective;
use crate::method::{Run, Trained};
use crate::train::{Objective, Observer, Stage, train_stage};
use crate::{NeuralTokenizer, Result, TrainConfig};

/// Trains the collaborative vectors where none are given, then users, then items.
pub(crate) fn train(
    config: &LetterConfig,
    common: &TrainConfig,
    run: &Run<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Trained> {
    config.check()?;
    let (vectors, from) = collaborative::vectors(config, common, run, observer, cancel)?;
    let [users, items] = vectors;
    let training = config.rows().training(common);
    let mut stage = Stage { run, config: &training, name: Some("user"), from };
    let users = LetterObjective::new(config, run, Side::User, users)?;
    let users = train_stage(users, stage, observer, cancel)?;
    stage = Stage { name: None, from: users.position, ..stage };
    let items = LetterObjective::new(config, run, Side::Item, items)?;
    let items = train_stage(items, stage, observer, cancel)?;
    let sides =
        [Some(users.objective.encoder(Side::User)?), Some(items.objective.encoder(Side::Item)?)];
    Ok(Trained {
        tokenizer: Box::new(NeuralTokenizer::new("letter", sides)?),
        extra: Vec::new(),
        validation: items.validation,
        epochs: items.position.epochs,
        steps: items.position.steps,
    })
}
