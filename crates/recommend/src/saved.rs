//! Trained models as bytes: tensors in the safetensors format, with the kind of model and a JSON
//! header in the metadata.

use das_nn::Params;
use das_nn::safetensors_io::{self, NamedTensor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

const MODEL: &str = "model";
const HEADER: &str = "header";

/// A model's bytes, taken apart.
pub(crate) struct Saved<H> {
    /// Settings and sizes, not yet checked.
    pub(crate) header: H,
    /// Tensors, finite, of any names and shapes.
    pub(crate) tensors: Vec<NamedTensor>,
}

/// The bytes of a model of this kind.
pub(crate) fn to_bytes(kind: &str, header: &impl Serialize, params: &Params) -> Result<Vec<u8>> {
    tensors_to_bytes(kind, header, &params.to_tensors())
}

/// The bytes of a model of this kind that has more tensors than parameters.
pub(crate) fn tensors_to_bytes(
    kind: &str,
    header: &impl Serialize,
    tensors: &[NamedTensor],
) -> Result<Vec<u8>> {
    let header = serde_json::to_string(header).expect("plain fields serialise");
    let metadata = [(MODEL, kind.to_string()), (HEADER, header)];
    let metadata = metadata.map(|(key, value)| (key.to_string(), value)).into();
    Ok(safetensors_io::to_bytes(tensors, &metadata)?)
}

/// Takes the bytes of a model of this kind apart.
pub(crate) fn from_bytes<H: DeserializeOwned>(
    kind: &'static str,
    bytes: &[u8],
) -> Result<Saved<H>> {
    let file = safetensors_io::from_bytes(bytes)?;
    let stored = |message: String| Error::Stored { model: kind, message };
    let entry = |key: &str| file.metadata.get(key).map_or("", String::as_str);
    if entry(MODEL) != kind {
        let found = entry(MODEL);
        return Err(stored(format!("expected a model of kind `{kind}`, found `{found}`")));
    }
    let header = serde_json::from_str(entry(HEADER))
        .map_err(|error| stored(format!("its settings cannot be read: {error}")))?;
    Ok(Saved { header, tensors: file.tensors })
}
