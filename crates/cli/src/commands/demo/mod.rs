//! `das demo`: the whole path on a generated market whose truth is known.

mod probe;
mod truth;

use std::path::Path;
use std::time::Instant;

use das_core::Side;
use das_core::streams::stream;
use das_data::Part;
use das_data::synthetic::{Market, MarketConfig};
use serde::Serialize;
use serde_json::json;

use self::probe::linear_probe;
use self::truth::{Comparison, Recovered};
use super::{print, print_json, use_threads};
use crate::args::DemoArgs;
use crate::config::RunConfig;
use crate::observe::{Bars, ProgressOnly};
use crate::pipeline::{Context, Fitted, Prepared, SideVectors, fit, publish, vectors};
use crate::{interrupt, table};

/// How much popularity a part of the ID-based model carries.
#[derive(Clone, Debug, Serialize)]
struct Popularity {
    part: &'static str,
    target: &'static str,
    /// Share of the target's variance that a linear probe explains on held-out entities.
    r_squared: f64,
}

/// Generates, trains content-only and DAS, and compares both with the truth.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    use_threads(0)?;
    let cancel = interrupt::install()?;
    let bars = Bars::new();
    let context = Context { bars: &bars, cancel: &cancel };
    let temporary = tempfile::tempdir()?;
    let folder = args.out.as_deref().unwrap_or(temporary.path());

    let market = Market::generate(&MarketConfig::default(), args.seed)?;
    let data = folder.join("data");
    market.write(&data)?;
    let mut config = RunConfig { seed: args.seed, ..RunConfig::default() };
    let prepared = Prepared::open(&data, &config.data)?;
    let cache = folder.join("content");
    let [users, items] = Side::BOTH.map(|side| vectors(&prepared, &config, side, &cache, context));
    let vectors = [users?, items?];

    let das = train(&prepared, &vectors, &config, &folder.join("das"), context)?;
    let popularity = popularity_probes(&das, &market, args.seed)?;
    config.model.alpha = 0.0;
    config.model.beta = 0.0;
    config.model.standardize = false;
    let content_only = train(&prepared, &vectors, &config, &folder.join("content-only"), context)?;

    let measure = |fitted: &Fitted| Recovered::measure(fitted, &prepared, &market.truth);
    let comparisons = Recovered::compare(&measure(&content_only)?, &measure(&das)?);
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        return print_json(&json!({
            "seed": args.seed,
            "comparisons": comparisons,
            "popularity": popularity,
            "seconds": seconds,
        }));
    }
    print(&introduction(&prepared, &market))?;
    print(&comparison_table(&comparisons))?;
    print(&popularity_table(&popularity))?;
    print(&format!("\n{seconds:.0} s. "))?;
    match &args.out {
        Some(out) => print(&format!(
            "Data and runs are in {0}; look around with\n  das inspect {0}/das --data {0}/data\n",
            out.display()
        )),
        None => print("Add --out DIR to keep the data and both runs.\n"),
    }
}

fn train(
    prepared: &Prepared,
    vectors: &[SideVectors; 2],
    config: &RunConfig,
    run: &Path,
    context: Context<'_>,
) -> anyhow::Result<Fitted> {
    let content = [&*vectors[0].matrix, &*vectors[1].matrix];
    let mut observer = ProgressOnly::new(context.bars);
    let fitted = fit(prepared, content, config, None, &mut observer, context)?;
    das_core::files::create_folder(run)?;
    publish(&run.join("artifact"), prepared, &fitted, vectors, config)?;
    Ok(fitted)
}

/// Linear probes from the unbiased and the biased embeddings to popularity and conformity.
fn popularity_probes(das: &Fitted, market: &Market, seed: u64) -> anyhow::Result<Vec<Popularity>> {
    let clicks: Vec<f64> =
        market.truth.item_clicks.iter().map(|&count| f64::from(count).ln_1p()).collect();
    let conformity: Vec<f64> =
        market.truth.user_conformity.iter().map(|&value| f64::from(value)).collect();
    let mut found = Vec::new();
    for (side, target, values) in
        [(Side::Item, "log clicks", &clicks), (Side::User, "conformity", &conformity)]
    {
        for name in das_model::table_names(side) {
            let mut tensors = das.trained.extra.iter().flat_map(|(_, tensors)| tensors);
            let table = tensors.find(|tensor| tensor.name == name);
            let Some((table, embeddings)) = table.and_then(|t| Some((t, t.data.as_f32()?))) else {
                anyhow::bail!("the trained model has no table {name}");
            };
            let mut rng = stream(seed, "linear probe", 0);
            let r_squared = linear_probe(embeddings, table.shape[1], values, &mut rng);
            found.push(Popularity { part: name, target, r_squared });
        }
    }
    Ok(found)
}

fn introduction(prepared: &Prepared, market: &Market) -> String {
    let split = &prepared.split;
    format!(
        "A generated market: {} users, {} items, {} exposures, {} of them clicked, drawn from known \
         topics,\nsub-topics (clicks follow them, texts only hint at them), interests and \
         conformity.\nBoth methods saw {} training rows.\n\n",
        market.users.len(),
        market.items.len(),
        market.log.users.len(),
        market.truth.item_clicks.iter().sum::<u32>(),
        split.count(Part::Train),
    )
}

fn comparison_table(comparisons: &[Comparison]) -> String {
    let rows = comparisons.iter().map(|c| {
        vec![
            c.what.to_string(),
            format!("{:.3}", c.content_only),
            format!("{:.3}", c.das),
            format!("{:+.3}", c.das - c.content_only),
        ]
    });
    table::aligned(&["against the truth", "content-only", "DAS", "gain"], rows.collect())
}

fn popularity_table(popularity: &[Popularity]) -> String {
    let rows = popularity
        .iter()
        .map(|p| vec![p.part.to_string(), p.target.to_string(), format!("{:.3}", p.r_squared)]);
    let header = ["ID embeddings", "linear probe for", "R² held out"];
    format!("\n{}", table::aligned(&header, rows.collect()))
}
