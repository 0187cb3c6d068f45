//! One training run over prepared data.

use std::path::Path;

use anyhow::{Context as _, bail};
use das_core::checkpoints::CheckpointStore;
use das_core::npy::{self, NpyMatrix};
use das_core::{RowMatrix, Side};
use das_data::Part;
use das_model::train::Observer;
use das_model::{Encoded, Inputs, Keep, Run, Settings, Trained, encode_all, train_method};
use das_nn::Device;

use super::{Context, Prepared};
use crate::config::{DataConfig, RunConfig};

/// A trained model and the codes of everything it was trained for.
pub struct Fitted {
    /// Tokenizer and what else the method learned.
    pub trained: Trained,
    /// Codes, `[users, items]`; none of a side that the method leaves out.
    pub encoded: [Option<Encoded>; 2],
}

/// Trains the configured method on `content` `[users, items]` and encodes every row of it. With a
/// `store`, checkpoints are written there and an interrupted training is continued from them.
pub fn fit(
    prepared: &Prepared,
    content: [&dyn RowMatrix; 2],
    config: &RunConfig,
    store: Option<CheckpointStore>,
    observer: &mut dyn Observer,
    context: Context<'_>,
) -> anyhow::Result<Fitted> {
    let validation = prepared.held_out(Part::Validation);
    let [user_cf, item_cf] = collaborative(&config.data)?;
    let inputs = Inputs {
        clicks: &prepared.clicks,
        content,
        validation: Some(&validation),
        collaborative: [user_cf.as_deref(), item_cf.as_deref()],
    };
    let precision = config.train.precision;
    if !precision.is_native() {
        let message =
            "this processor has no instructions for bf16: `train.precision = \"f32\"` is faster";
        observer.warn(message);
    }
    let device = Device::cpu_with(precision);
    let run = Run { device: &device, inputs, seed: config.seed, store };
    let methods = config.methods();
    let settings = Settings { model: &config.model, train: &config.train, methods: &methods };
    let trained = train_method(config.method, settings, &run, observer, context.cancel)?;
    let encode = |side: Side| {
        let tokenizer = &*trained.tokenizer;
        tokenizer.sides().contains(&side).then(|| {
            let keep = Keep { last_residuals: true, error: true, ..Keep::default() };
            encode_all(tokenizer, side, content[side as usize], keep, context.bars, context.cancel)
        })
    };
    let encoded = [encode(Side::User).transpose()?, encode(Side::Item).transpose()?];
    Ok(Fitted { trained, encoded })
}

/// Frozen collaborative vectors `[users, items]` from the files that the settings name.
fn collaborative(config: &DataConfig) -> anyhow::Result<[Option<Box<dyn RowMatrix>>; 2]> {
    let open = |path: &String| -> anyhow::Result<Option<Box<dyn RowMatrix>>> {
        if path.is_empty() {
            return Ok(None);
        }
        match npy::open(Path::new(path)).context("frozen collaborative vectors")? {
            NpyMatrix::Mapped(matrix) => Ok(Some(Box::new(matrix))),
            other => bail!("{path}: expected f32 vectors, found {other:?}"),
        }
    };
    Ok([open(&config.user_cf)?, open(&config.item_cf)?])
}
