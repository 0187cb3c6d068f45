//! The files of a yardstick.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use das_core::files;
use das_core::sid::{SidLayout, SidTable};
use das_nn::safetensors_io::{self, NamedTensor, TensorData};
use serde::de::DeserializeOwned;

use crate::{Error, Result, Sequences};

/// What a folder holds.
#[derive(Debug)]
pub(super) struct Folder<C> {
    pub(super) config: C,
    pub(super) weights: Vec<NamedTensor>,
    batches: PathBuf,
    columns: HashMap<String, Vec<u32>>,
}

impl<C: DeserializeOwned> Folder<C> {
    /// Reads the three files.
    pub(super) fn read(folder: &Path) -> Result<Folder<C>> {
        let config = folder.join("config.json");
        let text = files::read_text(&config)?;
        let malformed = |error: serde_json::Error| format(&config, error.to_string());
        let batches = folder.join("batches.safetensors");
        let column = |tensor: NamedTensor| column(&batches, tensor);
        let columns = tensors(&batches)?.into_iter().map(column).collect::<Result<_>>()?;
        Ok(Folder {
            config: serde_json::from_str(&text).map_err(malformed)?,
            weights: tensors(&folder.join("init.safetensors"))?,
            batches,
            columns,
        })
    }
}

impl<C> Folder<C> {
    /// A tensor of the batches.
    pub(super) fn column(&self, name: &str) -> Result<Vec<u32>> {
        let missing = || self.error(format!("tensor `{name}` is missing"));
        self.columns.get(name).cloned().ok_or_else(missing)
    }

    /// The rows that two tensors pack.
    pub(super) fn sequences(&self, offsets: &str, values: &str) -> Result<Sequences> {
        let ends = self.column(offsets)?.into_iter().map(|end| end as usize).collect();
        let sequences = Sequences::new(ends, self.column(values)?);
        sequences.map_err(|error| self.error(format!("tensors `{offsets}`, `{values}`: {error}")))
    }

    /// A table of semantic IDs.
    pub(super) fn sids(&self, name: &str, layout: &SidLayout) -> Result<SidTable> {
        let table = SidTable::new(layout.clone(), self.column(name)?);
        table.map_err(|error| self.error(format!("tensor `{name}`: {error}")))
    }

    /// Checks that the examples fill whole batches, at least one.
    pub(super) fn check_batches(&self, examples: usize, batch_size: usize) -> Result<()> {
        if examples > 0 && examples.is_multiple_of(batch_size) {
            return Ok(());
        }
        let expected = format!("expected whole batches of {batch_size}");
        Err(self.error(format!("{examples} examples, {expected}")))
    }

    pub(super) fn error(&self, message: String) -> Error {
        format(&self.batches, message)
    }
}

fn format(path: &Path, message: String) -> Error {
    das_core::Error::format(path, message).into()
}

fn tensors(path: &Path) -> Result<Vec<NamedTensor>> {
    let contents = safetensors_io::from_bytes(&files::read(path)?);
    Ok(contents.map_err(|error| format(path, error.to_string()))?.tensors)
}

fn column(path: &Path, NamedTensor { name, data, .. }: NamedTensor) -> Result<(String, Vec<u32>)> {
    let TensorData::I64(values) = data else {
        let found = data.dtype();
        return Err(format(path, format!("tensor `{name}`: expected i64, found {found}")));
    };
    let narrow = |&value: &i64| {
        let refused = || format!("tensor `{name}`: expected 0 to {}, found {value}", u32::MAX);
        u32::try_from(value).map_err(|_| format(path, refused()))
    };
    let values = values.iter().map(narrow).collect::<Result<_>>()?;
    Ok((name, values))
}
