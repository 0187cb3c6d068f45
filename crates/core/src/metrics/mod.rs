//! Metrics of semantic IDs and of rankings, none of which needs a model.

mod agreement;
mod dual;
mod information;
mod intrinsic;
mod ranking;

pub use agreement::{CategoryAgreement, PrefixAgreement, category_agreement, prefix_agreement};
pub use dual::{DualInformation, dual_information};
pub use intrinsic::{DecileMetrics, IntrinsicMetrics, LevelMetrics, intrinsic};
pub use ranking::{AtK, RankingMetrics, TiedRank, ranking_metrics, top_k};

#[cfg(test)]
mod tests;
