//! Tokenizers of a comparison: trained where they are missing, read where they are not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use das_core::artifact::Artifact;
use das_core::progress::Cancel;
use das_core::sid::files::read_any;
use das_core::{RowMatrix, Side, files};
use das_data::DataSet;
use das_eval::align_sids;
use das_eval::compare::{Jobs, TaskSplit, Tokens};
use das_model::Method;
use serde_json::{Value, json};

use super::{Candidate, Source};
use crate::config::{DataConfig, RunConfig};
use crate::observe::Bars;
use crate::pipeline::{
    Context, Prepared, Seconds, SharedContent, TRAINING_ROWS, TrainRun, vectors, vq_field,
};
use crate::run_folder::artifact_of;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Said of LETTER on collaborative vectors of the user's.
const FROZEN_CF: &str = "collaborative vectors of a file, the same under every split and seed; \
                         whether they were trained without held-out rows is not known";

/// Trains and reads the tokenizers of a comparison in `<folder>/runs/<split>/<name>/seed-<n>`.
/// Content vectors are made once a split, in `<folder>/content/<split>`, for all methods alike; rows
/// with settings of their own for content have theirs in `<folder>/content/<split>-<hash>`.
pub struct Tokenizers<'a> {
    data: &'a DataSet,
    folder: PathBuf,
    /// The common settings.
    common: &'a RunConfig,
    /// By name, each with its settings.
    candidates: BTreeMap<String, (Candidate, RunConfig)>,
    bars: &'a Bars,
    /// The data as the last run had it, as splitting takes a while, and the settings that made it.
    prepared: Mutex<Option<(DataConfig, Arc<Prepared>)>>,
    /// The turn of [`SharedContent`].
    embedding: Mutex<()>,
    /// Threads of all runs together.
    threads: usize,
}

impl<'a> Tokenizers<'a> {
    /// Tokenizers of `candidates`, whose settings go out from `common`, over `data`; kept in
    /// `folder`. Runs share the threads of the rayon pool at hand.
    pub fn new(
        data: &'a DataSet,
        folder: &Path,
        common: &'a RunConfig,
        candidates: Vec<(Candidate, RunConfig)>,
        bars: &'a Bars,
    ) -> Tokenizers<'a> {
        let candidates = candidates.into_iter().map(|pair| (pair.0.name.clone(), pair)).collect();
        let (prepared, embedding) = (Mutex::new(None), Mutex::new(()));
        let (folder, threads) = (folder.to_path_buf(), rayon::current_num_threads());
        Tokenizers { data, folder, common, candidates, bars, prepared, embedding, threads }
    }

    fn find(
        &self,
        name: &str,
        split: TaskSplit,
        seed: u64,
        cancel: &Cancel,
    ) -> anyhow::Result<Tokens> {
        let (candidate, config) =
            self.candidates.get(name).with_context(|| format!("no method `{name}`"))?;
        match &candidate.source {
            Source::File(path) => self.of_file(path),
            Source::Artifact(path) => {
                let artifact = Artifact::open(&artifact_of(path))?;
                self.check_split(&artifact, split, config)?;
                self.of_artifact(&artifact, 0.0)
            }
            Source::Trained(_) => {
                let run = self.run_folder(name, split, seed);
                let config = RunConfig { seed, ..on_split(config, split) };
                let seconds = self.train(&run, split, &config, cancel)?;
                let mut tokens = self.of_artifact(&Artifact::open(&artifact_of(&run))?, seconds)?;
                let DataConfig { item_cf, user_cf, .. } = &config.data;
                if config.method == Method::Letter && !(item_cf.is_empty() && user_cf.is_empty()) {
                    tokens.notes.push(FROZEN_CF.to_string());
                }
                Ok(tokens)
            }
        }
    }

    /// Trains what is not there yet and returns what it took.
    fn train(
        &self,
        run: &Path,
        split: TaskSplit,
        config: &RunConfig,
        cancel: &Cancel,
    ) -> anyhow::Result<f64> {
        let timing = run.join("seconds.json");
        if !timing.exists() {
            let content = self.content_folder(split, config)?;
            let context = Context { bars: self.bars, cancel };
            let resume = run.join("config.toml").exists();
            let prepared = &*self.prepared(&config.data)?;
            let content = Some(self.shared(&content));
            let run = TrainRun { prepared, config, out: run, content, resume };
            let published = run.execute(context)?;
            files::write_bytes_atomic(&timing, &serde_json::to_vec(&published.seconds)?)?;
        }
        let seconds: Seconds = serde_json::from_slice(&files::read(&timing)?)
            .with_context(|| timing.display().to_string())?;
        Ok(seconds.total)
    }

    fn shared<'s>(&'s self, folder: &'s Path) -> SharedContent<'s> {
        SharedContent { folder, turn: &self.embedding, threads: self.threads }
    }

    /// Refuses a run that was trained on other rows than the training part of `split`: it may
    /// have seen what it is to be asked.
    fn check_split(
        &self,
        artifact: &Artifact,
        split: TaskSplit,
        config: &RunConfig,
    ) -> anyhow::Result<()> {
        let config = on_split(config, split);
        let now = self.prepared(&config.data)?.training_rows();
        if artifact.manifest().data.get(TRAINING_ROWS) != Some(&now.into()) {
            bail!(
                "{}: was not trained on the training rows of the {} split, so it may have seen \
                 test rows; leave the task out or name the method instead",
                artifact.folder().display(),
                split.name()
            );
        }
        Ok(())
    }

    /// Rows may have data settings of their own: the split alone does not tell what was prepared.
    fn prepared(&self, config: &DataConfig) -> anyhow::Result<Arc<Prepared>> {
        let mut slot = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, prepared)) = slot.as_ref().filter(|(of, _)| of == config) {
            return Ok(prepared.clone());
        }
        let prepared = Arc::new(Prepared::new(self.data.clone(), config)?);
        *slot = Some((config.clone(), prepared.clone()));
        Ok(prepared)
    }

    fn of_file(&self, path: &Path) -> anyhow::Result<Tokens> {
        let item = align_sids(&read_any(path, None)?, self.data.item_ids(), path)?;
        let note = "IDs of an ID file, the same under every split and seed; whether they were \
                    made without held-out rows and items is not known";
        let notes = vec![note.to_string()];
        Ok(Tokens { item, user: None, item_bag: None, seconds: 0.0, notes })
    }

    fn of_artifact(&self, artifact: &Artifact, seconds: f64) -> anyhow::Result<Tokens> {
        let path = artifact.folder();
        let item = align_sids(&artifact.sids(Side::Item)?, self.data.item_ids(), path)?;
        let user = if artifact.manifest().sides.contains_key(&Side::User) {
            Some(align_sids(&artifact.sids(Side::User)?, self.data.user_ids(), path)?)
        } else {
            None
        };
        let item_bag = vq_field(artifact)?;
        Ok(Tokens { item, user, item_bag, seconds, notes: Vec::new() })
    }

    fn content_folder(&self, split: TaskSplit, config: &RunConfig) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join("content");
        let (own, common) = (content_settings(config)?, content_settings(self.common)?);
        let hash = files::sha256_bytes(own.to_string().as_bytes());
        Ok(match own == common {
            true => folder.join(split.name()),
            false => folder.join(format!("{}-{}", split.name(), &hash[..8])),
        })
    }

    fn run_folder(&self, name: &str, split: TaskSplit, seed: u64) -> PathBuf {
        let plain = name.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '-'), "_");
        self.folder.join("runs").join(split.name()).join(plain).join(format!("seed-{seed}"))
    }
}

impl Jobs for Tokenizers<'_> {
    fn tokens(
        &self,
        method: &str,
        split: TaskSplit,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Tokens, BoxError> {
        Ok(self.find(method, split, seed, cancel)?)
    }

    fn item_content(&self, split: TaskSplit) -> Result<Option<Box<dyn RowMatrix>>, BoxError> {
        let config = on_split(self.common, split);
        let folder = &*self.content_folder(split, &config)?;
        let cancel = Cancel::default();
        let context = Context { bars: self.bars, cancel: &cancel };
        let prepared = self.prepared(&config.data)?;
        let make = || vectors(&prepared, &config, Side::Item, folder, context);
        Ok(Some(self.shared(folder).made_by(make)??.matrix))
    }
}

/// All that decides on content vectors, but for the split.
fn content_settings(config: &RunConfig) -> anyhow::Result<Value> {
    let data = on_split(config, TaskSplit::LeaveLastOut).data;
    Ok(json!([data, config.content, config.embed]))
}

/// The same settings on the split of a task.
fn on_split(config: &RunConfig, split: TaskSplit) -> RunConfig {
    let data =
        DataConfig { split: split.kind(), cold_items: split.cold_items(), ..config.data.clone() };
    RunConfig { data, ..config.clone() }
}

#[cfg(test)]
mod tests {
    use das_core::Clicks;
    use das_data::synthetic::{Market, MarketConfig};

    use super::*;

    #[test]
    fn rows_with_data_settings_of_their_own_do_not_get_the_data_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let sizes = MarketConfig {
            users: 60,
            items: 100,
            super_topics: 3,
            topics: 6,
            rounds: 4,
            ..MarketConfig::default()
        };
        Market::generate(&sizes, 1).unwrap().write(folder.path()).unwrap();
        let data = DataSet::open(folder.path()).unwrap();
        let (common, bars) = (RunConfig::default(), Bars::new());
        let tokenizers = Tokenizers::new(&data, folder.path(), &common, Vec::new(), &bars);
        let epoch = |partner_window| {
            let config = DataConfig { partner_window, ..DataConfig::default() };
            tokenizers.prepared(&config).unwrap().clicks.epoch(0, 0)
        };
        let (near, any) = (epoch(1), epoch(0));
        assert_ne!(near, any, "partners come from elsewhere");
        assert_eq!(near, epoch(1));
    }
}
