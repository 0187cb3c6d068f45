//! Yardsticks: the weights and inputs of independent PyTorch implementations, run through this
//! crate's own models, so that results and speed can be compared number for number.
//!
//! [`SearchYardstick`] is asked for items (`benches/beam.py`); the others make training steps
//! (`benches/torch_ranker.py`, `benches/torch_retriever.py`). A folder of steps has `config.json` (sizes and settings), `init.safetensors` (weights by parameter name)
//! and `batches.safetensors` (plain rows, as many batches as there are). A step is one of
//! [`fit`](crate::fit::fit), batches made within it, with two differences: the learning rate stays
//! at its peak, and every row of a table takes part in AdamW, as in PyTorch.

mod folder;
mod ranker;
mod retriever;
mod search;

use das_core::streams::stream;
use das_nn::{AdamW, AdamWConfig, TableUpdate};

pub use ranker::RankerYardstick;
pub use retriever::RetrieverYardstick;
pub use search::SearchYardstick;

use crate::Result;
use crate::fit::{self, FitConfig, Learner};

/// A training that steps through its batches again and again.
pub struct Steps<'a> {
    learner: Box<dyn Learner + 'a>,
    fit: FitConfig,
    batches: Vec<Vec<u32>>,
    optimizer: AdamW,
}

impl<'a> Steps<'a> {
    /// Steps from the present weights of `learner`, over its examples in their order.
    fn new(learner: impl Learner + 'a, fit: &FitConfig) -> Steps<'a> {
        let examples: Vec<u32> = (0..learner.num_examples() as u32).collect();
        let options = AdamWConfig {
            weight_decay: fit.weight_decay,
            table_update: TableUpdate::Dense,
            ..AdamWConfig::default()
        };
        Steps {
            optimizer: AdamW::new(learner.params(), options),
            learner: Box::new(learner),
            fit: fit.clone(),
            batches: examples.chunks(fit.batch_size).map(<[u32]>::to_vec).collect(),
        }
    }

    /// One whole training step; returns the loss.
    ///
    /// # Errors
    /// If the loss is not finite.
    pub fn step(&mut self) -> Result<f32> {
        let number = self.optimizer.steps();
        let examples = &self.batches[number as usize % self.batches.len()];
        let size = (self.fit.learning_rate, self.fit.clip_norm);
        let mut rng = stream(0, "yardstick/step", number);
        fit::step(&mut *self.learner, &mut self.optimizer, examples, size, &mut rng)
    }
}
