//! The manifest: what an artifact is and what it consists of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::names;
use crate::sid::SidLayout;
use crate::{Error, Result, Side, files};

/// Version of the folder's layout that this code writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;

/// `manifest.json`. It holds no time of writing: equal content gives equal bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Version of the software that wrote it.
    pub das_version: String,
    /// Changes whenever codes may mean something else: the SHA-256 of the weights, the layouts,
    /// and the embedders' identities and files. Whoever trains on codes stores it and compares.
    /// The ID tables are not part of it: encoding more entities stays in the same space.
    pub id_space: String,
    /// The tokenizer, e.g. `das`.
    pub method: String,
    /// The sides that have IDs.
    pub sides: BTreeMap<Side, SideManifest>,
    /// Fingerprints of the data trained on.
    pub data: Map<String, Value>,
    /// Metrics of the finished run.
    pub metrics: Value,
    /// Every other file of the folder by its relative path.
    pub files: BTreeMap<String, FileEntry>,
}

/// One side of the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideManifest {
    /// Rows of the ID table.
    pub rows: usize,
    /// Width of the content vectors that the encoder takes.
    pub content_dim: usize,
    /// What the digits mean.
    pub layout: SidLayout,
    /// Which embedder makes content vectors from text, in its own words; none where vectors
    /// were given ready-made.
    pub embedder: Option<Value>,
    /// What a content vector consists of, in order; empty where it is one vector of one source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<ViewManifest>,
}

/// One view of a side's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewManifest {
    /// Its name.
    pub name: String,
    /// Width of its vectors.
    pub dim: usize,
    /// Which embedder makes them; none where they are given ready-made.
    pub embedder: Option<Value>,
}

/// How to recognise a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// The manifest as stored.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::Invalid(format!("manifest: {error}")))?;
        Ok([json, b"\n".to_vec()].concat())
    }

    /// Reads and checks a stored manifest; the files themselves are not looked at.
    pub(super) fn from_json(json: &[u8]) -> Result<Manifest> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let invalid = |error: serde_json::Error| Error::Invalid(format!("not a manifest: {error}"));
        let Version { format_version } = serde_json::from_slice(json).map_err(invalid)?;
        if format_version != FORMAT_VERSION {
            return Err(Error::Invalid(format!(
                "artifact format version {format_version}, this program reads {FORMAT_VERSION}"
            )));
        }
        let manifest: Manifest = serde_json::from_slice(json).map_err(invalid)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Names are plain, required files are listed, and the ID space is that of its parts.
    pub(super) fn check(&self) -> Result<()> {
        for name in self.files.keys() {
            names::check(name)?;
        }
        if self.files.contains_key(names::MANIFEST_FILE) {
            return Err(Error::Invalid("the manifest lists itself".into()));
        }
        if self.sides.is_empty() {
            return Err(Error::Invalid("an artifact needs the IDs of at least one side".into()));
        }
        let tables = self.sides.keys().map(|&side| names::sids_file(side));
        let required = [names::MODEL_FILE, names::CONFIG_FILE].map(String::from);
        if let Some(missing) =
            required.into_iter().chain(tables).find(|name| !self.files.contains_key(name))
        {
            return Err(Error::Invalid(format!("an artifact needs a file {missing}")));
        }
        for (side, entry) in &self.sides {
            let widths: Option<usize> =
                entry.views.iter().try_fold(0usize, |sum, view| sum.checked_add(view.dim));
            if !entry.views.is_empty() && widths != Some(entry.content_dim) {
                return Err(Error::Invalid(format!(
                    "the views of {side}s do not add up to the width {} of their content",
                    entry.content_dim
                )));
            }
        }
        let expected = self.derive_id_space();
        if self.id_space != expected {
            let found = &self.id_space;
            return Err(Error::Invalid(format!("id_space is {found}, expected {expected}")));
        }
        Ok(())
    }

    /// See [`Manifest::id_space`].
    pub(super) fn derive_id_space(&self) -> String {
        let hash_of = |name: &str| self.files.get(name).map(|entry| entry.sha256.as_str());
        let sides: BTreeMap<Side, Value> = self
            .sides
            .iter()
            .map(|(&side, s)| {
                let mut part = vec![json!(s.content_dim), json!(s.layout), json!(s.embedder)];
                if !s.views.is_empty() {
                    part.push(json!(s.views));
                }
                (side, Value::Array(part))
            })
            .collect();
        let embedders: BTreeMap<&str, &str> = self
            .files
            .iter()
            .filter(|(name, _)| name.starts_with("embedder/"))
            .map(|(name, entry)| (name.as_str(), entry.sha256.as_str()))
            .collect();
        let parts = json!(["das-id-space-1", hash_of(names::MODEL_FILE), sides, embedders]);
        files::sha256_bytes(parts.to_string().as_bytes())
    }
}
