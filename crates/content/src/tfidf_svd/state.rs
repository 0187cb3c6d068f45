//! The fitted state on disk: `embedder.json`, and `embedder.safetensors` with four tensors.
//!
//! | tensor | type | shape |
//! |---|---|---|
//! | `buckets` | u32 | features: the bucket of each column, ascending |
//! | `idf` | f32 | features |
//! | `projection` | f32 | features × dim |
//! | `fallback` | f32 | dim |

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use das_core::files;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use super::config::MAX_DIM;
use super::vocabulary::Vocabulary;
use super::{TfidfSvd, TfidfSvdConfig};
use crate::embedder::{DESCRIPTION_FILE, parse_description};
use crate::{Error, Result};

const TENSOR_FILE: &str = "embedder.safetensors";

/// More than the header of four tensors ever needs.
const MAX_HEADER_BYTES: u64 = 1 << 16;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    kind: String,
    version: u32,
    dim: usize,
    features: usize,
    /// SHA-256 over the settings and the tensor file.
    hash: String,
    config: TfidfSvdConfig,
}

/// Writes the tensors, then the description.
pub(super) fn save(embedder: &TfidfSvd, folder: &Path) -> Result<()> {
    files::create_folder(folder)?;
    files::write_bytes_atomic(&folder.join(TENSOR_FILE), &tensor_bytes(embedder)?)?;
    let description = Description {
        kind: TfidfSvd::KIND.into(),
        version: TfidfSvd::VERSION,
        dim: embedder.dim,
        features: embedder.vocabulary.len(),
        hash: embedder.hash.clone(),
        config: embedder.config.clone(),
    };
    let path = folder.join(DESCRIPTION_FILE);
    let json = serde_json::to_string_pretty(&description).map_err(unserializable)?;
    Ok(files::write_bytes_atomic(&path, json.as_bytes())?)
}

impl TfidfSvd {
    /// Reads what [`save`] wrote; `json` is the text of the description.
    pub(crate) fn load(folder: &Path, json: &str) -> Result<TfidfSvd> {
        let path = folder.join(DESCRIPTION_FILE);
        let description: Description = parse_description(&path, json)?;
        check(&description).map_err(|message| das_core::Error::format(&path, message))?;
        description
            .config
            .validate()
            .map_err(|error| das_core::Error::format(&path, format!("in `config`: {error}")))?;
        let path = folder.join(TENSOR_FILE);
        let bytes = read_tensors(&path, &description)?;
        if hash(&description.config, &bytes)? != description.hash {
            let message = format!("does not match the hash in {DESCRIPTION_FILE}");
            return Err(das_core::Error::format(&path, message).into());
        }
        assemble(description, &bytes)
            .map_err(|message| das_core::Error::format(&path, message).into())
    }
}

/// Checks the numbers that sizes follow from.
fn check(description: &Description) -> Result<(), String> {
    let Description { version, dim, features, config, .. } = description;
    if *version != TfidfSvd::VERSION {
        return Err(format!("`version`: expected {}, got {version}", TfidfSvd::VERSION));
    }
    if !(1..=MAX_DIM.min(config.dim)).contains(dim) {
        return Err(format!("`dim`: expected 1 to {}, got {dim}", MAX_DIM.min(config.dim)));
    }
    if !(1..=config.max_features).contains(features) {
        return Err(format!("`features`: expected 1 to {}, got {features}", config.max_features));
    }
    Ok(())
}

/// Reads the tensor file if its length is what the description implies.
fn read_tensors(path: &Path, description: &Description) -> Result<Vec<u8>> {
    let (features, dim) = (description.features as u64, description.dim as u64);
    let payload = 4 * (2 * features + features * dim + dim);
    let length = fs::metadata(path).map_err(das_core::Error::io(path, "cannot read"))?.len();
    if !(payload..=payload + MAX_HEADER_BYTES).contains(&length) {
        let message = format!(
            "expected {payload} bytes and a header for {features} features of {dim}, got {length}"
        );
        return Err(das_core::Error::format(path, message).into());
    }
    Ok(files::read(path)?)
}

fn assemble(description: Description, bytes: &[u8]) -> Result<TfidfSvd, String> {
    let Description { dim, features, hash, config, .. } = description;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let buckets = words(&tensors, "buckets", Dtype::U32, &[features], u32::from_le_bytes)?;
    let idf = floats(&tensors, "idf", &[features])?;
    let projection = floats(&tensors, "projection", &[features, dim])?;
    let fallback = floats(&tensors, "fallback", &[dim])?;
    let vocabulary = Vocabulary::from_columns(buckets, idf, &config)?;
    Ok(TfidfSvd { config, vocabulary, dim, projection, fallback, hash })
}

fn floats(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let values = words(tensors, name, Dtype::F32, shape, f32::from_le_bytes)?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(format!("`{name}`: value {at} is {}", values[at])),
        None => Ok(values),
    }
}

fn words<T>(
    tensors: &SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
    decode: impl Fn([u8; 4]) -> T,
) -> Result<Vec<T>, String> {
    let tensor = tensors.tensor(name).map_err(|error| error.to_string())?;
    if (tensor.dtype(), tensor.shape()) != (dtype, shape) {
        let (got, got_shape) = (tensor.dtype(), tensor.shape());
        return Err(format!("`{name}`: expected {dtype:?} {shape:?}, got {got:?} {got_shape:?}"));
    }
    let (chunks, _) = tensor.data().as_chunks::<4>();
    Ok(chunks.iter().map(|&bytes| decode(bytes)).collect())
}

/// The tensor file's content: a function of the state alone.
pub(super) fn tensor_bytes(embedder: &TfidfSvd) -> Result<Vec<u8>> {
    let (features, dim) = (embedder.vocabulary.len(), embedder.dim);
    let floats = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let buckets: Vec<u8> =
        embedder.vocabulary.buckets().iter().flat_map(|x| x.to_le_bytes()).collect();
    let idf = floats(embedder.vocabulary.idf());
    let projection = floats(&embedder.projection);
    let fallback = floats(&embedder.fallback);
    let views = [
        ("buckets", Dtype::U32, vec![features], &buckets),
        ("idf", Dtype::F32, vec![features], &idf),
        ("projection", Dtype::F32, vec![features, dim], &projection),
        ("fallback", Dtype::F32, vec![dim], &fallback),
    ];
    let views = views
        .into_iter()
        .map(|(name, dtype, shape, data)| Ok((name, TensorView::new(dtype, shape, data)?)))
        .collect::<Result<BTreeMap<_, _>, SafeTensorError>>();
    views.and_then(|views| serialize(views, None)).map_err(unserializable)
}

/// SHA-256, in hexadecimal, over the settings and the tensor file.
pub(super) fn hash(config: &TfidfSvdConfig, tensor_bytes: &[u8]) -> Result<String> {
    let settings = serde_json::to_string(config).map_err(unserializable)?;
    let tensors = files::sha256_bytes(tensor_bytes);
    Ok(files::sha256_bytes(format!("{settings}\n{tensors}").as_bytes()))
}

fn unserializable(error: impl std::fmt::Display) -> Error {
    das_core::Error::Invalid(format!("cannot serialize the embedder's state: {error}")).into()
}
