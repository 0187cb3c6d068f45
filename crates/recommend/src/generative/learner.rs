//! The retriever as [`fit`](crate::fit::fit) sees it.

use das_core::progress::{Cancel, Progress};
use das_core::sid::{SidTable, Trie};
use das_core::streams::stream;
use das_nn::{Params, Tape, Var};
use rand_chacha::ChaCha8Rng;

use super::{Retriever, RetrieverConfig, Seen, target_ranks};
use crate::digest::InputDigest;
use crate::fit::{FitConfig, Learner};
use crate::sequence::spread;
use crate::windows::Windows;
use crate::{Error, Query, Result, Sequences};

/// Validation queries between two looks at `cancel`.
const BLOCK: usize = 256;
/// The cut-off of validation.
const CUT: usize = 10;

/// A retriever in training.
pub(crate) struct RetrieverLearner<'a> {
    model: Retriever,
    train: &'a Sequences,
    validation: Vec<&'a Query>,
    windows: Windows,
    /// The IDs of the items in `train`, among which digits are told, if they are told among
    /// existing ones. Items that are never a target would only learn that they are none, and could
    /// not be found when they are new.
    known: Option<Trie>,
}

impl<'a> RetrieverLearner<'a> {
    pub(crate) fn new(
        model: Retriever,
        train: &'a Sequences,
        validation: &'a [Query],
        seed: u64,
    ) -> Result<RetrieverLearner<'a>> {
        let validation = spread(validation, model.config.validation_queries);
        let windows = Windows::default();
        let known = model.config.renormalise.then(|| known_ids(&model, train)).transpose()?;
        let mut learner = RetrieverLearner { model, train, validation, windows, known };
        learner.begin_epoch(seed, 0);
        if learner.windows.len() == 0 {
            let message = "no user has two training items, so there is nothing to predict";
            return Err(Error::Invalid(message.into()));
        }
        Ok(learner)
    }

    pub(super) fn into_model(self) -> Retriever {
        self.model
    }
}

/// The tree of the IDs that items in `train` have.
fn known_ids(model: &Retriever, train: &Sequences) -> Result<Trie> {
    let mut items = train.items().to_vec();
    items.sort_unstable();
    items.dedup();
    let layout = &model.network.layout;
    let offsets = layout.offsets();
    let digits = |&item: &u32| {
        model.tokens.of(item).iter().zip(&offsets).map(|(code, offset)| code - offset)
    };
    let codes = items.iter().flat_map(digits).collect();
    Ok(Trie::new(&SidTable::new(layout.clone(), codes)?))
}

impl Learner for RetrieverLearner<'_> {
    fn params(&self) -> &Params {
        &self.model.network.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.model.network.params
    }

    fn num_examples(&self) -> usize {
        self.windows.len()
    }

    fn begin_epoch(&mut self, seed: u64, epoch: u64) {
        let mut rng = stream(seed, "retriever/windows", epoch);
        self.windows = Windows::cut(self.train, self.model.config.history, &mut rng);
    }

    fn loss(&self, tape: &mut Tape<'_>, examples: &[u32], rng: &mut ChaCha8Rng) -> Var {
        let (packed, targets) = self.windows.pack(self.train, examples);
        let dropout = Some((self.model.config.dropout, rng));
        let ids = (&self.model.tokens, self.known.as_ref());
        self.model.network.loss(tape, ids, (&packed, &targets), dropout)
    }

    fn validates(&self) -> bool {
        !self.validation.is_empty()
    }

    /// NDCG@10 of items by beam search.
    fn validate(&mut self, progress: &dyn Progress, cancel: &Cancel) -> Result<f64> {
        progress.begin("validating", Some(self.validation.len() as u64));
        let mut sum = 0.0;
        for (at, block) in self.validation.chunks(BLOCK).enumerate() {
            cancel.check()?;
            let histories: Vec<&[u32]> = block.iter().map(|query| &query.history[..]).collect();
            let width = self.model.config.beam.max(CUT);
            let found = self.model.beam_search(&histories, width, CUT, Seen::Included)?;
            for (query, found) in block.iter().zip(&found) {
                let ranks = target_ranks(found, query.target);
                sum += ranks.map_or(0.0, |ranks| ranks.item.ndcg_at(CUT));
            }
            progress.update((at * BLOCK + block.len()) as u64, "");
        }
        progress.end();
        Ok(sum / self.validation.len() as f64)
    }

    fn fingerprint(&self) -> String {
        let config = RetrieverConfig { fit: FitConfig::default(), ..self.model.config.clone() };
        let mut digest = InputDigest::new(&(config, &self.model.network.layout));
        digest.column(self.model.tokens.codes());
        digest.sequences(self.train);
        digest.queries(&self.validation);
        digest.finish()
    }
}
