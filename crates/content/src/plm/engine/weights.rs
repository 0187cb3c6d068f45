//! The tensors of a model folder: one safetensors file, or several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use das_core::files;
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::folder::{missing, read_text};
use crate::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// What older releases of PyTorch tools wrote: pickles, which are programs.
const PICKLE: &str = "pytorch_model.bin";

/// Mapped files whose headers have been checked.
pub(super) struct Weights {
    files: Vec<(PathBuf, Mmap)>,
    /// Name of a tensor to the file that holds it.
    places: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Maps the files of `folder`.
    pub(super) fn open(folder: &Path) -> Result<Weights> {
        let mut found = Weights { files: Vec::new(), places: BTreeMap::new() };
        for path in paths(folder)? {
            let opened = File::open(&path).map_err(das_core::Error::io(&path, "cannot read"))?;
            // SAFETY: the map is only read; as with every mapping, nobody may cut the file short
            // meanwhile.
            let map =
                unsafe { Mmap::map(&opened) }.map_err(das_core::Error::io(&path, "cannot map"))?;
            let file = found.files.len();
            for name in parse(&path, &map)?.names() {
                found.places.insert(name.to_owned(), file);
            }
            found.files.push((path, map));
        }
        Ok(found)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The files, for messages.
    fn described(&self) -> &Path {
        self.files.first().map_or(Path::new(SINGLE), |(path, _)| path)
    }

    /// The values of a tensor of that shape, as `f32`.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some((path, map)) = self.places.get(name).map(|&file| &self.files[file]) else {
            let message = format!("tensor `{name}` is missing");
            return Err(das_core::Error::format(self.described(), message).into());
        };
        let fault = |message| das_core::Error::format(path, format!("tensor `{name}`: {message}"));
        let tensors = parse(path, map)?;
        let view = tensors.tensor(name).map_err(|error| fault(error.to_string()))?;
        if view.shape() != shape {
            let found = view.shape();
            return Err(fault(format!("expected shape {shape:?}, got {found:?}")).into());
        }
        let bytes = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Dtype::F16 => halves(bytes, |bits| f16::from_bits(bits).to_f32()),
            Dtype::BF16 => halves(bytes, |bits| bf16::from_bits(bits).to_f32()),
            other => return Err(fault(format!("expected F32, F16 or BF16, got {other:?}")).into()),
        };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => {
                Err(fault(format!("value {at} is {}, expected a finite number", values[at])).into())
            }
        }
    }

    /// SHA-256 of each file, one a line.
    pub(super) fn hashes(&self) -> Result<String> {
        let mut hashes = String::new();
        for (path, _) in &self.files {
            hashes.push_str(&files::sha256_file(path)?);
            hashes.push('\n');
        }
        Ok(hashes)
    }
}

fn parse<'a>(path: &Path, map: &'a Mmap) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(map).map_err(|error| {
        let message = format!("not a valid safetensors file: {error}");
        das_core::Error::format(path, message).into()
    })
}

/// The weight files of `folder`, in a fixed order.
fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let index = folder.join(INDEX);
    if folder.join(SINGLE).exists() {
        return Ok(vec![folder.join(SINGLE)]);
    }
    if !index.exists() {
        return Err(no_weights(folder));
    }
    let fault = |message: String| Error::from(das_core::Error::format(&index, message));
    let parsed = serde_json::from_str(&read_text(&index)?);
    let Index { weight_map } = parsed.map_err(|error| fault(error.to_string()))?;
    let names: BTreeSet<String> = weight_map.into_values().collect();
    if names.is_empty() {
        return Err(fault("`weight_map` names no file".into()));
    }
    let path = |name: String| {
        if Path::new(&name).file_name() != Some(name.as_ref()) {
            return Err(fault(format!("expected a file of this folder, got `{name}`")));
        }
        let path = folder.join(name);
        if path.exists() { Ok(path) } else { Err(missing(&path)) }
    };
    names.into_iter().map(path).collect()
}

/// Says what is missing and, where there is a pickle, how to convert it: unpickling runs code of
/// the file's choosing, so it is left to the user.
fn no_weights(folder: &Path) -> Error {
    let mut message = format!("expected {SINGLE} or {INDEX}");
    if folder.join(PICKLE).exists() {
        message.push_str(&format!(
            ", found only {PICKLE}, a pickle, which is a program and is not run. Convert it, if \
             you trust its source, with: python -c \"from transformers import AutoModel; \
             AutoModel.from_pretrained('{folder}').save_pretrained('{folder}', \
             safe_serialization=True)\"",
            folder = folder.display()
        ));
    }
    das_core::Error::format(folder, message).into()
}

fn halves(bytes: &[u8], convert: impl Fn(u16) -> f32) -> Vec<f32> {
    bytes.chunks_exact(2).map(|b| convert(u16::from_le_bytes([b[0], b[1]]))).collect()
}
