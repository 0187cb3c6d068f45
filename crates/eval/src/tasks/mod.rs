//! The tasks: each takes prepared inputs, perhaps semantic IDs, and a budget, and measures.

mod ctr;
mod generative;
mod intrinsic;
mod outcome;
mod retrieved;

pub use ctr::{CtrSids, ctr, train_ranker};
pub use generative::{Candidate, generative, train_retriever};
pub use intrinsic::{IntrinsicInputs, intrinsic};
pub use outcome::Outcome;

use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Progress};
use das_nn::Device;

/// What every run is given beside its inputs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where recommenders train.
    pub device: &'a Device,
    /// The seed of everything random in the run.
    pub seed: u64,
    /// Where an interrupted training is continued from.
    pub store: Option<&'a CheckpointStore>,
    /// Who watches.
    pub progress: &'a dyn Progress,
    /// Who may stop it.
    pub cancel: &'a Cancel,
}
