//! The operations of a [`Tape`](crate::Tape): one file each, forward and explicit backward.

mod columns;
mod info_nce;
mod linear;
mod losses;
mod normalize;
mod quantize;
mod rows;

pub use info_nce::{Direction, InfoNce};
pub use quantize::{QuantizeOptions, Quantized};
