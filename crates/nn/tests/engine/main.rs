//! The engine against plain references in double precision.

mod adamw;
mod check;
mod info_nce;
mod kernels;
mod kmeans;
mod ops;
mod params;
mod quantize;
mod safetensors;
mod threads;
