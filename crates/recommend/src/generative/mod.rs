//! The generative retriever: a model that writes the semantic ID of the next item, digit by digit.
//!
//! It has the shape of the RQ-Transformer (Lee et al., 2022, arXiv:2203.01941). A causal
//! transformer runs over **items**, each of which enters as the sum of the embeddings of its
//! digits, so a history is as long as it has items, not digits. A small depth decoder then gives
//! the probability of each digit of the next item, knowing the transformer's state and the digits
//! before it. As in the paper, digit d is told by the sum of a position embedding and the
//! embeddings of the digits before it; unlike there, feed-forward layers work on that sum and the
//! state together, without attention among three to five digits. One row a node then costs the
//! same on every depth, and nothing has to be kept between them in a search.
//!
//! p(ID | history) = Π_d p(digit d | digits before it, history), each factor a softmax over the
//! codes that continue an existing ID ([`RetrieverConfig::renormalise`]): training is maximum
//! likelihood over the catalogue, and no strength goes into learning which IDs exist. The IDs of
//! items that are never clicked in training stay out of it there, so that nothing is learned
//! against them. Items that share an ID share its probability equally.
//!
//! [`Retriever::beam_search`] follows the most probable prefixes that exist in the catalogue.
//! [`Retriever::exact`] returns the true best of the whole catalogue by branch and bound.
//! [`Retriever::score_catalogue`] scores everything.

mod config;
mod learner;
mod network;
mod retrieved;
mod search;

use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Progress};
use das_core::sid::{SidLayout, SidTable, Trie};
use das_core::streams::stream;
use das_nn::safetensors_io::NamedTensor;
use das_nn::{Among, Device, Tape};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use config::RetrieverConfig;
pub(crate) use learner::RetrieverLearner;
use network::{Network, Tokens};
pub use retrieved::{Retrieved, Seen, TargetRanks, target_ranks};
use search::{Keep, Reach, Search, search};

use crate::fit::{FitReport, fit};
use crate::layers::{Builder, same_size};
use crate::saved::{self, Saved};
use crate::sequence::check_histories;
use crate::windows::Packed;
use crate::{Error, Query, Recommender, Result, Sequences};

/// Histories searched at a time by one task: what they keep stays in a core's caches, and tasks
/// share nothing.
const SEARCHED: usize = 16;
/// Leaves scored at a time, over all histories, when everything is scored.
const SCORED: usize = 1 << 18;
/// How far below its bound exact search still looks, since two ways to the same ln p may round
/// differently.
const SLACK: f32 = 1e-4;
const KIND: &str = "retriever";

/// A trained generative retriever over one catalogue.
#[derive(Debug)]
pub struct Retriever {
    config: RetrieverConfig,
    tokens: Tokens,
    trie: Trie,
    reach: Reach,
    network: Network,
}

/// What is stored beside the tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    layout: SidLayout,
    config: RetrieverConfig,
}

impl Retriever {
    /// Trains on the sequences of `train`, whose items are rows of `sids`, keeping the weights of
    /// the best NDCG@10 on `validation`. See [`fit`] for `store`, `progress` and `cancel`.
    ///
    /// # Errors
    /// Bad settings, items without an ID, no user with two items, or what [`fit`] says.
    #[allow(clippy::too_many_arguments)]
    pub fn train(
        device: &Device,
        sids: &SidTable,
        train: &Sequences,
        validation: &[Query],
        config: &RetrieverConfig,
        seed: u64,
        store: Option<&CheckpointStore>,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(Retriever, FitReport)> {
        config.check()?;
        train.check(sids.len())?;
        Query::check(validation, sids.len())?;
        let builder = Builder::drawing(device, stream(seed, "retriever/init", 0));
        let model = Retriever::build(builder, sids, config)?;
        let mut learner = RetrieverLearner::new(model, train, validation, seed)?;
        let report = fit(&mut learner, &config.fit, seed, store, progress, cancel)?;
        Ok((learner.into_model(), report))
    }

    fn build(builder: Builder, sids: &SidTable, config: &RetrieverConfig) -> Result<Retriever> {
        let trie = Trie::new(sids);
        Ok(Retriever {
            config: config.clone(),
            tokens: Tokens::new(sids),
            reach: Reach::new(&trie),
            trie,
            network: Network::new(builder, sids.layout(), config)?,
        })
    }

    /// The settings it was trained with.
    pub fn config(&self) -> &RetrieverConfig {
        &self.config
    }

    /// The IDs of the catalogue; leaves of results are its leaves.
    pub fn trie(&self) -> &Trie {
        &self.trie
    }

    /// Settings and weights as safetensors; the catalogue is not part of it.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = Header { layout: self.network.layout.clone(), config: self.config.clone() };
        saved::to_bytes(KIND, &header, &self.network.params)
    }

    /// The layout of the IDs that [`Retriever::to_bytes`] wrote a model for.
    ///
    /// # Errors
    /// If the bytes are anything else.
    pub(crate) fn stored_layout(bytes: &[u8]) -> Result<SidLayout> {
        saved::from_bytes(KIND, bytes).map(|Saved { header: Header { layout, .. }, .. }| layout)
    }

    /// Reads what [`Retriever::to_bytes`] wrote, over a catalogue of IDs of the same tokenizer,
    /// which may hold items that came after the training.
    ///
    /// # Errors
    /// If the bytes are anything else, or the IDs have another layout; nothing is believed
    /// unchecked.
    pub fn from_bytes(device: &Device, bytes: &[u8], sids: &SidTable) -> Result<Retriever> {
        let Saved { header: Header { layout, config }, tensors } = saved::from_bytes(KIND, bytes)?;
        if layout != *sids.layout() {
            let (expected, found) = (&layout, sids.layout());
            let message = format!("trained on IDs of {expected:?}, given IDs of {found:?}");
            return Err(Error::Stored { model: KIND, message });
        }
        Retriever::from_weights(device, sids, &config, &tensors)
    }

    /// A retriever with the given weights.
    ///
    /// # Errors
    /// Bad settings, or weights that are not those of such a retriever.
    pub(crate) fn from_weights(
        device: &Device,
        sids: &SidTable,
        config: &RetrieverConfig,
        weights: &[NamedTensor],
    ) -> Result<Retriever> {
        config.check()?;
        let expected = Network::num_values(sids.layout(), config);
        if !same_size(weights, expected) {
            let message = format!("its tensors do not hold the {expected} values of its settings");
            return Err(Error::Stored { model: KIND, message });
        }
        let mut model = Retriever::build(Builder::blank(device), sids, config)?;
        model.network.params.load_tensors(weights)?;
        Ok(model)
    }

    /// For each history the `k` best IDs and the IDs of the `k` best items that beam search finds
    /// among the existing ones, best items first. Wider beams find more; one as wide as the
    /// catalogue finds everything.
    ///
    /// # Errors
    /// If a history names an item outside the catalogue, or `width` is less than `k`.
    pub fn beam_search(
        &self,
        histories: &[&[u32]],
        width: usize,
        k: usize,
        seen: Seen,
    ) -> Result<Vec<Vec<Retrieved>>> {
        if width < k {
            let message = format!("beam width {width}, expected at least the {k} results wanted");
            return Err(Error::Invalid(message));
        }
        self.in_blocks(histories, |block| {
            let contexts = self.contexts(block);
            let leaves = self.search(&contexts, Keep::Best(width));
            self.best(block, &leaves, k, seen)
        })
    }

    /// For each history the `k` best IDs of the whole catalogue and the IDs of its `k` best items,
    /// best items first, by branch and bound. What beam search finds is the bound to begin with.
    ///
    /// # Errors
    /// If a history names an item outside the catalogue.
    pub fn exact(&self, histories: &[&[u32]], k: usize, seen: Seen) -> Result<Vec<Vec<Retrieved>>> {
        self.in_blocks(histories, |block| {
            let contexts = self.contexts(block);
            let leaves = self.search(&contexts, Keep::Best(self.config.beam.max(k)));
            let found = self.best(block, &leaves, k, seen);
            let bounds: Vec<f32> =
                found.iter().map(|found| retrieved::bound(found, k) - SLACK).collect();
            let leaves = self.search(&contexts, Keep::From(&bounds));
            self.best(block, &leaves, k, seen)
        })
    }

    /// ln p of every ID of the catalogue, `[n, leaves]`, one leaf after another: a search that
    /// leaves nothing out. It costs as much as the catalogue is large.
    ///
    /// # Errors
    /// If a history names an item outside the catalogue.
    pub fn score_catalogue(&self, histories: &[&[u32]]) -> Result<Vec<f32>> {
        check_histories(histories, self.tokens.len())?;
        let at_once = (SCORED / self.trie.num_leaves().max(1)).clamp(1, SEARCHED);
        let mut scores = Vec::with_capacity(histories.len() * self.trie.num_leaves());
        for block in histories.chunks(at_once) {
            let bounds = vec![f32::NEG_INFINITY; block.len()];
            let leaves = self.search(&self.contexts(block), Keep::From(&bounds));
            scores.extend(leaves.into_iter().flatten().map(|(_, log_probability)| log_probability));
        }
        Ok(scores)
    }

    fn in_blocks(
        &self,
        histories: &[&[u32]],
        work: impl Fn(&[&[u32]]) -> Vec<Vec<Retrieved>> + Send + Sync,
    ) -> Result<Vec<Vec<Retrieved>>> {
        check_histories(histories, self.tokens.len())?;
        Ok(histories.par_chunks(SEARCHED).flat_map_iter(work).collect())
    }

    /// What the depth decoder knows of each history, `[n, dim]`.
    fn contexts(&self, histories: &[&[u32]]) -> Vec<f32> {
        let packed = Packed::newest(histories, self.config.history);
        let mut tape = Tape::inference(&self.network.params);
        let contexts = self.network.newest_contexts(&mut tape, &self.tokens, &packed);
        tape.value(contexts).to_vec()
    }

    fn search(&self, contexts: &[f32], keep: Keep<'_>) -> Vec<Vec<(u32, f32)>> {
        let of = Search {
            network: &self.network,
            trie: &self.trie,
            reach: &self.reach,
            offsets: &self.network.layout.offsets(),
            contexts,
            dim: self.config.dim,
            among: if self.config.renormalise { Among::Candidates } else { Among::All },
        };
        search(of, keep)
    }

    fn best(
        &self,
        histories: &[&[u32]],
        leaves: &[Vec<(u32, f32)>],
        k: usize,
        seen: Seen,
    ) -> Vec<Vec<Retrieved>> {
        let excluded = |history: &&'_ [u32]| -> Vec<u32> {
            if seen == Seen::Included {
                return Vec::new();
            }
            let mut items = history.to_vec();
            items.sort_unstable();
            items
        };
        let both = histories.iter().zip(leaves);
        both.map(|(history, leaves)| retrieved::best(&self.trie, leaves, k, &excluded(history)))
            .collect()
    }
}

impl Recommender for Retriever {
    fn num_items(&self) -> usize {
        self.tokens.len()
    }

    /// ln p of every item: that of its ID, shared equally among the items on it.
    fn scores(&self, histories: &[&[u32]]) -> Result<Vec<f32>> {
        let leaves = self.score_catalogue(histories)?;
        let mut scores = Vec::with_capacity(histories.len() * self.num_items());
        for of_leaves in leaves.chunks_exact(self.trie.num_leaves().max(1)) {
            scores.extend((0..self.num_items() as u32).map(|item| {
                let leaf = self.trie.leaf_of(item);
                of_leaves[leaf as usize] - (self.trie.rows(leaf).len() as f32).ln()
            }));
        }
        Ok(scores)
    }
}
