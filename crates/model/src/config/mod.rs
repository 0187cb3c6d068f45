//! Settings of the model and of its training: raw as written, checked once by `check`.

mod check;
mod model;
mod train;

pub(crate) use check::{
    at_least_one, codebook_sizes, hidden_widths, non_negative, positive, positive_width, share,
};
pub use model::{Direction, Fusion, ModelConfig, Reduction, Sides, TokenizerConfig};
pub use train::{TableUpdate, TrainConfig};
