//! The kernels. Operations reach them through one seam, the crate-private `Backend` trait, whose
//! tensors are opaque outside the backend that made them; a new device implements that trait and
//! nothing else changes.
//!
//! What is public here works on host slices, for code that needs no tape: [`matmul`],
//! [`FrozenLayers`] and [`FrozenCodebooks`], [`assign()`] and [`kmeans`].

pub(crate) mod backend;
pub(crate) mod cpu;

pub mod kmeans;
pub mod matmul;

mod assign;
mod encode;

pub use assign::{Assignment, assign};
pub use backend::Activation;
pub use encode::{FrozenCodebooks, FrozenLayers, Quantized};
