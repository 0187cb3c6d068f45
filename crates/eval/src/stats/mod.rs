//! Statistics of comparisons: intervals over seeds, bootstrap over users, rank correlation.

mod bootstrap;
mod rank_correlation;
mod student;

pub use bootstrap::{PairedDifference, RESAMPLES, paired_bootstrap};
pub use rank_correlation::spearman;
pub use student::{Interval, confidence_interval, t_quantile};

#[cfg(test)]
mod tests;
