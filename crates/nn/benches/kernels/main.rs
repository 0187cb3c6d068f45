//! Every kernel alone, at the shapes that the default models have: `cargo bench -p das-nn`, or
//! `cargo bench -p das-nn -- softmax_ce` for some of them. Criterion keeps the last run and says
//! what changed since.
//!
//! Kernels limited by arithmetic count operations, so that criterion's `Gelem/s` are GFLOP/s;
//! those limited by memory count the bytes that they have to read and write. Threads are rayon's
//! (`RAYON_NUM_THREADS`). The backward pass of an operation that is no loss starts from a squared
//! error of its value, which is part of its time.

mod inference;
mod layers;
mod losses;
mod rows;
mod setup;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    kernels,
    layers::products,
    layers::linear,
    layers::normalization,
    layers::attention,
    layers::quantize,
    losses::info_nce,
    losses::softmax_ce,
    losses::pointwise,
    rows::tables,
    rows::optimizer,
    inference::encode,
    inference::log_probabilities,
    inference::kmeans,
);
criterion_main!(kernels);
