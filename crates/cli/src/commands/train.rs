//! `das train`.

use std::time::Instant;

use anyhow::{Context as _, bail};
use das_core::{Clicks, Side, files};
use das_model::train::CheckpointStore;
use serde_json::{Map, Value, json};

use super::{print, print_json, use_threads};
use crate::args::TrainArgs;
use crate::config::RunConfig;
use crate::observe::{Bars, EventFile, MetricsFile, TrainingLog};
use crate::pipeline::{Context, Prepared, SideVectors, fit, publish, vectors};
use crate::run_folder::RunFolder;
use crate::usage::UsageError;
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

    // Read and check what can be checked before the run's folder is touched.
    let prepared = Prepared::open(&args.data, &config.data)?;
    check_batch(&prepared, &config)?;
    let run = RunFolder::prepare(&args.out, args.resume)?;
    let (vectors, mut observer) = match start(&run, &prepared, &config, args, context) {
        Ok(started) => started,
        Err(error) => {
            if !args.resume && !cancel.requested() {
                run.discard()?;
            }
            return Err(error);
        }
    };
    let embedded = started.elapsed();

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

fn check_batch(prepared: &Prepared, config: &RunConfig) -> anyhow::Result<()> {
    let (clicks, batch) = (prepared.clicks.num_clicks(), config.train.batch_size);
    if batch > clicks {
        let message = format!(
            "config key `train.batch_size`: expected at most the {clicks} training clicks, \
             found {batch}"
        );
        return Err(UsageError(message).into());
    }
    Ok(())
}

/// Everything before the first step: settings and data on record, content, open logs.
fn start<'a>(
    run: &RunFolder,
    prepared: &Prepared,
    config: &RunConfig,
    args: &TrainArgs,
    context: Context<'a>,
) -> anyhow::Result<([SideVectors; 2], TrainingLog<'a>)> {
    if !args.resume {
        files::write_bytes_atomic(&run.config(), config.to_toml()?.as_bytes())?;
    }
    record_data(run, prepared)?;
    let [users, items] =
        Side::BOTH.map(|side| vectors(prepared, config, side, &run.content(), context));
    let vectors = [users?, items?];
    files::create_folder(&run.events())?;
    let failed = |error| anyhow::anyhow!("{}: {error}", args.out.display());
    let metrics = MetricsFile::open(&run.metrics()).map_err(failed)?;
    let events = EventFile::create(&run.events()).map_err(failed)?;
    Ok((vectors, TrainingLog::new(context.bars, metrics, events)))
}

/// Notes what the data is when the run begins; later it must be the same. A run that was killed
/// before it came to this has made nothing of its data yet.
fn record_data(run: &RunFolder, prepared: &Prepared) -> anyhow::Result<()> {
    let found = prepared.fingerprint()?;
    let path = run.data();
    if !path.exists() {
        return Ok(files::write_bytes_atomic(&path, &serde_json::to_vec_pretty(&found)?)?);
    }
    let recorded: Map<String, Value> = serde_json::from_slice(&files::read(&path)?)
        .with_context(|| format!("{}: malformed", path.display()))?;
    let names = recorded.keys().chain(found.keys());
    if let Some(name) = names.into_iter().find(|&name| recorded.get(name) != found.get(name)) {
        let data = prepared.data.folder().display();
        bail!(
            "{data}: {name} is not what it was when the run began; resume with the same data or \
             train into a new folder"
        );
    }
    Ok(())
}
