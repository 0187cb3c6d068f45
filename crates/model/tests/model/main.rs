//! The model and its training, from outside the crate.

mod batches;
mod common;
mod golden;
mod training;
