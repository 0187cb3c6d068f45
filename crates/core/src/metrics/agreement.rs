//! Whether equal prefixes go with equal behaviour and equal categories.

use serde::{Deserialize, Serialize};

use super::information::{PairEntropies, histogram};
use crate::sid::SidTable;
use crate::{Error, Result};

/// How often the two ends of a pair share a prefix, against chance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrefixAgreement {
    /// Learned digits compared, from the first.
    pub prefix: usize,
    /// Pairs.
    pub pairs: usize,
    /// Pairs whose ends share the prefix.
    pub agreeing: usize,
    /// agreeing / pairs.
    pub observed: f64,
    /// The share that would agree if both ends were drawn independently from the pairs' own
    /// marginals: Σ_prefix p_left(prefix) · p_right(prefix), exact.
    pub expected: f64,
    /// observed / expected; none if nothing could agree.
    pub lift: Option<f64>,
}

/// Agreement of `pairs` of rows, for each prefix length from 1 to all learned levels. Pairs are
/// for example items clicked by the same user; popular items weigh as often as they occur.
pub fn prefix_agreement(table: &SidTable, pairs: &[(u32, u32)]) -> Result<Vec<PrefixAgreement>> {
    let rows = table.len();
    if let Some((a, b)) = pairs.iter().find(|(a, b)| (*a).max(*b) as usize >= rows) {
        return Err(Error::Invalid(format!("pair ({a}, {b}) of a table of {rows} IDs")));
    }
    Ok((1..=table.layout().num_levels()).map(|prefix| agreement(table, pairs, prefix)).collect())
}

fn agreement(table: &SidTable, pairs: &[(u32, u32)], prefix: usize) -> PrefixAgreement {
    let buckets = table.buckets(prefix);
    let bucket_of = buckets.bucket_of_rows();
    let bucket = |row: u32| bucket_of[row as usize];
    let left = histogram(buckets.len(), pairs.iter().map(|pair| bucket(pair.0)));
    let right = histogram(buckets.len(), pairs.iter().map(|pair| bucket(pair.1)));
    let agreeing = pairs.iter().filter(|pair| bucket(pair.0) == bucket(pair.1)).count();
    let chances: u128 = left.iter().zip(&right).map(|(&l, &r)| u128::from(l) * u128::from(r)).sum();
    let total = pairs.len().max(1) as f64;
    let (observed, expected) = (agreeing as f64 / total, chances as f64 / (total * total));
    let lift = (chances > 0).then(|| observed / expected);
    PrefixAgreement { prefix, pairs: pairs.len(), agreeing, observed, expected, lift }
}

/// How far a prefix tells the category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryAgreement {
    /// Learned digits, from the first.
    pub prefix: usize,
    /// Entities with a category.
    pub items: usize,
    /// Different prefixes among them.
    pub prefixes: usize,
    /// I(prefix; category) in nats, plug-in estimate: it grows with the number of prefixes.
    pub mutual_information: f64,
    /// I(prefix; category) over the mean of H(prefix) and H(category), 0 to 1.
    pub normalized: f64,
    /// Share of entities whose category is the most frequent one of their prefix.
    pub purity: f64,
}

/// Agreement with one category an entity, for each prefix length; entities without a category
/// are left out. `categories` are any numbers, one per row of the table.
pub fn category_agreement(
    table: &SidTable,
    categories: &[Option<u32>],
) -> Result<Vec<CategoryAgreement>> {
    if categories.len() != table.len() {
        let message = format!("{} categories for {} IDs", categories.len(), table.len());
        return Err(Error::Invalid(message));
    }
    let known: Vec<(usize, u32)> = categories
        .iter()
        .enumerate()
        .filter_map(|(row, category)| category.map(|category| (row, category)))
        .collect();
    let labels = ranks(known.iter().map(|(_, category)| *category).collect());
    let levels = 1..=table.layout().num_levels();
    Ok(levels
        .map(|prefix| {
            let bucket_of = table.buckets(prefix).bucket_of_rows();
            let prefixes = ranks(known.iter().map(|(row, _)| bucket_of[*row]).collect());
            category_metrics(prefix, &prefixes, &labels)
        })
        .collect())
}

fn category_metrics(prefix: usize, prefixes: &[u32], labels: &[u32]) -> CategoryAgreement {
    let distinct = |values: &[u32]| values.iter().max().map_or(0, |&max| max as usize + 1);
    let entropies = PairEntropies::of(prefixes, distinct(prefixes), labels, distinct(labels));
    let mutual_information = entropies.mutual_information();
    let mean = (entropies.left + entropies.right) / 2.0;
    CategoryAgreement {
        prefix,
        items: labels.len(),
        prefixes: distinct(prefixes),
        mutual_information,
        normalized: if mean > 0.0 { (mutual_information / mean).min(1.0) } else { 0.0 },
        purity: majority(prefixes, labels) as f64 / labels.len().max(1) as f64,
    }
}

/// Σ over prefixes of the count of their most frequent label.
fn majority(prefixes: &[u32], labels: &[u32]) -> usize {
    let mut pairs: Vec<(u32, u32)> = prefixes.iter().copied().zip(labels.iter().copied()).collect();
    pairs.sort_unstable();
    pairs
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| same.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or(0))
        .sum()
}

/// Replaces values by their rank among the different ones: 0, 1, 2, …
fn ranks(values: Vec<u32>) -> Vec<u32> {
    let mut distinct = values.clone();
    distinct.sort_unstable();
    distinct.dedup();
    values
        .iter()
        .map(|value| distinct.binary_search(value).expect("every value is listed") as u32)
        .collect()
}
