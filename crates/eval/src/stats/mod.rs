//! Statistics of comparisons: intervals over seeds, bootstrap over users and seeds.

mod bootstrap;
mod holm;
mod student;

pub use bootstrap::{
    Above, Columns, PairedDifference, Panel, Relative, Resampled, paired_bootstrap,
};
pub use holm::holm;
pub use student::{Interval, confidence_interval};

/// Draws the resamples of the bootstrap, wherever records are summed up.
pub const BOOTSTRAP_SEED: u64 = 0;

#[cfg(test)]
mod tests;
