//! Validation without a downstream model: item-to-item retrieval on held-out clicks.
//!
//! A user is the mean of the quantized, L2-normalised vectors of the last items it clicked in
//! training; all other items are ranked by cosine, and the held-out item should stand high.

use das_core::HeldOut;
use das_nn::kernels;
use serde::{Deserialize, Serialize};

/// Queries scored at a time.
const BLOCK: usize = 256;
/// Held-out clicks that are looked at; beyond it, every n-th one.
const LIMIT: usize = 5000;

/// Retrieval quality over the held-out clicks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Share of held-out items among the first 10.
    #[serde(rename = "recall@10")]
    pub recall_10: f64,
    /// Share of held-out items among the first 50.
    #[serde(rename = "recall@50")]
    pub recall_50: f64,
    /// Normalised discounted cumulative gain at 10.
    #[serde(rename = "ndcg@10")]
    pub ndcg_10: f64,
    /// Held-out clicks looked at.
    pub queries: usize,
}

impl Validation {
    /// The figure that early stopping follows.
    pub fn score(&self) -> f64 {
        self.recall_50
    }
}

/// Ranks all items `[items, dim]` for each held-out click. Ties (collided items share their
/// vector) count half: the target gets the middle rank of its tie.
pub fn item_retrieval(quantized: &[f32], dim: usize, held_out: &HeldOut) -> Validation {
    let items = normalised(quantized, dim);
    let count = items.len() / dim;
    let stride = held_out.items.len().div_ceil(LIMIT).max(1);
    let queries: Vec<usize> = (0..held_out.items.len()).step_by(stride).collect();
    let mut sums = Validation { queries: queries.len(), ..Validation::default() };
    let mut scores = vec![0.0; BLOCK * count];
    for block in queries.chunks(BLOCK) {
        let vectors: Vec<f32> = block
            .iter()
            .flat_map(|&at| mean_vector(&items, dim, &held_out.histories[at]))
            .collect();
        let scores = &mut scores[..block.len() * count];
        kernels::matmul::abt(&vectors, &items, (block.len(), dim, count), scores);
        for (&at, scores) in block.iter().zip(scores.chunks_exact(count)) {
            let rank = middle_rank(scores, held_out.items[at], &held_out.histories[at]);
            sums.recall_10 += f64::from(rank < 10.0);
            sums.recall_50 += f64::from(rank < 50.0);
            sums.ndcg_10 += if rank < 10.0 { 1.0 / (rank + 2.0).log2() } else { 0.0 };
        }
    }
    let share = 1.0 / queries.len().max(1) as f64;
    sums.recall_10 *= share;
    sums.recall_50 *= share;
    sums.ndcg_10 *= share;
    sums
}

/// Items before the target, counting half of those that tie with it; history items left out.
fn middle_rank(scores: &[f32], target: u32, history: &[u32]) -> f64 {
    let own = scores[target as usize];
    let mut above = scores.iter().filter(|&&score| score > own).count() as f64;
    let mut tied = scores.iter().filter(|&&score| score == own).count() as f64 - 1.0;
    let mut seen = history.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for &item in seen.iter().filter(|&&item| item != target) {
        let score = scores[item as usize];
        above -= f64::from(score > own);
        tied -= f64::from(score == own);
    }
    above + tied / 2.0
}

fn mean_vector(items: &[f32], dim: usize, history: &[u32]) -> Vec<f32> {
    let mut mean = vec![0.0; dim];
    for &item in history {
        let vector = &items[item as usize * dim..][..dim];
        mean.iter_mut().zip(vector).for_each(|(m, v)| *m += v);
    }
    mean
}

fn normalised(vectors: &[f32], dim: usize) -> Vec<f32> {
    let mut vectors = vectors.to_vec();
    for vector in vectors.chunks_exact_mut(dim) {
        let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
        vector.iter_mut().for_each(|v| *v /= norm);
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Full sort per query, as one would write it down.
    fn naive(quantized: &[f32], dim: usize, held_out: &HeldOut, k: f64) -> f64 {
        let items = normalised(quantized, dim);
        let mut hits = 0.0;
        for at in 0..held_out.items.len() {
            let query = mean_vector(&items, dim, &held_out.histories[at]);
            let target = held_out.items[at];
            let score = |item: u32| -> f32 {
                items[item as usize * dim..][..dim].iter().zip(&query).map(|(a, b)| a * b).sum()
            };
            let others = (0..(items.len() / dim) as u32)
                .filter(|item| *item != target && !held_out.histories[at].contains(item));
            let above = others.filter(|&item| score(item) > score(target)).count() as f64;
            hits += f64::from(above < k);
        }
        hits / held_out.items.len() as f64
    }

    #[test]
    fn agrees_with_a_full_ranking() {
        use rand::Rng;
        let mut rng = das_core::streams::stream(3, "test", 0);
        let (items, dim) = (300u32, 6);
        let quantized: Vec<f32> =
            (0..items as usize * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut held_out = HeldOut::default();
        for user in 0..400 {
            held_out.users.push(user);
            held_out.items.push(rng.random_range(0..items));
            let length = rng.random_range(1..5);
            held_out.histories.push((0..length).map(|_| rng.random_range(0..items)).collect());
        }
        let found = item_retrieval(&quantized, dim, &held_out);
        assert_eq!(found.queries, 400);
        assert!((found.recall_10 - naive(&quantized, dim, &held_out, 10.0)).abs() < 0.006);
        assert!((found.recall_50 - naive(&quantized, dim, &held_out, 50.0)).abs() < 0.006);
    }

    #[test]
    fn ties_count_half_and_history_does_not_count() {
        // Items 0, 1 and 2 tie, item 3 stands apart and was clicked.
        assert_eq!(middle_rank(&[1.0, 1.0, 1.0, 5.0], 1, &[3]), 1.0);
        assert_eq!(middle_rank(&[1.0, 1.0, 1.0, 5.0], 1, &[]), 2.0);
        assert_eq!(middle_rank(&[0.0, 2.0], 1, &[1]), 0.0);
    }
}
