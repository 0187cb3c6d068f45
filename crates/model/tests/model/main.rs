//! The model and its training, from outside the crate.

mod ablations;
mod batches;
mod common;
mod conformance;
mod golden;
mod qarm;
mod rqkmeans;
mod standard;
mod teachers;
mod training;
