//! One-stage training: every term at once, from clicks and content to trained tokenizers.

mod checkpoint;
mod codebooks;
mod observe;
mod state;
mod trainer;
mod validate;

pub use checkpoint::CheckpointStore;
pub use observe::{EpochRecord, NoObserver, Observer, StepRecord};
pub use trainer::{Inputs, Trained, Trainer};
pub use validate::{Validation, item_retrieval};
