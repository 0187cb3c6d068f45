//! Statistics of comparisons: intervals over seeds, bootstrap over users.

mod bootstrap;
mod student;

pub use bootstrap::{PairedDifference, Weighted, paired_bootstrap};
pub use student::{Interval, confidence_interval};

#[cfg(test)]
mod tests;
