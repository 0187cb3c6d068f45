//! Recommenders that are trained on a run's IDs and kept in its artifact.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use das_core::artifact::{Artifact, ArtifactWriter, CONFIG_FILE, recommender_file};
use das_core::checkpoints::CheckpointStore;
use das_core::sid::SidTable;
use das_core::{EntityIds, Side, files};
use das_eval::align_sids;
use das_eval::tasks::Outcome;
use das_model::{VqCodes, VqPool};
use das_recommend::Sequences;
use das_recommend::ranker::BagField;
use serde_json::{Value, json};

use super::Prepared;
use crate::config::RunConfig;
use crate::run_folder::artifact_of;

/// QARM's VQ codes as a feature of a ranker, in the order of the artifact's items, which is that
/// of the data it was trained on; none where the artifact has none.
pub fn vq_field(artifact: &Artifact) -> anyhow::Result<Option<BagField>> {
    if !artifact.manifest().files.contains_key(VqPool::FILE) {
        return Ok(None);
    }
    let path = artifact.checked_path(VqPool::FILE)?;
    let VqCodes { pool, k, codes } =
        VqCodes::from_bytes(&files::read(&path)?).with_context(|| path.display().to_string())?;
    let rows = codes.len().checked_div(k).unwrap_or(0);
    let offsets = (0..=rows).map(|row| row * k).collect();
    let bags = Sequences::new(offsets, codes)?;
    Ok(Some(BagField::new("vq_code", pool as u32, bags)?))
}

/// A published run, with the data that it was trained on.
pub struct PublishedRun {
    /// The run's folder, or its artifact folder.
    folder: PathBuf,
    /// The artifact, verified.
    pub artifact: Artifact,
    /// The run's settings, and what was set over them.
    pub config: RunConfig,
    /// The data under the run's split.
    pub prepared: Prepared,
}

impl PublishedRun {
    /// The settings that the run at `folder` was published with, under `overrides`.
    pub fn settings(folder: &Path, overrides: &[String]) -> anyhow::Result<RunConfig> {
        let artifact = Artifact::open(&artifact_of(folder))?;
        RunConfig::load(Some(&artifact.checked_path(CONFIG_FILE)?), overrides)
    }

    /// Opens the run at `folder` and the data at `data`, which must be what it was trained on.
    pub fn open(folder: &Path, data: &Path, config: RunConfig) -> anyhow::Result<PublishedRun> {
        let artifact = Artifact::open(&artifact_of(folder))?;
        artifact.verify()?;
        let prepared = Prepared::open(data, &config.data)?;
        let (found, trained_on) = (prepared.fingerprint()?, &artifact.manifest().data);
        let mut names = trained_on.keys().chain(found.keys());
        if let Some(name) = names.find(|&name| trained_on.get(name) != found.get(name)) {
            bail!(
                "{}: {name} is not what {} was trained on",
                data.display(),
                artifact.folder().display()
            );
        }
        Ok(PublishedRun { folder: folder.to_path_buf(), artifact, config, prepared })
    }

    /// The IDs of a side in the order of the data set; none where the run has no such side.
    pub fn sids(&self, side: Side) -> anyhow::Result<Option<SidTable>> {
        if !self.artifact.manifest().sides.contains_key(&side) {
            return Ok(None);
        }
        let ids: &EntityIds = self.prepared.ids(side);
        Ok(Some(align_sids(&self.artifact.sids(side)?, ids, self.artifact.folder())?))
    }

    /// The model file of the recommender `name`.
    pub fn recommender(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let file = recommender_file(name);
        if !self.artifact.manifest().files.contains_key(&file) {
            let folder = self.artifact.folder().display();
            bail!("{folder}: has no {name}; `das train-{name}` attaches one");
        }
        Ok(self.artifact.bytes(&file)?)
    }

    /// Where the training of the recommender `name` is kept while it lasts, and continued from;
    /// nowhere for an artifact that has no run's folder around it.
    pub fn store(&self, name: &str) -> anyhow::Result<Option<CheckpointStore>> {
        let folder = self.checkpoints(name);
        Ok(folder.map(|folder| CheckpointStore::open(&folder)).transpose()?)
    }

    /// Publishes the artifact anew with the recommender `name` in it, in the place of an earlier
    /// one, and its figures under `name` in the manifest's metrics.
    pub fn attach(&self, name: &str, model: &[u8], outcome: &Outcome) -> anyhow::Result<()> {
        let manifest = self.artifact.manifest();
        let mut metrics = manifest.metrics.clone();
        let entries: &mut serde_json::Map<String, Value> =
            metrics.as_object_mut().context("the metrics of a manifest are an object")?;
        entries.insert(name.to_string(), json!(outcome.metrics));
        let mut writer = ArtifactWriter::amend(&self.artifact, name)?;
        writer.add_bytes(&recommender_file(name), model)?;
        writer.publish(&manifest.method, manifest.data.clone(), metrics)?;
        if let Some(folder) = self.checkpoints(name) {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("{}: cannot remove", folder.display()))?;
        }
        Ok(())
    }

    fn checkpoints(&self, name: &str) -> Option<PathBuf> {
        let is_run = self.artifact.folder() != self.folder;
        is_run.then(|| self.folder.join("checkpoints").join(name))
    }
}
