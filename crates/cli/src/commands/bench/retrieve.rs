//! `das bench retrieve`: of a run.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use das_core::Side;
use das_core::progress::{Cancel, Progress};
use das_eval::inputs::SequenceInputs;
use das_nn::Device;
use das_recommend::generative::{Retrieved, Seen, target_ranks};
use das_recommend::{Query, Retriever};
use serde_json::json;

use crate::args::BenchRetrieveArgs;
use crate::commands::bench::retrieve_dir;
use crate::commands::{print, print_json, use_threads};
use crate::interrupt;
use crate::observe::Bars;
use crate::pipeline::PublishedRun;
use crate::usage::UsageError;

/// The answers of one way to search, and what they took.
struct Searched {
    found: Vec<Vec<Retrieved>>,
    seconds: f64,
}

/// Answers the queries of a run or of a folder.
pub fn run(args: &BenchRetrieveArgs) -> anyhow::Result<()> {
    if args.beam < args.k {
        let (beam, k) = (args.beam, args.k);
        return Err(UsageError(format!("--beam {beam}: expected at least --k, {k}")).into());
    }
    match (&args.run, &args.data, &args.dir) {
        (Some(run), Some(data), _) => of_run(run, data, args),
        (.., Some(dir)) => retrieve_dir::run(dir, args),
        _ => Err(UsageError("expected --run and --data, or --dir".into()).into()),
    }
}

/// Answers a run's test queries by beam search and exactly: time of both, and how often they
/// agree.
fn of_run(run: &Path, data: &Path, args: &BenchRetrieveArgs) -> anyhow::Result<()> {
    let config = PublishedRun::settings(run, &[])?;
    use_threads(args.common.threads.into())?;
    let (cancel, bars) = (interrupt::install()?, Bars::new());
    let run = PublishedRun::open(run, data, config)?;
    let sids = run.sids(Side::Item)?.context("the run has no item IDs")?;
    let model = Retriever::from_bytes(&Device::cpu(), &run.recommender("retriever")?, &sids)?;
    let prepared = &run.prepared;
    let inputs = SequenceInputs::new(&prepared.data, &prepared.split, &prepared.clicks)?;
    let queries = inputs.test.spread(args.queries);
    let histories: Vec<&[u32]> = queries.queries.iter().map(|query| &query.history[..]).collect();
    let (block, k) = (args.batch.into(), args.k.into());
    let beam = search("beam search", &histories, block, (&bars, &cancel), |block| {
        model.beam_search(block, args.beam.into(), k, Seen::Included)
    })?;
    let exact = search("exact search", &histories, block, (&bars, &cancel), |block| {
        model.exact(block, k, Seen::Included)
    })?;
    let agreeing = beam.found.iter().zip(&exact.found).filter(|(b, e)| same(b, e, k)).count();
    let share = agreeing as f64 / histories.len().max(1) as f64;
    let rate = |searched: &Searched| histories.len() as f64 / searched.seconds;
    if args.common.json {
        return print_json(&json!({
            "queries": histories.len(),
            "batch": args.batch,
            "threads": args.common.threads,
            "beam": args.beam,
            "beam_users_per_s": rate(&beam),
            "exact_users_per_s": rate(&exact),
            format!("same_top_{k}"): share,
            format!("beam_recall@{k}"): recall(&queries.queries, &beam.found, k),
            format!("exact_recall@{k}"): recall(&queries.queries, &exact.found, k),
        }));
    }
    let (count, width) = (histories.len(), args.beam);
    print(&format!(
        "{count} users: beam {width} {:.0} users/s, exact {:.0} users/s, the same top {k} for \
         {:.2} %; Recall@{k} {:.4} and {:.4}\n",
        rate(&beam),
        rate(&exact),
        100.0 * share,
        recall(&queries.queries, &beam.found, k),
        recall(&queries.queries, &exact.found, k)
    ))
}

fn search(
    name: &str,
    histories: &[&[u32]],
    block: usize,
    (bars, cancel): (&Bars, &Cancel),
    answer: impl Fn(&[&[u32]]) -> das_recommend::Result<Vec<Vec<Retrieved>>>,
) -> anyhow::Result<Searched> {
    let started = Instant::now();
    let mut found = Vec::with_capacity(histories.len());
    bars.begin(name, Some(histories.len() as u64));
    for block in histories.chunks(block) {
        cancel.check()?;
        found.extend(answer(block)?);
        bars.update(found.len() as u64, "");
    }
    bars.end();
    Ok(Searched { found, seconds: started.elapsed().as_secs_f64() })
}

/// The share of queries whose target is among the best `k` items, as expected over the orders of
/// ties.
fn recall(queries: &[Query], found: &[Vec<Retrieved>], k: usize) -> f64 {
    let ranks = queries.iter().zip(found).filter_map(|(q, found)| target_ranks(found, q.target));
    let hits: f64 = ranks.map(|ranks| ranks.item.recall_at(k)).sum();
    hits / queries.len().max(1) as f64
}

/// Whether the best `k` items of two answers are as probable, place by place: the same items,
/// but for those of one score.
fn same(a: &[Retrieved], b: &[Retrieved], k: usize) -> bool {
    let scores = |found: &[Retrieved]| -> Vec<f32> {
        let items = found.iter().flat_map(|id| id.items.iter().map(|_| id.item_log_probability));
        items.take(k).collect()
    };
    let close = |(a, b): (f32, f32)| (a - b).abs() <= 1e-5 * a.abs().max(1.0);
    let (left, right) = (scores(a), scores(b));
    left.len() == right.len() && left.into_iter().zip(right).all(close)
}
