//! The operations of a [`Tape`](crate::Tape): one file each, forward and explicit backward.

mod attention;
mod bce;
mod columns;
mod cross;
mod dropout;
mod elementwise;
mod info_nce;
mod layer_norm;
mod linear;
mod log_probabilities;
mod losses;
mod means;
mod normalize;
mod quantize;
mod rows;
mod scores;
mod softmax_ce;

pub use attention::Attention;
pub use info_nce::{Direction, InfoNce};
pub use log_probabilities::Among;
pub use quantize::{QuantizeOptions, Quantized};
pub use softmax_ce::{Candidates, SoftmaxCe};
