//! `das serve`.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use das_serve::artifact::Source;
use das_serve::auth::{Access, Keys};
use das_serve::config::Limits;
use das_serve::registry::Experiment;
use das_serve::{ServeConfig, stop_signal};

use crate::args::ServeArgs;
use crate::run_folder::artifact_of;
use crate::telemetry;
use crate::usage::UsageError;

/// Keys from the environment: the variable, and what they are for.
const VARIABLES: [(&str, Access); 2] =
    [("DAS_READ_KEYS", Access::Read), ("DAS_ADMIN_KEYS", Access::Admin)];

/// Serves until it is asked to stop.
pub fn run(args: ServeArgs) -> anyhow::Result<()> {
    let _traces = telemetry::start(&args.log, args.otlp.as_deref())?;
    let config = config(args)?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    das_serve::run(config, stop_signal(), |address| {
        eprintln!("serving on {scheme}://{address}; Ctrl-C finishes what was admitted and stops");
    })?;
    Ok(())
}

fn config(args: ServeArgs) -> anyhow::Result<ServeConfig> {
    let source = |run: &Path| Source { folder: artifact_of(run), model: args.model.clone() };
    let experiment = match (args.shadow, args.share) {
        (true, _) => Experiment::Shadow,
        (false, share) => Experiment::Split { share: share.unwrap_or(0.0) },
    };
    let limits = Limits {
        requests: at_least_one("--requests", args.requests)?,
        queue_rows: at_least_one("--queue-rows", args.queue_rows)?,
        thread_wait: Duration::from_millis(args.thread_wait_ms),
        connections: at_least_one("--connections", args.connections)?,
        timeout: Duration::from_millis(args.timeout_ms),
        leave: seconds("--leave", args.leave)?,
        ..Limits::default()
    };
    let watch = seconds("--watch", args.watch)?;
    Ok(ServeConfig {
        live: source(&args.run),
        second: args.second.as_deref().map(|run| (source(run), experiment)),
        online: args.online.unwrap_or_else(|| beside(&artifact_of(&args.run))),
        listen: args.listen,
        tls: args.tls_cert.zip(args.tls_key),
        keys: keys(args.keys.as_ref())?,
        open: args.open,
        watch: (!watch.is_zero()).then_some(watch),
        compute_threads: args.compute_threads,
        io_threads: args.io_threads,
        limits,
    })
}

/// Where later entities are kept: beside the artifact's folder, which a new version replaces as a whole.
fn beside(artifact: &Path) -> PathBuf {
    let mut name = artifact.file_name().unwrap_or_default().to_os_string();
    name.push(".online.redb");
    artifact.with_file_name(name)
}

fn keys(file: Option<&PathBuf>) -> anyhow::Result<Keys> {
    let mut keys = file.map(|file| Keys::from_file(file)).transpose()?.unwrap_or_default();
    for (variable, access) in VARIABLES {
        if let Some(list) = env::var_os(variable) {
            let list = list.into_string();
            let list = list.map_err(|_| UsageError(format!("{variable}: expected UTF-8")))?;
            keys.add_list(&list, access)
                .map_err(|message| UsageError(format!("{variable}: {message}")))?;
        }
    }
    Ok(keys)
}

fn seconds(flag: &str, seconds: f64) -> anyhow::Result<Duration> {
    let duration = Duration::try_from_secs_f64(seconds);
    Ok(duration.map_err(|error| UsageError(format!("{flag} {seconds}: {error}")))?)
}

fn at_least_one(flag: &str, number: usize) -> anyhow::Result<usize> {
    match number {
        0 => Err(UsageError(format!("{flag} 0: expected at least 1")).into()),
        number => Ok(number),
    }
}
