//! The seam behind which every text embedder stands, and the way back from a saved folder.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use das_core::DenseMatrix;
use das_core::progress::{Cancel, Progress};
use serde::{Deserialize, Serialize};

use crate::plm;
use crate::published::{Description, PublishedModel};
use crate::{Cache, EndpointConfig, EndpointEmbedder, Error, PlmConfig, Result, TfidfSvd};

/// Name of the file in a saved folder that says which embedder the folder holds.
pub const DESCRIPTION_FILE: &str = "embedder.json";

/// Descriptions are a few kilobytes; whatever is larger is no description.
const MAX_DESCRIPTION_BYTES: u64 = 1 << 20;

/// Turns texts into vectors of a fixed width.
///
/// Row `i` of the result depends on text `i` and the embedder's state alone: neither on the other
/// texts of the call, nor on the number of threads. Callers with more texts than fit in memory
/// may therefore embed them in pieces.
pub trait Embedder: Send + Sync + std::fmt::Debug {
    /// Width of every vector.
    fn dim(&self) -> usize;

    /// Which embedder this is, with a hash of its state: goes into the artifact's manifest.
    fn identity(&self) -> EmbedderIdentity;

    /// One unit vector per text, in the order of `texts`.
    ///
    /// # Errors
    /// `Interrupted` once `cancel` is set.
    fn embed(&self, texts: &[&str], progress: &dyn Progress, cancel: &Cancel)
    -> Result<Embeddings>;

    /// Writes all that [`load`] needs into `folder`, which is created where missing. The
    /// description is written last: a folder that has one is complete.
    fn save(&self, folder: &Path) -> Result<()>;
}

/// What tells one embedder from another. Equal identities give equal vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderIdentity {
    /// Kind of embedder, e.g. `tfidf-svd`.
    pub kind: String,
    /// Version of the kind; raised whenever the same state would give other vectors.
    pub version: u32,
    /// Width of the vectors.
    pub dim: usize,
    /// SHA-256 of the fitted state, in hexadecimal.
    pub hash: String,
}

/// The vectors of some texts, and what had to be bent to make them.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// One row of norm 1 per text.
    pub matrix: DenseMatrix,
    /// Rows, ascending, whose text holds nothing that the embedder knows; they carry its
    /// fallback vector.
    pub fallback_rows: Vec<usize>,
    /// Number of texts of which only the beginning was read.
    pub truncated: usize,
}

/// Where published models are found. A saved folder says which one it needs, never where.
#[derive(Debug, Default)]
pub struct Models<'a> {
    /// The folder of a local model.
    pub folder: Option<&'a Path>,
    /// The server of a remote one.
    pub endpoint: Option<&'a EndpointConfig>,
    /// What is known already.
    pub cache: Option<Cache>,
    /// Draws the waits before repeated requests.
    pub seed: u64,
    /// Ends a request.
    pub cancel: Cancel,
}

/// Opens the embedder that [`Embedder::save`] wrote into `folder`.
///
/// # Errors
/// A missing file, an unknown kind or version, a state that is not what its description says, or
/// a published model that `models` lacks or that is another than the one saved.
pub fn load(folder: &Path, models: &Models<'_>) -> Result<Box<dyn Embedder>> {
    let path = folder.join(DESCRIPTION_FILE);
    let json = read_description(&path)?;
    let Kind { kind, .. } = parse_description(&path, &json)?;
    match kind.as_str() {
        TfidfSvd::KIND => Ok(Box::new(TfidfSvd::load(folder, &json)?)),
        plm::KIND | EndpointEmbedder::KIND => Ok(Box::new(load_published(&path, &json, models)?)),
        other => {
            let known = [TfidfSvd::KIND, plm::KIND, EndpointEmbedder::KIND].join("`, `");
            let message = format!("`kind`: expected one of `{known}`, got `{other}`");
            Err(das_core::Error::format(&path, message).into())
        }
    }
}

/// Which embedder [`Embedder::save`] wrote into `folder`.
///
/// # Errors
/// A missing or malformed description.
pub fn saved_identity(folder: &Path) -> Result<EmbedderIdentity> {
    let path = folder.join(DESCRIPTION_FILE);
    let Kind { kind, version, dim, hash } = parse_description(&path, &read_description(&path)?)?;
    Ok(EmbedderIdentity { kind, version, dim, hash })
}

/// What all descriptions begin with.
#[derive(Deserialize)]
struct Kind {
    kind: String,
    version: u32,
    dim: usize,
    hash: String,
}

fn load_published(path: &Path, json: &str, models: &Models<'_>) -> Result<PublishedModel> {
    let description: Description = parse_description(path, json)?;
    let (saved, name) = (description.identity(), &description.name);
    let malformed = |error: serde_json::Error| das_core::Error::format(path, error.to_string());
    let wanting =
        |what: &str| Error::Model(format!("texts were embedded by `{name}`; give {what}"));
    let cache = models.cache.clone();
    let model = if saved.kind == plm::KIND {
        let config: PlmConfig = serde_json::from_value(description.settings).map_err(malformed)?;
        let folder = models.folder.ok_or_else(|| wanting("the folder of that model"))?;
        PublishedModel::local(folder, &config, cache)?
    } else {
        let given = models.endpoint.ok_or_else(|| wanting("an endpoint that serves it"))?;
        let known: EndpointConfig =
            serde_json::from_value(description.settings).map_err(malformed)?;
        let config = EndpointConfig { dialect: known.dialect, model: known.model, ..given.clone() };
        PublishedModel::remote(&config, cache, models.seed, &models.cancel)?
    };
    let found = model.identity();
    if found != saved {
        return Err(Error::Model(format!(
            "`{}` is not the model that texts were embedded by, `{name}`: expected {saved:?}, got \
             {found:?}",
            model.name()
        )));
    }
    Ok(model)
}

/// Parses a description as `T`; the error names the file.
pub(crate) fn parse_description<'a, T: Deserialize<'a>>(path: &Path, json: &'a str) -> Result<T> {
    serde_json::from_str(json)
        .map_err(|error| das_core::Error::format(path, error.to_string()).into())
}

fn read_description(path: &Path) -> Result<String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_DESCRIPTION_BYTES + 1).read_to_string(&mut text))
        .map_err(das_core::Error::io(path, "cannot read"))?;
    if text.len() as u64 > MAX_DESCRIPTION_BYTES {
        let message = format!("more than {MAX_DESCRIPTION_BYTES} bytes: not a description");
        return Err(Error::Core(das_core::Error::format(path, message)));
    }
    Ok(text)
}
