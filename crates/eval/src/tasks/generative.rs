//! Next-item retrieval: every item of the catalogue ranked for each held-out click.

use std::collections::BTreeMap;
use std::time::Instant;

use das_core::metrics::{TiedRank, ranking_metrics};
use das_core::sid::SidTable;
use das_recommend::fit::FitReport;
use das_recommend::{Popularity, Query, Recommender, Retriever, SasRec};

use super::retrieved::retriever_ranks;
use super::{Context, Outcome};
use crate::Result;
use crate::inputs::{NUM_DECILES, Queries, SequenceInputs};
use crate::presets::Budget;
use crate::records::{Decile, PerUser};
use crate::samples::QUERIES;

/// The k of Recall@k and NDCG@k.
const CUTOFFS: [usize; 3] = [5, 10, LAST_CUTOFF];
/// The largest of them.
pub(super) const LAST_CUTOFF: usize = 20;
/// The k of figures by user and by decile.
const MAIN_CUTOFF: usize = 10;
/// Queries whose catalogue scores are held at once.
const BLOCK: usize = 128;

/// Who answers the queries.
#[derive(Clone, Copy, Debug)]
pub enum Candidate<'a> {
    /// A generative retriever over the semantic IDs of the items.
    Sids(&'a SidTable),
    /// SASRec over item IDs.
    SasRec,
    /// The items clicked most in training.
    Popularity,
}

/// Ranks of the targets, one a query.
pub(super) struct Ranks {
    /// Among items.
    pub(super) items: Vec<TiedRank>,
    /// Of the target's semantic ID among all of them, where there are any.
    pub(super) sids: Option<Vec<TiedRank>>,
}

/// Trains the candidate and measures it on the test queries: `recall@k` and `ndcg@k` at 5, 10 and
/// 20 and `mrr`, **of items**: what shares its score ties, and a metric is its expected value
/// over the orders of a tie. For semantic IDs `sid_recall@k` and `sid_ndcg@k` stand beside them,
/// which count a hit on the target's ID whatever else has it: their excess over the item's
/// figures is what collisions would feign. A retriever's `mrr` counts targets that its search
/// found.
///
/// # Errors
/// If the IDs do not fit the inputs, the settings cannot work or training fails.
pub fn generative(
    inputs: &SequenceInputs,
    candidate: Candidate<'_>,
    budget: &Budget,
    context: Context<'_>,
) -> Result<Outcome> {
    let queries = inputs.test.spread(budget.search.queries);
    match candidate {
        Candidate::Sids(sids) => Ok(train_retriever(inputs, sids, budget, context)?.1),
        Candidate::SasRec => {
            let Context { device, seed, store, progress, cancel } = context;
            let (train, validation) = (&inputs.train, &inputs.validation.queries);
            let (items, config) = (inputs.num_items, &budget.sasrec);
            let (model, report) = SasRec::train(
                device, items, train, validation, config, seed, store, progress, cancel,
            )?;
            let rank = || catalogue_ranks(&model, &queries.queries, context);
            timed(&queries, rank, Some(report))
        }
        Candidate::Popularity => {
            let model = Popularity::fit(inputs.num_items, &inputs.train)?;
            timed(&queries, || catalogue_ranks(&model, &queries.queries, context), None)
        }
    }
}

/// Trains a generative retriever over `sids` and measures it as [`generative`] does.
///
/// # Errors
/// As [`generative`].
pub fn train_retriever(
    inputs: &SequenceInputs,
    sids: &SidTable,
    budget: &Budget,
    context: Context<'_>,
) -> Result<(Retriever, Outcome)> {
    let queries = inputs.test.spread(budget.search.queries);
    let Context { device, seed, store, progress, cancel } = context;
    let (train, validation) = (&inputs.train, &inputs.validation.queries);
    let config = &budget.retriever;
    let (model, report) =
        Retriever::train(device, sids, train, validation, config, seed, store, progress, cancel)?;
    let rank = || retriever_ranks(&model, &queries.queries, &budget.search, context);
    let outcome = timed(&queries, rank, Some(report))?;
    Ok((model, outcome))
}

/// Ranks the targets and notes what that and the training took.
fn timed(
    queries: &Queries,
    rank: impl FnOnce() -> Result<Ranks>,
    report: Option<FitReport>,
) -> Result<Outcome> {
    let started = Instant::now();
    let mut outcome = measure(queries, &rank()?);
    outcome.seconds.evaluate = started.elapsed().as_secs_f64();
    if let Some(report) = report {
        outcome.set_training(report);
    }
    Ok(outcome)
}

/// Ranks among the whole catalogue.
fn catalogue_ranks(
    model: &dyn Recommender,
    queries: &[Query],
    context: Context<'_>,
) -> Result<Ranks> {
    let mut ranks = Vec::with_capacity(queries.len());
    context.progress.begin("ranking the catalogue", Some(queries.len() as u64));
    for block in queries.chunks(BLOCK) {
        context.cancel.check()?;
        let histories: Vec<&[u32]> = block.iter().map(|query| &query.history[..]).collect();
        let scores = model.scores(&histories)?;
        let rows = block.iter().zip(scores.chunks_exact(model.num_items()));
        ranks.extend(rows.map(|(query, scores)| TiedRank::of(scores, query.target as usize)));
        context.progress.update(ranks.len() as u64, "");
    }
    context.progress.end();
    Ok(Ranks { items: ranks, sids: None })
}

fn measure(queries: &Queries, ranks: &Ranks) -> Outcome {
    let mut outcome = Outcome::default();
    let all = ranking_metrics(&ranks.items, &CUTOFFS);
    outcome.set("queries", all.queries as f64);
    outcome.set("mrr", all.mrr);
    for at in &all.at {
        outcome.set(format!("recall@{}", at.k), at.recall);
        outcome.set(format!("ndcg@{}", at.k), at.ndcg);
    }
    for at in ranks.sids.iter().flat_map(|sids| ranking_metrics(sids, &CUTOFFS).at) {
        outcome.set(format!("sid_recall@{}", at.k), at.recall);
        outcome.set(format!("sid_ndcg@{}", at.k), at.ndcg);
    }
    outcome.deciles = (0..NUM_DECILES as u8).map(|d| decile(d, queries, ranks)).collect();
    outcome.per_user = per_user(queries, &ranks.items);
    outcome
}

fn main_names() -> [String; 2] {
    ["recall", "ndcg"].map(|name| format!("{name}@{MAIN_CUTOFF}"))
}

fn main_values(rank: TiedRank) -> [f64; 2] {
    [rank.recall_at(MAIN_CUTOFF), rank.ndcg_at(MAIN_CUTOFF)]
}

/// The queries whose target is in one tenth of the items by training popularity.
fn decile(decile: u8, queries: &Queries, ranks: &Ranks) -> Decile {
    let own = queries.deciles.iter().zip(&ranks.items).filter(|(of, _)| **of == decile);
    let own: Vec<TiedRank> = own.map(|(_, &rank)| rank).collect();
    let found = ranking_metrics(&own, &[MAIN_CUTOFF]);
    let values = [found.at[0].recall, found.at[0].ndcg];
    let metrics: BTreeMap<String, f64> = main_names().into_iter().zip(values).collect();
    Decile { decile, queries: own.len(), metrics }
}

/// Each user's mean over its queries, which stand together.
fn per_user(queries: &Queries, ranks: &[TiedRank]) -> PerUser {
    let mut found = PerUser::default();
    let names = main_names();
    let rows: Vec<(u32, TiedRank)> =
        queries.users.iter().copied().zip(ranks.iter().copied()).collect();
    for own in rows.chunk_by(|a, b| a.0 == b.0) {
        found.users.push(own[0].0);
        found.columns.entry(QUERIES.to_owned()).or_default().push(own.len() as f64);
        for (at, name) in names.iter().enumerate() {
            let sum: f64 = own.iter().map(|&(_, rank)| main_values(rank)[at]).sum();
            found.columns.entry(name.clone()).or_default().push(sum / own.len() as f64);
        }
    }
    found
}
