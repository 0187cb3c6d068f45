//! Tensors and string metadata in the safetensors format.
//!
//! Written files are the same bytes for the same contents. Read bytes are hostile until checked:
//! offsets, shapes and element types by the `safetensors` crate, names, types and finiteness
//! here. Nothing is allocated beyond the size of the input.

use std::collections::BTreeMap;
use std::io::Write;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result, check_finite};

/// The largest header that the format's readers accept, in bytes.
const MAX_HEADER: usize = 100_000_000;
const METADATA: &str = "__metadata__";
/// Values that are turned into bytes at a time.
const CHUNK: usize = 1 << 14;

/// The values of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// 32-bit floats, finite.
    F32(Vec<f32>),
    /// Unsigned 32-bit integers.
    U32(Vec<u32>),
    /// Signed 64-bit integers.
    I64(Vec<i64>),
}

impl TensorData {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// The values, if they are `f32`.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Self::F32(values) => Some(values),
            _ => None,
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type's name: `f32`, `u32` or `i64`.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::U32(_) => "u32",
            Self::I64(_) => "i64",
        }
    }

    fn size(&self) -> usize {
        self.len() * if matches!(self, Self::I64(_)) { 8 } else { 4 }
    }

    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        fn values<T: Copy, const N: usize>(
            values: &[T],
            convert: fn(T) -> [u8; N],
            out: &mut dyn Write,
        ) -> std::io::Result<()> {
            values.chunks(CHUNK).try_for_each(|chunk| {
                let bytes: Vec<u8> = chunk.iter().flat_map(|&value| convert(value)).collect();
                out.write_all(&bytes)
            })
        }
        match self {
            Self::F32(data) => values(data, f32::to_le_bytes, out),
            Self::U32(data) => values(data, u32::to_le_bytes, out),
            Self::I64(data) => values(data, i64::to_le_bytes, out),
        }
    }

    fn read(name: &str, dtype: Dtype, bytes: &[u8]) -> Result<Self> {
        fn values<T, const N: usize>(bytes: &[u8], convert: fn([u8; N]) -> T) -> Vec<T> {
            let word = |chunk: &[u8]| convert(chunk.try_into().expect("a chunk of N bytes"));
            bytes.chunks_exact(N).map(word).collect()
        }
        match dtype {
            Dtype::F32 => {
                let values = values(bytes, f32::from_le_bytes);
                check_finite(name, &values)?;
                Ok(Self::F32(values))
            }
            Dtype::U32 => Ok(Self::U32(values(bytes, u32::from_le_bytes))),
            Dtype::I64 => Ok(Self::I64(values(bytes, i64::from_le_bytes))),
            other => Err(Error::Dtype {
                name: name.to_owned(),
                expected: "f32, u32 or i64",
                got: format!("{other:?}").to_lowercase(),
            }),
        }
    }
}

/// A tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Its name.
    pub name: String,
    /// Its extent in each dimension.
    pub shape: Vec<usize>,
    /// Its values, as many as the product of the shape.
    pub data: TensorData,
}

/// The contents of a file.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Contents {
    /// Tensors in the order of their data.
    pub tensors: Vec<NamedTensor>,
    /// The string metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Contents that were checked, ready to be written without a copy of them.
#[derive(Clone, Debug)]
pub struct Encoded<'a> {
    header: Vec<u8>,
    tensors: &'a [NamedTensor],
}

impl Encoded<'_> {
    /// Writes the file.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        out.write_all(&(self.header.len() as u64).to_le_bytes())?;
        out.write_all(&self.header)?;
        self.tensors.iter().try_for_each(|tensor| tensor.data.write(out))
    }
}

/// Encodes tensors, in their order, and metadata.
///
/// # Errors
/// If a name is reserved or given twice, or values do not fill their shape or are not finite.
pub fn to_bytes(tensors: &[NamedTensor], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let file = encode(tensors, metadata)?;
    let data: usize = tensors.iter().map(|tensor| tensor.data.size()).sum();
    let mut out = Vec::with_capacity(8 + file.header.len() + data);
    file.write(&mut out).expect("a vector takes what it is given");
    Ok(out)
}

/// The same for a writer.
///
/// # Errors
/// Those of [`to_bytes`].
pub fn encode<'a>(
    tensors: &'a [NamedTensor],
    metadata: &BTreeMap<String, String>,
) -> Result<Encoded<'a>> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert(METADATA.to_owned(), json!(metadata));
    }
    let mut end = 0;
    for NamedTensor { name, shape, data } in tensors {
        check_tensor(name, shape, data)?;
        let start = end;
        end += data.size();
        let info = json!({
            "dtype": data.dtype().to_uppercase(),
            "shape": shape,
            "data_offsets": [start, end],
        });
        if name == METADATA || header.insert(name.clone(), info).is_some() {
            return Err(format_error(format!("tensor name `{name}` is taken")));
        }
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() > MAX_HEADER {
        return Err(format_error(format!("the header is {} bytes long", header.len())));
    }
    Ok(Encoded { header, tensors })
}

/// Decodes and checks a file.
///
/// # Errors
/// If the bytes are malformed, or a tensor has another element type than `f32`, `u32` or `i64`,
/// or holds NaN or infinities.
pub fn from_bytes(bytes: &[u8]) -> Result<Contents> {
    let malformed = |error: safetensors::SafeTensorError| format_error(error.to_string());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let mut tensors = Vec::with_capacity(file.len());
    for name in header.offset_keys() {
        let view = file.tensor(&name).map_err(malformed)?;
        let data = TensorData::read(&name, view.dtype(), view.data())?;
        let shape = view.shape().to_vec();
        check_tensor(&name, &shape, &data)?;
        tensors.push(NamedTensor { name, shape, data });
    }
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Contents { tensors, metadata })
}

fn check_tensor(name: &str, shape: &[usize], data: &TensorData) -> Result<()> {
    let count = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    if count != Some(data.len()) {
        let got = data.len();
        return Err(format_error(format!("`{name}`: shape {shape:?} does not hold {got} values")));
    }
    match data {
        TensorData::F32(values) => check_finite(name, values),
        TensorData::U32(_) | TensorData::I64(_) => Ok(()),
    }
}

fn format_error(reason: String) -> Error {
    Error::Format { reason }
}
