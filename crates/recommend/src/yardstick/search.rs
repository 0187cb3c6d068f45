//! The yardstick of retrieval: a retriever, a catalogue and histories from a folder, so that
//! results and speed can be compared with those of other implementations of the same model.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use das_core::files;
use das_core::sid::{SidLayout, SidTable};
use das_nn::safetensors_io::{self, TensorData};
use das_nn::{Device, Error as NnError};

use crate::sequence::check_items;
use crate::{Error, Result, Retriever};

/// What fills the rows of `histories` before their first item.
const PADDING: i64 = -1;

/// A retriever over a catalogue, and the histories that it is asked about.
#[derive(Debug)]
pub struct SearchYardstick {
    retriever: Retriever,
    histories: Vec<Vec<u32>>,
}

impl SearchYardstick {
    /// Reads a folder of two files: `retriever.safetensors` as [`Retriever::to_bytes`] writes it,
    /// and `queries.safetensors` with the tensors `sids`, `[items, digits]`, and `histories`,
    /// `[users, length]`, both i64. A history is a row of items, oldest first, with −1 before the
    /// first one.
    ///
    /// # Errors
    /// If a file is missing or malformed, or its values do not fit the model or each other.
    pub fn load(folder: &Path, device: &Device) -> Result<SearchYardstick> {
        let weights = folder.join("retriever.safetensors");
        let bytes = files::read(&weights)?;
        let of_weights = |error: Error| named(&weights, error);
        let layout = Retriever::stored_layout(&bytes).map_err(of_weights)?;
        let queries = Source::read(folder.join("queries.safetensors"))?;
        let sids = queries.sids(layout)?;
        let retriever = Retriever::from_bytes(device, &bytes, &sids).map_err(of_weights)?;
        Ok(SearchYardstick { retriever, histories: queries.histories(sids.len())? })
    }

    /// The retriever.
    pub fn retriever(&self) -> &Retriever {
        &self.retriever
    }

    /// The histories, at most `limit` of them, evenly spread; all for a limit of 0.
    pub fn histories(&self, limit: usize) -> Vec<&[u32]> {
        let all = self.histories.len();
        let count = if limit == 0 { all } else { limit.min(all) };
        (0..count).map(|at| &self.histories[at * all / count][..]).collect()
    }
}

/// Whole numbers by name, from one file.
struct Source {
    path: PathBuf,
    tensors: HashMap<String, (Vec<usize>, Vec<i64>)>,
}

impl Source {
    fn read(path: PathBuf) -> Result<Source> {
        let file = safetensors_io::from_bytes(&files::read(&path)?);
        let file = file.map_err(|error: NnError| named(&path, error.into()))?;
        let mut tensors = HashMap::new();
        for tensor in file.tensors {
            if let TensorData::I64(values) = tensor.data {
                tensors.insert(tensor.name, (tensor.shape, values));
            }
        }
        Ok(Source { path, tensors })
    }

    /// The IDs of the catalogue.
    fn sids(&self, layout: SidLayout) -> Result<SidTable> {
        let (width, values) = self.matrix("sids")?;
        if width != layout.num_digits() {
            let expected = layout.num_digits();
            return Err(self.error(format!("`sids`: {width} digits, the model has {expected}")));
        }
        let code = |(at, &value): (usize, &i64)| {
            u32::try_from(value).map_err(|_| {
                let row = at / width;
                self.error(format!("`sids`: row {row}: expected codes from 0, found {value}"))
            })
        };
        let codes = values.iter().enumerate().map(code).collect::<Result<_>>()?;
        SidTable::new(layout, codes).map_err(|error| self.error(format!("`sids`: {error}")))
    }

    /// Histories of items of a catalogue, without their padding.
    fn histories(&self, num_items: usize) -> Result<Vec<Vec<u32>>> {
        let (width, values) = self.matrix("histories")?;
        let mut histories = Vec::with_capacity(values.len() / width);
        for (user, row) in values.chunks_exact(width).enumerate() {
            let padded = row.iter().take_while(|&&item| item == PADDING).count();
            let items: Result<Vec<u32>, _> = row[padded..].iter().map(|&i| i.try_into()).collect();
            let items = items.map_err(|_| {
                let expected = "expected items from 0, after padding of -1 alone";
                self.error(format!("`histories`: user {user}: {expected}"))
            })?;
            check_items(&items, num_items, || format!("`histories`: user {user}"))
                .map_err(|error| named(&self.path, error))?;
            histories.push(items);
        }
        Ok(histories)
    }

    /// The width of a matrix, at least 1, and its values.
    fn matrix(&self, name: &str) -> Result<(usize, &[i64])> {
        match self.tensors.get(name) {
            Some((shape, values)) if shape.len() == 2 && shape[1] > 0 => Ok((shape[1], values)),
            Some((shape, _)) => {
                Err(self.error(format!("`{name}`: expected a matrix, found shape {shape:?}")))
            }
            None => Err(self.error(format!("matrix `{name}` of i64 values is missing"))),
        }
    }

    fn error(&self, message: String) -> Error {
        das_core::Error::format(&self.path, message).into()
    }
}

/// An error with the file that it comes from.
fn named(path: &Path, error: Error) -> Error {
    das_core::Error::format(path, error.to_string()).into()
}
