//! SASRec as [`fit`](crate::fit::fit) sees it.

use das_core::metrics::TiedRank;
use das_core::progress::{Cancel, Progress};
use das_core::streams::stream;
use das_nn::{Params, Tape, Var};
use rand_chacha::ChaCha8Rng;

use super::{SasRec, SasRecConfig};
use crate::digest::InputDigest;
use crate::fit::{FitConfig, Learner};
use crate::sequence::spread;
use crate::windows::Windows;
use crate::{Error, Query, Recommender, Result, Sequences};

/// A model in training.
pub(super) struct SasRecLearner<'a> {
    model: SasRec,
    train: &'a Sequences,
    validation: Vec<&'a Query>,
    windows: Windows,
}

impl<'a> SasRecLearner<'a> {
    pub(super) fn new(
        model: SasRec,
        train: &'a Sequences,
        validation: &'a [Query],
        seed: u64,
    ) -> Result<SasRecLearner<'a>> {
        let validation = spread(validation, model.config.validation_queries);
        let mut learner = SasRecLearner { model, train, validation, windows: Windows::default() };
        learner.begin_epoch(seed, 0);
        if learner.windows.len() == 0 {
            let message = "no user has two training items, so there is nothing to predict";
            return Err(Error::Invalid(message.into()));
        }
        Ok(learner)
    }

    pub(super) fn into_model(self) -> SasRec {
        self.model
    }
}

impl Learner for SasRecLearner<'_> {
    fn params(&self) -> &Params {
        &self.model.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.model.params
    }

    fn num_examples(&self) -> usize {
        self.windows.len()
    }

    fn begin_epoch(&mut self, seed: u64, epoch: u64) {
        let mut rng = stream(seed, "sasrec/windows", epoch);
        self.windows = Windows::cut(self.train, self.model.config.history, &mut rng);
    }

    fn loss(&self, tape: &mut Tape<'_>, examples: &[u32], rng: &mut ChaCha8Rng) -> Var {
        let (packed, targets) = self.windows.pack(self.train, examples);
        let dropout = Some((self.model.config.dropout, rng));
        self.model.loss(tape, &packed, &targets, dropout)
    }

    fn validates(&self) -> bool {
        !self.validation.is_empty()
    }

    /// NDCG@10 over the whole catalogue.
    fn validate(&mut self, progress: &dyn Progress, cancel: &Cancel) -> Result<f64> {
        progress.begin("validating", Some(self.validation.len() as u64));
        let size = self.model.block();
        let mut sum = 0.0;
        for (at, block) in self.validation.chunks(size).enumerate() {
            cancel.check()?;
            let histories: Vec<&[u32]> = block.iter().map(|query| &query.history[..]).collect();
            let scores = self.model.scores(&histories)?;
            for (query, scores) in block.iter().zip(scores.chunks_exact(self.model.num_items)) {
                sum += TiedRank::of(scores, query.target as usize).ndcg_at(10);
            }
            progress.update((at * size + block.len()) as u64, "");
        }
        progress.end();
        Ok(sum / self.validation.len() as f64)
    }

    fn fingerprint(&self) -> String {
        let config = SasRecConfig { fit: FitConfig::default(), ..self.model.config.clone() };
        let mut digest = InputDigest::new(&config);
        digest.sequences(self.train);
        digest.queries(&self.validation);
        digest.finish()
    }
}
