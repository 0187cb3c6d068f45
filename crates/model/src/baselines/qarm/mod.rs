//! `qarm`: content aligned with behaviour first, quantized after (QARM, arXiv:2411.11739).
//!
//! Stage 1 fine-tunes content by in-batch contrast on u2i pairs (trigger → target: another item
//! that the user clicked → the clicked item) and i2i pairs (similar items). The paper fine-tunes
//! the multi-modal model that makes the vectors; content is frozen here, so an adapter
//! x → (x + MLP(x)) / ‖·‖ on top of it learns instead. Its trigger is the most similar of a user's
//! recent items under a retrieval model, ours is drawn from the co-clicks of the data set. Stage 2
//! is residual k-means on the aligned vectors, and a VQ code: the nearest items of a pool. The user
//! side (ours) is the same, with users who clicked the same item as pairs.

mod align;
mod config;
mod neighbours;
#[cfg(test)]
mod tests;
mod vq;

use das_core::Side;
use das_core::progress::Cancel;
use das_core::streams::stream;

use self::align::Alignment;
pub use self::config::QarmConfig;
pub use self::neighbours::Similarity;
pub use self::vq::{VqCodes, VqPool};
use super::residual::{Adapter, ResidualSide, ResidualTokenizer};
use crate::das::check_batch;
use crate::method::{ExtraFile, Run, Trained};
use crate::train::{Finished, Observer, Position, Stage, train_stage};
use crate::{Result, TrainConfig};

/// Items whose VQ codes are worked out at a time.
const CHUNK_ROWS: usize = 4096;

/// Trains the adapters, then fits the codebooks.
pub(crate) fn train(
    config: &QarmConfig,
    common: &TrainConfig,
    run: &Run<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Trained> {
    config.check()?;
    check_batch("qarm.batch_size", config.batch_size, &run.inputs)?;
    let training = config.training(common);
    let stage = Stage { run, config: &training, name: None, from: Position::default() };
    let alignment = Alignment::new(config, run, cancel)?;
    let Finished { objective, position, .. } = train_stage(alignment, stage, observer, cancel)?;

    let fit = |side: Side| {
        let adapter = objective.adapter(side)?;
        let mut rng = stream(run.seed, &format!("qarm/{side} k-means"), 0);
        let content = run.inputs.content[side as usize];
        let codebooks = config.fit().run(&adapter, content, &mut rng, cancel)?;
        Ok::<_, crate::Error>(ResidualSide::new(adapter, codebooks))
    };
    let tokenizer = ResidualTokenizer::new("qarm", [fit(Side::User)?, fit(Side::Item)?]);
    let validation = tokenizer.validate(&run.inputs, cancel)?;
    Ok(Trained {
        tokenizer: Box::new(tokenizer),
        extra: vq_file(config, &objective.adapter(Side::Item)?, run, cancel)?,
        validation,
        epochs: position.epochs,
        steps: position.steps,
    })
}

/// The pool and the VQ codes of all items.
fn vq_file(
    config: &QarmConfig,
    adapter: &Adapter,
    run: &Run<'_>,
    cancel: &Cancel,
) -> Result<Vec<ExtraFile>> {
    if config.vq_codes == 0 {
        return Ok(Vec::new());
    }
    let [_, content] = run.inputs.content;
    let pool = vq::pool_items(run.inputs.clicks, config.vq_pool);
    let vectors = adapter.map_rows(content, &pool, cancel)?;
    let pool = VqPool::new(pool, vectors);
    let mut codes = Vec::new();
    let all: Vec<u32> = (0..content.rows() as u32).collect();
    for rows in all.chunks(CHUNK_ROWS) {
        let vectors = adapter.map_rows(content, rows, cancel)?;
        codes.extend(pool.codes(&vectors, config.vq_codes)?);
    }
    Ok(vec![(VqPool::FILE.to_string(), pool.to_tensors(codes, all.len()))])
}
