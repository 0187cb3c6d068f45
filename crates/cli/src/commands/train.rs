//! `das train`.

use anyhow::Context as _;
use serde_json::json;

use super::{print, print_json, use_threads};
use crate::args::TrainArgs;
use crate::config::RunConfig;
use crate::observe::Bars;
use crate::pipeline::{Context, Prepared, TrainRun};
use crate::run_folder::artifact_of;
use crate::{interrupt, table};

/// Trains on a data set and publishes the artifact of the run.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let config = settings(args)?;
    use_threads(config.threads)?;
    let cancel = interrupt::install()?;
    let bars = Bars::new();
    let context = Context { bars: &bars, cancel: &cancel };
    let prepared = Prepared::open(&args.data, &config.data)?;
    let run = TrainRun {
        prepared: &prepared,
        config: &config,
        out: &args.out,
        content: None,
        resume: args.resume,
    };
    let published = run.execute(context)?;
    let artifact = artifact_of(&args.out);
    if args.json {
        return print_json(&json!({
            "artifact": artifact,
            "seconds": published.seconds,
            "validation": published.validation,
            "intrinsic": published.report,
        }));
    }
    let total = published.seconds.total;
    print(&table::inspection(&published.report))?;
    print(&format!("\n{total:.1} s; IDs are in {}\n", artifact.display()))
}

/// The settings of a new run, flags over `--set` over the file, or those on record to resume.
fn settings(args: &TrainArgs) -> anyhow::Result<RunConfig> {
    if args.resume {
        let path = args.out.join("config.toml");
        return RunConfig::load(Some(&path), &[])
            .with_context(|| format!("{}: there is no run to resume", args.out.display()));
    }
    let mut overrides = args.settings.overrides.clone();
    overrides.extend(args.method.map(|method| format!("method={method}")));
    overrides.extend(args.seed.map(|seed| format!("seed={seed}")));
    RunConfig::load(args.settings.config.as_deref(), &overrides)
}
