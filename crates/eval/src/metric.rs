//! What is known of metrics by their names: which way is better, and which come first.

use crate::records::Task;

/// The method that others are held against, wherever it takes part.
pub const REFERENCE: &str = "das";

/// Which values of a metric are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// High ones.
    Highest,
    /// Low ones.
    Lowest,
    /// Neither by itself, such as a count.
    Neither,
}

/// Which values of a metric are good. Figures of a slice or a side are as those of the whole.
///
/// The mean reciprocal rank is left open: a retriever's ends with its search, that of others with
/// the catalogue. So are figures of semantic IDs, which collisions feign.
pub fn best(metric: &str) -> Best {
    const LOWEST: [&str; 7] =
        ["logloss", "ece", "collision_rate", "largest_bucket", "dead", "reconstruction", "gini"];
    const HIGHEST: [&str; 13] = [
        "recall",
        "ndcg",
        "auc",
        "uauc",
        "gauc",
        "alone",
        "coverage",
        "agreement",
        "lift",
        "neighbour_content",
        "neighbour_coclick",
        "dual_information",
        "category",
    ];
    let name = metric.strip_prefix("user_").unwrap_or(metric);
    let is = |stem: &&str| {
        name.strip_prefix(*stem)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['@', '/', '_']))
    };
    if metric.ends_with("/chance") {
        Best::Neither
    } else if LOWEST.iter().any(&is) {
        Best::Lowest
    } else if HIGHEST.iter().any(&is) {
        Best::Highest
    } else {
        Best::Neither
    }
}

/// The metrics that a task is first judged by.
pub fn headlines(task: Task) -> &'static [&'static str] {
    match task {
        Task::Ctr => &["auc", "uauc", "gauc", "logloss"],
        Task::Intrinsic => {
            &["collision_rate", "perplexity_l0", "neighbour_content@10", "neighbour_coclick@10"]
        }
        Task::Generative | Task::Cold => &["recall@10", "ndcg@10"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_which_way_is_better() {
        for (metric, expected) in [
            ("recall@10", Best::Highest),
            ("sid_recall@10", Best::Neither),
            ("auc/cold-item", Best::Highest),
            ("logloss/cold-item", Best::Lowest),
            ("calibration", Best::Neither),
            ("rows/cold-item", Best::Neither),
            ("mrr", Best::Neither),
            ("user_collision_rate", Best::Lowest),
            ("dead_l2", Best::Lowest),
            ("perplexity_l0", Best::Neither),
            ("neighbour_coclick@10", Best::Highest),
            ("neighbour_coclick@10/chance", Best::Neither),
            ("agreement@2", Best::Highest),
        ] {
            assert_eq!(best(metric), expected, "{metric}");
        }
    }
}
