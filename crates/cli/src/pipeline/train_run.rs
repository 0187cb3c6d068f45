//! A training run in its folder: from settings to a published artifact, resumable at any point.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, bail};
use das_core::checkpoints::CheckpointStore;
use das_core::{Clicks, Side, files};
use das_model::Method;
use das_model::train::Validation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Context, InspectReport, Prepared, SideVectors, fit, publish, vectors};
use crate::config::RunConfig;
use crate::observe::{EventFile, MetricsFile, TrainingLog};
use crate::run_folder::RunFolder;
use crate::usage::UsageError;

/// What is to be trained, and where.
#[derive(Clone, Copy)]
pub struct TrainRun<'a> {
    /// The data.
    pub prepared: &'a Prepared,
    /// The settings.
    pub config: &'a RunConfig,
    /// The run's folder.
    pub out: &'a Path,
    /// Content vectors that other runs share; in the run's own folder if none.
    pub content: Option<SharedContent<'a>>,
    /// Whether the folder holds an interrupted run.
    pub resume: bool,
}

/// Content vectors of several runs.
#[derive(Clone, Copy)]
pub struct SharedContent<'a> {
    /// Where they are kept.
    pub folder: &'a Path,
    /// Held by the run that makes them; others wait.
    pub turn: &'a Mutex<()>,
    /// Threads of all runs together.
    pub threads: usize,
}

impl SharedContent<'_> {
    /// Waits for whoever is making vectors, then has `make` do so, or read them. It has the
    /// threads of the other runs as well, which need the vectors before they can begin.
    pub fn made_by<T: Send>(&self, make: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if rayon::current_num_threads() >= self.threads {
            return Ok(make());
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        Ok(pool.context("cannot start threads for content vectors")?.install(make))
    }
}

/// What came out.
pub struct Published {
    /// The IDs' figures.
    pub report: InspectReport,
    /// Validation of the weights kept.
    pub validation: Option<Validation>,
    /// Where the time went.
    pub seconds: Seconds,
}

/// Wall time of the parts of a run; of a resumed one, of its last part.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Seconds {
    /// Content vectors.
    pub embed: f64,
    /// Training and encoding.
    pub train: f64,
    /// Collisions, figures, artifact.
    pub publish: f64,
    /// All of it.
    pub total: f64,
}

impl TrainRun<'_> {
    /// Trains and publishes. What can be checked is checked before the run's folder is touched,
    /// and a new run that fails before its first step leaves no folder behind.
    pub fn execute(self, context: Context<'_>) -> anyhow::Result<Published> {
        let started = Instant::now();
        let TrainRun { prepared, config, .. } = self;
        self.check_batch()?;
        let run = RunFolder::prepare(self.out, self.resume)?;
        let (vectors, mut observer) = match self.start(&run, context) {
            Ok(started) => started,
            Err(error) => {
                if !self.resume && !context.cancel.requested() {
                    run.discard()?;
                }
                return Err(error);
            }
        };
        let embedded = started.elapsed();

        let store = CheckpointStore::open(&run.checkpoints())?;
        let content = [&*vectors[0].matrix, &*vectors[1].matrix];
        let fitted = fit(prepared, content, config, Some(store), &mut observer, context)?;
        let trained = started.elapsed();
        let report = publish(&run.artifact(), prepared, &fitted, &vectors, config)?;
        let total = started.elapsed();
        let seconds = Seconds {
            embed: embedded.as_secs_f64(),
            train: (trained - embedded).as_secs_f64(),
            publish: (total - trained).as_secs_f64(),
            total: total.as_secs_f64(),
        };
        Ok(Published { report, validation: fitted.trained.validation, seconds })
    }

    /// DAS takes batches of clicks; the baselines say themselves what they cannot work with.
    fn check_batch(&self) -> anyhow::Result<()> {
        let clicks = self.prepared.clicks.num_clicks();
        let batch = self.config.train.batch_size;
        if self.config.method == Method::Das && batch > clicks {
            let message = format!(
                "config key `train.batch_size`: expected at most the {clicks} training clicks, \
                 found {batch}"
            );
            return Err(UsageError(message).into());
        }
        Ok(())
    }

    /// Everything before the first step: settings and data on record, content, open logs.
    fn start<'c>(
        &self,
        run: &RunFolder,
        context: Context<'c>,
    ) -> anyhow::Result<([SideVectors; 2], TrainingLog<'c>)> {
        let TrainRun { prepared, config, .. } = *self;
        if !self.resume {
            files::write_bytes_atomic(&run.config(), config.to_toml()?.as_bytes())?;
        }
        record_data(run, prepared)?;
        let own = run.content();
        let cache = self.content.map_or(&*own, |shared| shared.folder);
        let make = || Side::BOTH.map(|side| vectors(prepared, config, side, cache, context));
        let [users, items] = match &self.content {
            Some(shared) => shared.made_by(make)?,
            None => make(),
        };
        let vectors = [users?, items?];
        files::create_folder(&run.events())?;
        let failed = |error| anyhow::anyhow!("{}: {error}", self.out.display());
        let metrics = MetricsFile::open(&run.metrics()).map_err(failed)?;
        let gradients = (config.train.gradient_report_steps > 0)
            .then(|| MetricsFile::open(&run.gradients()).map_err(failed))
            .transpose()?;
        let events = EventFile::create(&run.events()).map_err(failed)?;
        Ok((vectors, TrainingLog::new(context.bars, metrics, gradients, events)))
    }
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
