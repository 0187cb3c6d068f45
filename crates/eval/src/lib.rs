//! Evaluation of semantic IDs: tasks, statistics over seeds and users, and comparisons of methods.
//!
//! [`inputs`] turns a split data set into what recommenders take, [`tasks`] train and measure,
//! [`compare`] runs what of a plan is missing in a folder, and [`stats`], [`pairs`], [`contrasts`]
//! and [`markdown`] say what the figures mean.

pub mod compare;
pub mod contrasts;
mod error;
mod external;
pub mod inputs;
pub mod markdown;
pub mod metric;
pub mod pairs;
pub mod presets;
pub mod records;
mod samples;
pub mod stats;
pub mod tasks;

pub use error::{Error, Result};
pub use external::align_sids;
