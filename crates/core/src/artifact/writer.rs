//! Writing an artifact.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::manifest::{FORMAT_VERSION, FileEntry, Manifest, SideManifest, ViewManifest};
use super::names::{self, MANIFEST_FILE};
use super::reader::Artifact;
use super::staging::{Existing, Staging};
use crate::sid::SidTable;
use crate::sid::files::write_parquet;
use crate::sid::index::write_index;
use crate::{EntityIds, Error, Result, Side, files};

/// Builds an artifact out of sight. Until [`ArtifactWriter::publish`] succeeds nothing is to be
/// seen at the path; a writer that is dropped leaves nothing behind, and one that is killed
/// leaves a hidden `.NAME.staging-…` folder that the next writer of the same path removes.
#[derive(Debug)]
pub struct ArtifactWriter {
    staging: Staging,
    sides: BTreeMap<Side, SideManifest>,
    files: BTreeMap<String, FileEntry>,
}

/// What a side's codes are made from.
#[derive(Clone, Debug, PartialEq)]
pub struct SideContent {
    /// Width of the content vectors.
    pub dim: usize,
    /// The embedder's identity; none for ready-made vectors.
    pub embedder: Option<Value>,
    /// What a content vector consists of, where it is more than one view.
    pub views: Vec<ViewManifest>,
}

impl ArtifactWriter {
    /// Starts an artifact that is to stand at `path`. Fails at once where it could not be
    /// published: see [`Existing`].
    pub fn create(path: &Path, existing: Existing) -> Result<ArtifactWriter> {
        let staging = Staging::create(path, existing)?;
        Ok(ArtifactWriter { staging, sides: BTreeMap::new(), files: BTreeMap::new() })
    }

    /// Starts a copy of `artifact` that is to stand in its place, so that more can be added. What
    /// it has below the folder `without` is left out, to be made anew; every other file is
    /// checked on the way.
    pub fn amend(artifact: &Artifact, without: &str) -> Result<ArtifactWriter> {
        let mut writer = ArtifactWriter::create(artifact.folder(), Existing::Replace)?;
        let dropped =
            |name: &str| name.strip_prefix(without).is_some_and(|rest| rest.starts_with('/'));
        let manifest = artifact.manifest();
        for name in manifest.files.keys().filter(|name| !dropped(name)) {
            writer.add_file(name, &artifact.checked_path(name)?)?;
        }
        writer.sides = manifest.sides.clone();
        Ok(writer)
    }

    /// Publishes a copy of `artifact` at `path`, byte for byte and all at once; every file is checked on the
    /// way.
    pub fn copy(artifact: &Artifact, path: &Path, existing: Existing) -> Result<()> {
        let source = artifact.folder().join(MANIFEST_FILE);
        let json = files::read(&source)?;
        let mut writer = ArtifactWriter::create(path, existing)?;
        for name in artifact.manifest().files.keys() {
            writer.add_file(name, &artifact.checked_path(name)?)?;
        }
        let is_whole = Manifest::from_json(&json).is_ok_and(|manifest| {
            manifest == *artifact.manifest() && manifest.files == writer.files
        });
        if !is_whole {
            return Err(Error::format(&source, "the artifact changed while it was copied"));
        }
        files::write_bytes_atomic(&writer.staging.content().join(MANIFEST_FILE), &json)?;
        writer.staging.publish()
    }

    /// Adds a file of the given content. `name` is relative, with `/` between folders.
    pub fn add_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.place(name)?;
        File::create_new(&path)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .map_err(Error::io(&path, "cannot write"))?;
        self.record(name, &path)
    }

    /// Adds a copy of the file at `source`.
    pub fn add_file(&mut self, name: &str, source: &Path) -> Result<()> {
        let path = self.place(name)?;
        let mut from = File::open(source).map_err(Error::io(source, "cannot read"))?;
        File::create_new(&path)
            .and_then(|mut file| std::io::copy(&mut from, &mut file).and_then(|_| file.sync_all()))
            .map_err(Error::io(&path, "cannot write"))?;
        self.record(name, &path)
    }

    /// Adds a side: its IDs, as a table and as an index, and what they were made from.
    pub fn add_side(
        &mut self,
        side: Side,
        ids: &EntityIds,
        table: &SidTable,
        content: SideContent,
    ) -> Result<()> {
        let name = names::sids_file(side);
        let path = self.place(&name)?;
        write_parquet(&path, side, ids, table)?;
        self.record(&name, &path)?;
        let name = names::index_file(side);
        let path = self.place(&name)?;
        write_index(&path, ids, table)?;
        self.record(&name, &path)?;
        let SideContent { dim: content_dim, embedder, views } = content;
        let layout = table.layout().clone();
        let entry = SideManifest { rows: table.len(), content_dim, layout, embedder, views };
        self.sides.insert(side, entry);
        Ok(())
    }

    /// Writes the manifest, makes everything durable and renames the folder into place.
    /// `method` names the tokenizer, `data` fingerprints what it was trained on.
    pub fn publish(
        self,
        method: &str,
        data: Map<String, Value>,
        metrics: Value,
    ) -> Result<Manifest> {
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            das_version: env!("CARGO_PKG_VERSION").to_owned(),
            id_space: String::new(),
            method: method.to_owned(),
            sides: self.sides,
            data,
            metrics,
            files: self.files,
        };
        manifest.id_space = manifest.derive_id_space();
        let target = self.staging.target();
        manifest.check().map_err(|error| Error::format(target, error.to_string()))?;
        let path = self.staging.content().join(MANIFEST_FILE);
        files::write_bytes_atomic(&path, &manifest.to_json()?)?;
        self.staging.publish()?;
        Ok(manifest)
    }

    /// Where a new file goes; its folder exists then.
    fn place(&self, name: &str) -> Result<PathBuf> {
        names::check(name)?;
        if name == MANIFEST_FILE || self.files.contains_key(name) {
            return Err(Error::Invalid(format!("the artifact has a file {name} already")));
        }
        let path = self.staging.content().join(name);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create folder"))?;
        Ok(path)
    }

    fn record(&mut self, name: &str, path: &Path) -> Result<()> {
        let bytes = fs::metadata(path).map_err(Error::io(path, "cannot read"))?.len();
        let sha256 = files::sha256_file(path)?;
        self.files.insert(name.to_owned(), FileEntry { bytes, sha256 });
        Ok(())
    }
}
