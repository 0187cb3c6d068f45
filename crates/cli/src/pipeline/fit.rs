//! One training run over prepared data.

use das_core::{RowMatrix, Side};
use das_data::Part;
use das_model::train::{CheckpointStore, Inputs, Observer, Trained, Trainer};
use das_model::{Encoded, encode_all};
use das_nn::Device;

use super::{Context, Prepared};
use crate::config::RunConfig;

/// A trained model and the codes of everything it was trained for.
pub struct Fitted {
    /// Tokenizers and ID embeddings.
    pub trained: Trained,
    /// Codes, `[users, items]`.
    pub encoded: [Encoded; 2],
}

/// Trains on `content` `[users, items]` and encodes every row of it. With a `store`, checkpoints
/// are written there and an interrupted training is continued from them.
pub fn fit(
    prepared: &Prepared,
    content: [&dyn RowMatrix; 2],
    config: &RunConfig,
    store: Option<CheckpointStore>,
    observer: &mut dyn Observer,
    context: Context<'_>,
) -> anyhow::Result<Fitted> {
    let validation = prepared.held_out(Part::Validation);
    let inputs = Inputs { clicks: &prepared.clicks, content, validation: Some(&validation) };
    let device = Device::cpu();
    let (model, train) = (&config.model, &config.train);
    let mut trainer = Trainer::new(&device, model, train, inputs, config.seed, store)?;
    trainer.resume(observer)?;
    let trained = trainer.run(observer, context.cancel)?;
    let [users, items] = content;
    let encode =
        |side, content| encode_all(&trained.tokenizer, side, content, context.bars, context.cancel);
    let encoded = [encode(Side::User, users)?, encode(Side::Item, items)?];
    Ok(Fitted { trained, encoded })
}
