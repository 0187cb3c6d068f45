//! Validation without a downstream model: item-to-item retrieval on held-out clicks.
//!
//! A user is the mean of the quantized, L2-normalised vectors of the last items it clicked in
//! training; all other items are ranked by cosine, and the held-out item should stand high.

use das_core::HeldOut;
use das_core::metrics::TiedRank;
use das_nn::kernels;
use serde::{Deserialize, Serialize};

/// Queries scored at a time, at most.
const BLOCK: usize = 256;
/// Scores that are held at a time; many items make blocks smaller.
const SCORES: usize = 1 << 24;
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

/// Ranks all items `[items, dim]` for each held-out click, those of its history left out. Collided
/// items share their vector and so tie; ties count as their expected value over all orders.
pub fn item_retrieval(quantized: &[f32], dim: usize, held_out: &HeldOut) -> Validation {
    let items = normalised(quantized, dim);
    let count = items.len() / dim;
    let stride = held_out.items.len().div_ceil(LIMIT).max(1);
    let queries: Vec<usize> = (0..held_out.items.len()).step_by(stride).collect();
    let mut sums = Validation { queries: queries.len(), ..Validation::default() };
    let block = (SCORES / count.max(1)).clamp(1, BLOCK);
    let mut scores = vec![0.0; block * count];
    for block in queries.chunks(block) {
        let vectors: Vec<f32> = block
            .iter()
            .flat_map(|&at| mean_vector(&items, dim, &held_out.histories[at]))
            .collect();
        let scores = &mut scores[..block.len() * count];
        kernels::matmul::abt(&vectors, &items, (block.len(), dim, count), scores);
        for (&at, scores) in block.iter().zip(scores.chunks_exact_mut(count)) {
            let target = held_out.items[at];
            for &past in held_out.histories[at].iter().filter(|&&past| past != target) {
                scores[past as usize] = f32::NEG_INFINITY;
            }
            let rank = TiedRank::of(scores, target as usize);
            sums.recall_10 += rank.recall_at(10);
            sums.recall_50 += rank.recall_at(50);
            sums.ndcg_10 += rank.ndcg_at(10);
        }
    }
    let share = 1.0 / queries.len().max(1) as f64;
    sums.recall_10 *= share;
    sums.recall_50 *= share;
    sums.ndcg_10 *= share;
    sums
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
    fn collided_items_share_their_chance_and_history_does_not_count() {
        let quantized = [1.0, 2.0].repeat(20);
        let held_out = HeldOut { users: vec![0], items: vec![3], histories: vec![vec![7, 7, 3]] };
        let found = item_retrieval(&quantized, 2, &held_out);
        // The target and 18 others tie; item 7 is out.
        assert!((found.recall_10 - 10.0 / 19.0).abs() < 1e-12);
        assert_eq!(found.recall_50, 1.0);
    }
}
