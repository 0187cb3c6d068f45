//! SASRec: self-attentive sequential recommendation on item IDs (Kang & McAuley, 2018).
//!
//! A causal transformer over the items of a history; the state after the newest item is compared
//! with every item's embedding, the same table that the inputs come from. Two things differ from
//! the paper and make it the strong baseline that it is known to be since (Klenitskiy & Vasilev,
//! 2023): the loss is the softmax cross entropy over the **whole catalogue** instead of one
//! sampled negative, and the blocks are pre-normalised. Cosine instead of dot-product logits are
//! an option.

mod config;
mod learner;

use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Progress};
use das_core::streams::stream;
use das_nn::{Device, ParamId, Params, SoftmaxCe, Tape, Var};
use serde::{Deserialize, Serialize};

pub use config::SasRecConfig;
use learner::SasRecLearner;

use crate::fit::{FitReport, fit};
use crate::layers::{Builder, Dropout, dropout, same_size};
use crate::saved::{self, Saved};
use crate::sequence::check_histories;
use crate::transformer::Transformer;
use crate::windows::Packed;
use crate::{Error, Query, Recommender, Result, Sequences};

/// Most histories scored at a time, and most of their scores.
const BLOCK: (usize, usize) = (256, 1 << 24);
const KIND: &str = "sasrec";

/// A trained SASRec.
#[derive(Debug)]
pub struct SasRec {
    config: SasRecConfig,
    num_items: usize,
    params: Params,
    /// `[items + 1, dim]`; the last row is the start of a sequence, which is never a target.
    items: ParamId,
    /// `[history + 1, dim]`, by place in the window, the start first.
    positions: ParamId,
    transformer: Transformer,
}

/// What is stored beside the tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    num_items: usize,
    config: SasRecConfig,
}

impl SasRec {
    /// Trains on the sequences of `train`, keeping the weights of the best NDCG@10 on
    /// `validation`. See [`fit`] for `store`, `progress` and `cancel`.
    ///
    /// # Errors
    /// Bad settings, items outside the catalogue, no user with two items, or what [`fit`] says.
    #[allow(clippy::too_many_arguments)]
    pub fn train(
        device: &Device,
        num_items: usize,
        train: &Sequences,
        validation: &[Query],
        config: &SasRecConfig,
        seed: u64,
        store: Option<&CheckpointStore>,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(SasRec, FitReport)> {
        config.check()?;
        train.check(num_items)?;
        Query::check(validation, num_items)?;
        let builder = Builder::drawing(device, stream(seed, "sasrec/init", 0));
        let model = SasRec::build(builder, num_items, config)?;
        let mut learner = SasRecLearner::new(model, train, validation, seed)?;
        let report = fit(&mut learner, &config.fit, seed, store, progress, cancel)?;
        Ok((learner.into_model(), report))
    }

    fn build(mut builder: Builder, num_items: usize, config: &SasRecConfig) -> Result<SasRec> {
        let items = builder.embedding("items", num_items + 1, config.dim)?;
        let positions = builder.embedding("positions", config.history + 1, config.dim)?;
        let transformer = Transformer::new(&mut builder, "transformer", config.shape())?;
        let params = builder.finish();
        Ok(SasRec { config: config.clone(), num_items, params, items, positions, transformer })
    }

    /// The settings it was trained with.
    pub fn config(&self) -> &SasRecConfig {
        &self.config
    }

    /// Settings and weights as safetensors.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = Header { num_items: self.num_items, config: self.config.clone() };
        saved::to_bytes(KIND, &header, &self.params)
    }

    /// Reads what [`SasRec::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are anything else; nothing in them is believed unchecked.
    pub fn from_bytes(device: &Device, bytes: &[u8]) -> Result<SasRec> {
        let Saved { header: Header { num_items, config }, tensors } =
            saved::from_bytes(KIND, bytes)?;
        config.check()?;
        let rows = num_items as u128 + config.history as u128 + 2;
        let expected = rows * config.dim as u128 + config.shape().num_values();
        if !same_size(&tensors, expected) {
            let message = format!("its tensors do not hold the {expected} values of its settings");
            return Err(Error::Stored { model: KIND, message });
        }
        let mut model = SasRec::build(Builder::blank(device), num_items, &config)?;
        model.params.load_tensors(&tensors)?;
        Ok(model)
    }

    /// The rows of histories as the transformer takes them, `[rows, dim]`.
    fn embed(&self, tape: &mut Tape<'_>, packed: &Packed) -> Var {
        let start = self.num_items as u32;
        let items: Vec<u32> = packed.items.iter().map(|&item| item.min(start)).collect();
        let items = tape.gather(self.items, &items);
        let positions = tape.gather(self.positions, &packed.positions);
        tape.add(items, positions)
    }

    /// States and catalogue as they are multiplied to logits, and the factor on the product.
    fn operands(&self, tape: &mut Tape<'_>, states: Var) -> (Var, Var, f32) {
        let catalogue = tape.param(self.items);
        match self.config.cosine_scale {
            0.0 => (states, catalogue, 1.0),
            scale => (tape.normalize(states), tape.normalize(catalogue), scale),
        }
    }

    /// Mean cross entropy of the items that follow the rows.
    fn loss(
        &self,
        tape: &mut Tape<'_>,
        packed: &Packed,
        targets: &[u32],
        mut drop: Dropout<'_>,
    ) -> Var {
        let x = self.embed(tape, packed);
        let x = dropout(tape, x, &mut drop);
        let states = self.transformer.forward(tape, x, &packed.offsets, &mut drop);
        let (states, catalogue, scale) = self.operands(tape, states);
        let label_smoothing = self.config.label_smoothing;
        let options = SoftmaxCe { scale, label_smoothing, ..SoftmaxCe::default() };
        tape.softmax_ce(states, catalogue, targets, &options)
    }

    /// Histories scored at a time.
    fn block(&self) -> usize {
        (BLOCK.1 / self.num_items.max(1)).clamp(1, BLOCK.0)
    }

    /// Logits `[n, num_items]` of a few histories.
    fn score_block(&self, histories: &[&[u32]]) -> Vec<f32> {
        let packed = Packed::newest(histories, self.config.history);
        let mut tape = Tape::inference(&self.params);
        let x = self.embed(&mut tape, &packed);
        let newest = self.transformer.newest(&mut tape, x, &packed.offsets);
        let (newest, catalogue, scale) = self.operands(&mut tape, newest);
        let scores = tape.scores(newest, catalogue);
        let with_start = tape.value(scores).to_vec();
        let rows = with_start.chunks_exact(self.num_items + 1);
        rows.flat_map(|row| row[..self.num_items].iter().map(|score| score * scale)).collect()
    }
}

impl Recommender for SasRec {
    fn num_items(&self) -> usize {
        self.num_items
    }

    /// Logits of the next item.
    fn scores(&self, histories: &[&[u32]]) -> Result<Vec<f32>> {
        check_histories(histories, self.num_items)?;
        Ok(histories.chunks(self.block()).flat_map(|block| self.score_block(block)).collect())
    }
}
