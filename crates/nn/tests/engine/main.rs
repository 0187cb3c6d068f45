//! The engine against plain references in double precision.

mod adamw;
mod attention;
mod bce;
mod check;
mod dropout;
mod golden;
mod inference;
mod info_nce;
mod kernels;
mod kmeans;
mod layers;
mod log_probabilities;
mod ops;
mod params;
mod quantize;
mod safetensors;
mod softmax_ce;
mod threads;
