//! What every other crate shares: entity ids, semantic IDs, artifacts and metrics.
//!
//! No tensors and no training here. The crates meet at these types: a data set is read by
//! `das-data` into [`EntityIds`], [`Clicks`] and [`RowMatrix`]; the model trains on those and
//! yields a [`sid::SidTable`]; everything downstream reads the [`artifact`] it was published in.

pub mod artifact;
pub mod checkpoints;
pub mod clicks;
mod error;
pub mod files;
mod ids;
mod mapped;
mod matrix;
pub mod metrics;
pub mod npy;
pub mod progress;
pub mod sid;
mod side;
pub mod streams;
mod views;

pub use clicks::{ClickEpoch, Clicks, HeldOut};
pub use error::{Error, Result};
pub use ids::{EntityIds, IdIndex, IdRef};
pub use mapped::MappedMatrix;
pub use matrix::{DenseMatrix, RowMatrix, ViewedMatrix};
pub use side::Side;
pub use views::Views;
