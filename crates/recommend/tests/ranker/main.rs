//! The CTR ranker, against planted markets and against itself.

mod inputs;
mod market;
mod prediction;
mod saved;
mod training;
