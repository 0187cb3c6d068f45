//! The file: metadata by key and tensors by name, each held against the length of the file before
//! anything of its size is allocated. Lists stay where they are until they are asked for.
//!
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use memmap2::Mmap;

use super::reader::{Header, List, Place, Reader, Value};
use super::widen::{WIDE, widen};
use crate::{Error, Result};

/// A mapped file whose header has been checked.
pub(super) struct Container {
    path: PathBuf,
    map: Mmap,
    header: Header,
}

impl Container {
    /// Maps the file at `path` and reads its header.
    pub(super) fn open(path: &Path) -> Result<Container> {
        let opened = File::open(path).map_err(das_core::Error::io(path, "cannot read"))?;
        // SAFETY: the map is only read; as with every mapping, nobody may cut the file short
        // meanwhile.
        let map = unsafe { Mmap::map(&opened) }.map_err(das_core::Error::io(path, "cannot map"))?;
        let header = Header::read(&map);
        let header = header.map_err(|message| das_core::Error::format(path, message))?;
        Ok(Container { path: path.to_path_buf(), map, header })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error about this file.
    pub(super) fn fault(&self, message: impl Into<String>) -> Error {
        das_core::Error::format(&self.path, message).into()
    }

    fn mismatch(&self, key: &str, expected: &str, got: &Value) -> Error {
        self.fault(format!("`{key}`: expected {expected}, got {}", got.kind()))
    }

    /// A whole number that is not negative, if the key is there.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.header.metadata.get(key) else { return Ok(None) };
        match value {
            Value::Whole(whole) => match usize::try_from(*whole) {
                Ok(count) => Ok(Some(count)),
                Err(_) => Err(self.fault(format!("`{key}`: expected a size, got {whole}"))),
            },
            other => Err(self.mismatch(key, "a whole number", other)),
        }
    }

    /// A finite number, if the key is there.
    pub(super) fn real(&self, key: &str) -> Result<Option<f64>> {
        match self.header.metadata.get(key) {
            None => Ok(None),
            Some(Value::Real(real)) if real.is_finite() => Ok(Some(*real)),
            Some(Value::Real(real)) => {
                Err(self.fault(format!("`{key}`: expected a finite number, got {real}")))
            }
            Some(other) => Err(self.mismatch(key, "a number with a fraction", other)),
        }
    }

    /// A truth value, if the key is there.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.header.metadata.get(key) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.mismatch(key, "true or false", other)),
        }
    }

    /// A text, if the key is there. Bytes that are not UTF-8 become U+FFFD.
    pub(super) fn text(&self, key: &str) -> Result<Option<Cow<'_, str>>> {
        match self.header.metadata.get(key) {
            None => Ok(None),
            Some(Value::Text(range)) => Ok(Some(self.lossy(range))),
            Some(other) => Err(self.mismatch(key, "a text", other)),
        }
    }

    /// A list of texts, if the key is there.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        let Some(list) = self.list(key, List::TEXT, "a list of texts")? else { return Ok(None) };
        let mut reader = Reader::new(&self.map[..list.bytes.end], list.bytes.start);
        let texts = (0..list.count).map(|_| reader.text().map(|range| self.lossy(&range).into()));
        Ok(Some(texts.collect::<Result<_, String>>().map_err(|message| self.fault(message))?))
    }

    /// A list of numbers with a fraction, if the key is there.
    pub(super) fn reals(&self, key: &str) -> Result<Option<Vec<f32>>> {
        let list = self.list(key, List::F32, "a list of f32")?;
        Ok(list.map(|list| self.words(list).map(f32::from_le_bytes).collect()))
    }

    /// A list of whole numbers, if the key is there.
    pub(super) fn wholes(&self, key: &str) -> Result<Option<Vec<i32>>> {
        let list = self.list(key, List::I32, "a list of i32")?;
        Ok(list.map(|list| self.words(list).map(i32::from_le_bytes).collect()))
    }

    fn list(&self, key: &str, kind: u32, expected: &str) -> Result<Option<&List>> {
        match self.header.metadata.get(key) {
            None => Ok(None),
            Some(Value::List(list)) if list.kind == kind => Ok(Some(list)),
            Some(other) => Err(self.mismatch(key, expected, other)),
        }
    }

    fn words(&self, list: &List) -> impl Iterator<Item = [u8; 4]> {
        self.map[list.bytes.clone()].chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]])
    }

    fn lossy(&self, range: &Range<usize>) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.map[range.clone()])
    }

    /// Whether there is a tensor of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.header.tensors.contains_key(name)
    }

    /// The shape of a tensor, rows before columns.
    pub(super) fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.place(name)?.shape)
    }

    fn place(&self, name: &str) -> Result<&Place> {
        let place = self.header.tensors.get(name);
        place.ok_or_else(|| self.fault(format!("tensor `{name}` is missing")))
    }

    /// A copy of a tensor of that shape, in the type that is multiplied with.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<QTensor> {
        let place = self.place(name)?;
        if place.shape != shape {
            let found = &place.shape;
            let message = format!("tensor `{name}`: expected shape {shape:?}, got {found:?}");
            return Err(self.fault(message));
        }
        let bytes = &self.map[place.bytes.clone()];
        let stored = match place.dtype {
            GgmlDType::Q5_0 => storage(bytemuck::cast_slice(&widen(bytes)), WIDE),
            other => storage(bytes, other),
        };
        let tensor = stored.and_then(|stored| QTensor::new(stored, shape));
        tensor.map_err(|error| self.fault(format!("tensor `{name}`: {error}")))
    }

    /// The values of a tensor with one dimension of that length.
    pub(super) fn row(&self, name: &str, length: usize) -> Result<Tensor> {
        let fault = |error| self.fault(format!("tensor `{name}`: {error}"));
        let row = self.tensor(name, &[length])?.dequantize(&Device::Cpu).map_err(fault)?;
        let values = row.to_vec1::<f32>().map_err(fault)?;
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(row),
            Some(value) => {
                Err(self.fault(format!("tensor `{name}`: expected finite numbers, got {value}")))
            }
        }
    }
}

fn storage(bytes: &[u8], dtype: GgmlDType) -> candle_core::Result<QStorage> {
    QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)
}
