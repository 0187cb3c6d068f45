//! What runs on host slices, and what holds of the host's processor alone.

mod kernels;
mod kmeans;
mod safetensors;
mod threads;
