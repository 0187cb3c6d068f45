//! The tokenizers that DAS is compared with, each from its paper, all on this crate's trainer.
//!
//! A method is a config (`#[serde(default, deny_unknown_fields)]`, with `check`) and one function
//!
//! ```text
//! train(config: &XConfig, common: &TrainConfig, run: &Run<'_>,
//!       observer: &mut dyn Observer, cancel: &Cancel) -> Result<Trained>
//! ```
//!
//! where `common` gives what concerns checkpoints and reports, never the optimizer. Inputs have
//! been checked by [`train_method`](crate::train_method). What is trained by gradients runs as a
//! [`Stage`](crate::train::Stage) of the trainer, which owns steps, checkpoints and resuming.

#[cfg(test)]
mod golden;
pub(crate) mod letter;
pub(crate) mod qarm;
pub(crate) mod residual;
pub(crate) mod rows;
pub(crate) mod rqkmeans;
pub(crate) mod rqvae;
