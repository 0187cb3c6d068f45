//! `das train`.

use std::time::Instant;

use anyhow::Context as _;
use das_core::{Side, files};
use das_model::train::CheckpointStore;
use serde_json::json;

use super::{print, print_json, use_threads};
use crate::args::TrainArgs;
use crate::config::RunConfig;
use crate::observe::{Bars, EventFile, MetricsFile, TrainingLog};
use crate::pipeline::{Context, Prepared, fit, publish, vectors};
use crate::run_folder::RunFolder;
use crate::{interrupt, table};

/// Trains on a data set and publishes the artifact of the run.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut config = settings(args)?;
    if let Some(seed) = args.seed {
        config.seed = seed;
    }
    use_threads(config.threads)?;
    let cancel = interrupt::install()?;
    let bars = Bars::new();
    let context = Context { bars: &bars, cancel: &cancel };

    // Read and check everything before the run's folder is touched.
    let prepared = Prepared::open(&args.data, &config.data)?;
    let run = RunFolder::prepare(&args.out, args.resume)?;
    if !args.resume {
        files::write_bytes_atomic(&run.config(), config.to_toml()?.as_bytes())?;
    }
    let vectors = Side::BOTH.map(|side| vectors(&prepared, &config, side, &run.content(), context));
    let [users, items] = vectors;
    let vectors = [users?, items?];
    let embedded = started.elapsed();

    files::create_folder(&run.events())?;
    let log = |error| format!("{}: {error}", args.out.display());
    let metrics = MetricsFile::open(&run.metrics()).map_err(log).map_err(anyhow::Error::msg)?;
    let events = EventFile::create(&run.events()).map_err(log).map_err(anyhow::Error::msg)?;
    let mut observer = TrainingLog::new(&bars, metrics, events);
    let store = CheckpointStore::open(&run.checkpoints())?;
    let content = [&*vectors[0].matrix, &*vectors[1].matrix];
    let fitted = fit(&prepared, content, &config, Some(store), &mut observer, context)?;
    let trained = started.elapsed();
    let report = publish(&run.artifact(), &prepared, &fitted, &vectors, &config)?;

    let seconds = json!({
        "embed": embedded.as_secs_f64(),
        "train": (trained - embedded).as_secs_f64(),
        "publish": (started.elapsed() - trained).as_secs_f64(),
        "total": started.elapsed().as_secs_f64(),
    });
    if args.json {
        return print_json(&json!({
            "artifact": run.artifact(),
            "seconds": seconds,
            "validation": fitted.trained.validation,
            "intrinsic": report,
        }));
    }
    let total = started.elapsed().as_secs_f64();
    print(&table::inspection(&report))?;
    print(&format!("\n{total:.1} s; IDs are in {}\n", run.artifact().display()))
}

fn settings(args: &TrainArgs) -> anyhow::Result<RunConfig> {
    if !args.resume {
        return RunConfig::load(args.settings.config.as_deref(), &args.settings.overrides);
    }
    let path = args.out.join("config.toml");
    RunConfig::load(Some(&path), &[])
        .with_context(|| format!("{}: there is no run to resume", args.out.display()))
}
