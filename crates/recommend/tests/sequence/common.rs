//! Small markets whose truth is known.

use das_core::progress::{Cancel, Silent};
use das_core::sid::{SidLayout, SidTable};
use das_core::streams::stream;
use das_nn::Device;
use das_recommend::fit::{FitConfig, FitReport};
use das_recommend::{Query, Retriever, RetrieverConfig, SasRec, SasRecConfig, Sequences};
use rand::Rng;

/// Items of the Markov chain.
pub(crate) const ITEMS: usize = 24;
/// Probability of the likelier of the two items that follow an item.
const LIKELY: f64 = 0.75;

/// Entropy of a step of the chain in nats: the least cross entropy that a model can reach.
pub(crate) fn entropy() -> f64 {
    -(LIKELY * LIKELY.ln() + (1.0 - LIKELY) * (1.0 - LIKELY).ln())
}

/// Sequences of a chain in which item `i` is followed by `5i + 1` or, less often, by `5i + 8`.
pub(crate) fn chain(users: usize, seed: u64) -> Sequences {
    let mut rng = stream(seed, "test chain", 0);
    let (mut offsets, mut items) = (vec![0], Vec::new());
    for _ in 0..users {
        let mut item = rng.random_range(0..ITEMS);
        for _ in 0..rng.random_range(2..12) {
            items.push(item as u32);
            item = (5 * item + if rng.random_bool(LIKELY) { 1 } else { 8 }) % ITEMS;
        }
        offsets.push(items.len());
    }
    Sequences::new(offsets, items).unwrap()
}

/// The last item of each sequence, to be told from those before it.
pub(crate) fn last_out(sequences: &Sequences) -> Vec<Query> {
    let query = |items: &[u32]| {
        let (&target, history) = items.split_last().unwrap();
        Query { history: history.to_vec(), target }
    };
    sequences.iter().map(query).collect()
}

pub(crate) fn histories(queries: &[Query]) -> Vec<&[u32]> {
    queries.iter().map(|query| &query.history[..]).collect()
}

/// Random IDs on levels of the given sizes; small sizes collide.
pub(crate) fn random_sids(items: usize, sizes: &[u32], seed: u64) -> SidTable {
    let mut rng = stream(seed, "test sids", 0);
    let codes = (0..items)
        .flat_map(|_| sizes.iter().map(|&size| rng.random_range(0..size)).collect::<Vec<_>>())
        .collect();
    SidTable::new(SidLayout::learned(sizes.to_vec()).unwrap(), codes).unwrap()
}

/// Every combination of codes once.
pub(crate) fn all_sids(sizes: &[u32]) -> SidTable {
    let count: u32 = sizes.iter().product();
    let codes = (0..count)
        .flat_map(|item| {
            let digit = |at: usize| item / sizes[at + 1..].iter().product::<u32>() % sizes[at];
            (0..sizes.len()).map(digit).collect::<Vec<_>>()
        })
        .collect();
    SidTable::new(SidLayout::learned(sizes.to_vec()).unwrap(), codes).unwrap()
}

pub(crate) fn fit_config() -> FitConfig {
    FitConfig {
        epochs: 3,
        batch_size: 64,
        learning_rate: 5e-3,
        patience: 0,
        ..FitConfig::default()
    }
}

pub(crate) fn sasrec_config() -> SasRecConfig {
    SasRecConfig {
        history: 6,
        dim: 16,
        hidden: 32,
        heads: 2,
        dropout: 0.1,
        cosine_scale: 10.0,
        fit: fit_config(),
        ..SasRecConfig::default()
    }
}

pub(crate) fn retriever_config() -> RetrieverConfig {
    RetrieverConfig {
        history: 6,
        dim: 16,
        hidden: 32,
        heads: 2,
        depth_hidden: 32,
        dropout: 0.1,
        fit: fit_config(),
        ..RetrieverConfig::default()
    }
}

pub(crate) fn train_sasrec(
    train: &Sequences,
    validation: &[Query],
    config: &SasRecConfig,
) -> (SasRec, FitReport) {
    let (device, cancel) = (Device::cpu(), Cancel::default());
    SasRec::train(&device, ITEMS, train, validation, config, 7, None, &Silent, &cancel).unwrap()
}

pub(crate) fn train_retriever(
    sids: &SidTable,
    train: &Sequences,
    validation: &[Query],
    config: &RetrieverConfig,
) -> (Retriever, FitReport) {
    let (device, cancel) = (Device::cpu(), Cancel::default());
    Retriever::train(&device, sids, train, validation, config, 7, None, &Silent, &cancel).unwrap()
}

/// Asserts that values agree to a tolerance.
pub(crate) fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= tolerance, "value {at}: {found}, expected {expected}");
    }
}

/// Mean over queries of −ln of the probability that a softmax over `scores` gives the target.
pub(crate) fn cross_entropy(scores: &[f32], queries: &[Query]) -> f64 {
    let rows = scores.chunks_exact(scores.len() / queries.len());
    let costs = rows.zip(queries).map(|(row, query)| {
        let total: f64 = row.iter().map(|&score| f64::from(score).exp()).sum();
        total.ln() - f64::from(row[query.target as usize])
    });
    costs.sum::<f64>() / queries.len() as f64
}
