//! The yardstick of the generative retriever.

use std::path::Path;

use das_core::sid::{SidLayout, SidTable};
use das_nn::Device;
use das_nn::safetensors_io::NamedTensor;
use serde::Deserialize;

use super::Steps;
use super::folder::Folder;
use crate::generative::RetrieverLearner;
use crate::{Result, Retriever, RetrieverConfig, Sequences};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    settings: RetrieverConfig,
    layout: SidLayout,
}

/// Semantic IDs, sequences and weights of a retriever. A sequence is one window: it has at least
/// two items and at most one more than a history.
#[derive(Debug)]
pub struct RetrieverYardstick {
    settings: RetrieverConfig,
    sids: SidTable,
    sequences: Sequences,
    weights: Vec<NamedTensor>,
}

impl RetrieverYardstick {
    /// Reads a folder.
    ///
    /// # Errors
    /// If a file is missing or malformed, or they do not fit each other.
    pub fn load(folder: &Path) -> Result<RetrieverYardstick> {
        let folder: Folder<Config> = Folder::read(folder)?;
        let settings = &folder.config.settings;
        settings.check()?;
        let sids = folder.sids("sids", &folder.config.layout)?;
        let sequences = folder.sequences("offsets", "items")?;
        sequences.check(sids.len()).map_err(|error| folder.error(error.to_string()))?;
        let whole = 2..=settings.history + 1;
        if let Some(at) = sequences.iter().position(|items| !whole.contains(&items.len())) {
            let (found, most) = (sequences.of(at).len(), whole.end());
            let message = format!("sequence {at}: expected 2 to {most} items, found {found}");
            return Err(folder.error(message));
        }
        folder.check_batches(sequences.len(), settings.fit.batch_size)?;
        let Folder { config, weights, .. } = folder;
        Ok(RetrieverYardstick { settings: config.settings, sids, sequences, weights })
    }

    /// A training from these weights.
    ///
    /// # Errors
    /// If the weights are not those of such a retriever.
    pub fn steps(&self, device: &Device) -> Result<Steps<'_>> {
        let Self { settings, sids, sequences, weights } = self;
        let model = Retriever::from_weights(device, sids, settings, weights)?;
        let learner = RetrieverLearner::new(model, sequences, &[], 0)?;
        Ok(Steps::new(learner, &settings.fit))
    }
}
