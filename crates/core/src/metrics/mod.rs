//! Metrics of semantic IDs, of rankings and of click models, none of which needs a model.

mod agreement;
pub mod binary;
mod dual;
mod information;
mod intrinsic;
mod neighbours;
mod ranking;

pub use agreement::{CategoryAgreement, PrefixAgreement, category_agreement, prefix_agreement};
pub use dual::{DualInformation, dual_information};
pub use intrinsic::{DecileMetrics, IntrinsicMetrics, LevelMetrics, intrinsic, popularity_deciles};
pub use neighbours::{NeighbourAgreement, neighbour_coclick, neighbour_content};
pub use ranking::{AtK, RankingMetrics, TiedRank, ranking_metrics, top_k};

#[cfg(test)]
mod tests;
