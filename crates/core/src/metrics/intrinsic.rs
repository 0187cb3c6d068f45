//! Whether IDs tell entities apart and use their codes, from the IDs alone.

use serde::{Deserialize, Serialize};

use super::information::{entropy, histogram};
use crate::sid::{Buckets, SidTable};
use crate::{Error, Result};

/// Intrinsic metrics of one side. Unless `resolved` stands in its name, a figure is about the
/// learned digits: what the tokenizer did, before a suffix told equal IDs apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntrinsicMetrics {
    /// Entities N: items, or users on the user side.
    pub items: usize,
    /// Different IDs.
    pub unique: usize,
    /// (N − unique)/N.
    pub collision_rate: f64,
    /// Share of entities alone on their ID.
    pub alone: f64,
    /// Entities on the most shared ID.
    pub largest_bucket: usize,
    /// Different IDs, suffix included.
    pub unique_resolved: usize,
    /// (N − unique_resolved)/N.
    pub collision_rate_resolved: f64,
    /// Use of each learned level's codes.
    pub levels: Vec<LevelMetrics>,
    /// The same by popularity, where clicks are given: ten groups of equal size (±1), the least
    /// clicked first, ties by row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub popularity_deciles: Option<Vec<DecileMetrics>>,
}

/// How one learned level uses its codebook; every entity counts once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelMetrics {
    /// Codes there are.
    pub codebook_size: usize,
    /// Codes that some entity has.
    pub used: usize,
    /// Codes that none has.
    pub dead: usize,
    /// used / codebook_size.
    pub coverage: f64,
    /// Entropy of the code distribution, in nats.
    pub entropy: f64,
    /// exp(entropy): the number of equally used codes that would be as diverse.
    pub perplexity: f64,
    /// Gini coefficient of the codes' counts: 0 all equal, near 1 all on one code.
    pub gini: f64,
}

/// One tenth of the entities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecileMetrics {
    /// Entities in it.
    pub items: usize,
    /// Their clicks.
    pub clicks: u64,
    /// Different IDs among them.
    pub unique: usize,
    /// (items − unique)/items.
    pub collision_rate: f64,
    /// Share of them alone on their ID among all entities.
    pub alone: f64,
    /// Perplexity of each level's codes among them.
    pub perplexity: Vec<f64>,
}

/// Computes them. `clicks` are the entities' training clicks, one per row of the table.
pub fn intrinsic(table: &SidTable, clicks: Option<&[u32]>) -> Result<IntrinsicMetrics> {
    if let Some(clicks) = clicks.filter(|clicks| clicks.len() != table.len()) {
        let message = format!("{} click counts for {} IDs", clicks.len(), table.len());
        return Err(Error::Invalid(message));
    }
    let items = table.len();
    let layout = table.layout();
    let learned = table.buckets(layout.num_levels());
    let unique_resolved = table.buckets(layout.num_digits()).len();
    Ok(IntrinsicMetrics {
        items,
        unique: learned.len(),
        collision_rate: share(items - learned.len(), items),
        alone: share(learned.iter().filter(|rows| rows.len() == 1).count(), items),
        largest_bucket: learned.largest(),
        unique_resolved,
        collision_rate_resolved: share(items - unique_resolved, items),
        levels: (0..layout.num_levels()).map(|level| level_metrics(table, level)).collect(),
        popularity_deciles: clicks.map(|clicks| deciles(table, &learned, clicks)),
    })
}

/// `part / whole`, 0 of nothing.
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn level_metrics(table: &SidTable, level: usize) -> LevelMetrics {
    let codebook_size = table.layout().codebook_sizes()[level] as usize;
    let mut counts = histogram(codebook_size, table.rows().map(|codes| codes[level]));
    let used = counts.iter().filter(|&&count| count > 0).count();
    let entropy = entropy(counts.iter().copied());
    counts.sort_unstable();
    LevelMetrics {
        codebook_size,
        used,
        dead: codebook_size - used,
        coverage: share(used, codebook_size),
        entropy,
        perplexity: entropy.exp(),
        gini: gini(&counts),
    }
}

/// Gini coefficient Σ_i (2i − n − 1) x_i / (n Σ x) of ascending counts, i from 1.
fn gini(ascending: &[u64]) -> f64 {
    let total: u64 = ascending.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let n = ascending.len() as f64;
    let weighted: f64 =
        (1..).zip(ascending).map(|(i, &x)| (2.0 * f64::from(i) - n - 1.0) * x as f64).sum();
    weighted / (n * total as f64)
}

fn deciles(table: &SidTable, learned: &Buckets, clicks: &[u32]) -> Vec<DecileMetrics> {
    let bucket_of = learned.bucket_of_rows();
    let sizes = histogram(learned.len(), bucket_of.iter().copied());
    popularity_deciles(clicks)
        .iter()
        .map(|rows| {
            let mut ids: Vec<u32> = rows.iter().map(|&row| bucket_of[row as usize]).collect();
            let alone = ids.iter().filter(|&&id| sizes[id as usize] == 1).count();
            ids.sort_unstable();
            ids.dedup();
            DecileMetrics {
                items: rows.len(),
                clicks: rows.iter().map(|&row| u64::from(clicks[row as usize])).sum(),
                unique: ids.len(),
                collision_rate: share(rows.len() - ids.len(), rows.len()),
                alone: share(alone, rows.len()),
                perplexity: perplexities(table, rows),
            }
        })
        .collect()
}

/// The rows in ten groups of equal size (±1), the least clicked first, ties by row.
pub fn popularity_deciles(clicks: &[u32]) -> [Vec<u32>; 10] {
    let mut order: Vec<u32> = (0..clicks.len() as u32).collect();
    order.sort_by_key(|&row| (clicks[row as usize], row));
    std::array::from_fn(|decile| {
        order[decile * order.len() / 10..(decile + 1) * order.len() / 10].to_vec()
    })
}

/// Perplexity of each learned level over some rows.
fn perplexities(table: &SidTable, rows: &[u32]) -> Vec<f64> {
    let sizes = table.layout().codebook_sizes().iter().enumerate();
    sizes
        .map(|(level, &size)| {
            let codes = rows.iter().map(|&row| table.row(row as usize)[level]);
            entropy(histogram(size as usize, codes).into_iter()).exp()
        })
        .collect()
}
