//! Training: one loop for every objective, from clicks and content to trained tokenizers.

mod checkpoint;
mod codebooks;
mod gradient_report;
mod objective;
mod observe;
mod pace;
mod state;
mod trainer;
mod validate;

pub use objective::StepTerms;
pub(crate) use objective::{Objective, Quantizer};
pub use observe::{EpochRecord, GradientRecord, NoObserver, Observer, StepRecord};
pub(crate) use trainer::{Finished, Position, Stage, train_stage};
pub use validate::{Validation, item_retrieval};
