//! Ranking metrics with one relevant item a query, exact under ties.
//!
//! Where items share the target's score, a ranking is one of several equally good orders. A
//! metric is then its **expected value over all orders of the tied items**, so that a model which
//! scores everything alike gets what chance gives and no more.

use serde::{Deserialize, Serialize};

/// The rank of a target among scored items, ties kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TiedRank {
    /// Items with a higher score.
    pub above: usize,
    /// Other items with the same score.
    pub tied: usize,
}

impl TiedRank {
    /// The rank of item `target` among all `scores`, higher is better. NaN counts as −∞, so
    /// that a model cannot gain by it.
    pub fn of(scores: &[f32], target: usize) -> TiedRank {
        let target = sortable(scores[target]);
        let (mut above, mut equal) = (0, 0);
        for score in scores.iter().copied().map(sortable) {
            above += usize::from(score > target);
            equal += usize::from(score == target);
        }
        TiedRank { above, tied: equal - 1 }
    }

    /// The ranks that the target takes over all orders, counted from 1, equally likely.
    fn ranks(self) -> std::ops::RangeInclusive<usize> {
        self.above + 1..=self.above + 1 + self.tied
    }

    /// Expected Recall@k: the chance to stand among the first `k`.
    pub fn recall_at(self, k: usize) -> f64 {
        let within = k.saturating_sub(self.above).min(self.tied + 1);
        within as f64 / (self.tied + 1) as f64
    }

    /// Expected NDCG@k: 1/log₂(rank + 1) within the first `k`, else 0; the ideal is 1.
    pub fn ndcg_at(self, k: usize) -> f64 {
        self.expected(|rank| if rank <= k { 1.0 / ((rank + 1) as f64).log2() } else { 0.0 })
    }

    /// Expected reciprocal rank.
    pub fn reciprocal(self) -> f64 {
        self.expected(|rank| 1.0 / rank as f64)
    }

    fn expected(self, gain: impl Fn(usize) -> f64) -> f64 {
        self.ranks().map(gain).sum::<f64>() / (self.tied + 1) as f64
    }
}

/// Means over queries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankingMetrics {
    /// Queries.
    pub queries: usize,
    /// Recall and NDCG at each cut-off asked for.
    pub at: Vec<AtK>,
    /// Mean reciprocal rank.
    pub mrr: f64,
}

/// Metrics at one cut-off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtK {
    /// The cut-off.
    pub k: usize,
    /// Recall@k; with one relevant item also the hit rate.
    pub recall: f64,
    /// NDCG@k.
    pub ndcg: f64,
}

/// Averages over queries in order; all 0 without queries.
pub fn ranking_metrics(ranks: &[TiedRank], cutoffs: &[usize]) -> RankingMetrics {
    let mean = |metric: &dyn Fn(TiedRank) -> f64| {
        ranks.iter().map(|&rank| metric(rank)).sum::<f64>() / ranks.len().max(1) as f64
    };
    let at = |&k: &usize| AtK {
        k,
        recall: mean(&|rank| rank.recall_at(k)),
        ndcg: mean(&|rank| rank.ndcg_at(k)),
    };
    RankingMetrics {
        queries: ranks.len(),
        at: cutoffs.iter().map(at).collect(),
        mrr: mean(&TiedRank::reciprocal),
    }
}

/// The `k` items of highest score, best first; equal scores by lower number, NaN as −∞.
pub fn top_k(scores: &[f32], k: usize) -> Vec<u32> {
    let k = k.min(scores.len());
    let order = |&a: &u32, &b: &u32| {
        let (left, right) = (sortable(scores[a as usize]), sortable(scores[b as usize]));
        right.total_cmp(&left).then(a.cmp(&b))
    };
    let mut items: Vec<u32> = (0..scores.len() as u32).collect();
    if k > 0 && k < items.len() {
        items.select_nth_unstable_by(k - 1, order);
    }
    items.truncate(k);
    items.sort_unstable_by(order);
    items
}

/// NaN as −∞ and −0 as 0, so that the total order and `==` agree.
pub(super) fn sortable(score: f32) -> f32 {
    if score.is_nan() { f32::NEG_INFINITY } else { score + 0.0 }
}
