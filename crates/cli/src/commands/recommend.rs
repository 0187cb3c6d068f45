//! `das train-retriever` and `das train-ranker`: recommenders on the IDs of a run.

use anyhow::Context as _;
use das_core::Side;
use das_eval::inputs::{CtrInputs, SequenceInputs};
use das_eval::tasks::{self, CtrSids, Outcome, train_ranker, train_retriever};
use das_nn::Device;
use serde_json::json;

use super::{print, print_json, use_threads};
use crate::args::RecommendArgs;
use crate::observe::Bars;
use crate::pipeline::{PublishedRun, vq_field};
use crate::run_folder::lock;
use crate::{interrupt, table};

/// Trains a generative retriever, measures it and attaches it to the run.
pub fn retriever(args: &RecommendArgs) -> anyhow::Result<()> {
    train(args, "retriever", |run, context| {
        let budget = run.config.budget(args.preset)?;
        let sids = run.sids(Side::Item)?.context("the run has no item IDs")?;
        let prepared = &run.prepared;
        let inputs = SequenceInputs::new(&prepared.data, &prepared.split, &prepared.clicks)?;
        let (model, outcome) = train_retriever(&inputs, &sids, &budget, context)?;
        Ok((model.to_bytes()?, outcome))
    })
}

/// Trains a CTR ranker, measures it and attaches it to the run.
pub fn ranker(args: &RecommendArgs) -> anyhow::Result<()> {
    train(args, "ranker", |run, context| {
        let config = run.config.budget(args.preset)?.ranker;
        let (item, user) = (run.sids(Side::Item)?, run.sids(Side::User)?);
        let item_bag = vq_field(&run.artifact)?;
        let sids =
            CtrSids { item: item.as_ref(), user: user.as_ref(), item_bag: item_bag.as_ref() };
        let inputs = CtrInputs::new(&run.prepared.data, &run.prepared.split, config.history)?;
        let (model, outcome) = train_ranker(&inputs, sids, &config, context)?;
        Ok((model.to_bytes()?, outcome))
    })
}

fn train(
    args: &RecommendArgs,
    name: &str,
    work: impl FnOnce(&PublishedRun, tasks::Context<'_>) -> anyhow::Result<(Vec<u8>, Outcome)>,
) -> anyhow::Result<()> {
    let config = PublishedRun::settings(&args.run, &args.overrides)?;
    use_threads(config.threads)?;
    let (cancel, bars, device) = (interrupt::install()?, Bars::new(), Device::cpu());
    let _lock = lock(&args.run)?;
    let run = PublishedRun::open(&args.run, &args.data, config)?;
    let store = run.store(name)?;
    let context = tasks::Context {
        device: &device,
        seed: run.config.seed,
        store: store.as_ref(),
        progress: &bars,
        cancel: &cancel,
    };
    let (model, outcome) = work(&run, context)?;
    run.attach(name, &model, &outcome)?;
    if args.json {
        return print_json(&json!({
            "artifact": run.artifact.folder(),
            "metrics": outcome.metrics,
            "seconds": outcome.seconds,
            "curve": outcome.curve,
            "notes": outcome.notes,
        }));
    }
    let rows =
        outcome.metrics.iter().map(|(name, value)| vec![name.clone(), format!("{value:.4}")]);
    print(&table::aligned(&["test metric", "value"], rows.collect()))?;
    let (seconds, artifact) = (outcome.seconds.train, run.artifact.folder().display());
    print(&format!("\ntrained in {seconds:.0} s; the {name} is in {artifact}/{name}\n"))
}
