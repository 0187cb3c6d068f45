//! The header's bytes. Whatever is read is a range of the file that exists; messages say at which
//! offset the file stops making sense.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::quantized::GgmlDType;

const MAGIC: &[u8] = b"GGUF";
/// The versions that write lengths as 64 bits.
const VERSIONS: Range<u32> = 2..4;
/// No published model has near as many keys or tensors; larger numbers are damage.
const MAX_ENTRIES: u64 = 1 << 16;
const MAX_DIMS: u32 = 4;
const ALIGNMENT_KEY: &str = "general.alignment";
const DEFAULT_ALIGNMENT: usize = 32;

/// One value of the metadata.
pub(super) enum Value {
    Whole(i128),
    Real(f64),
    Flag(bool),
    /// Where its bytes lie.
    Text(Range<usize>),
    List(List),
}

impl Value {
    /// What this is, for messages.
    pub(super) fn kind(&self) -> String {
        match self {
            Value::Whole(whole) => whole.to_string(),
            Value::Real(real) => real.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::Text(_) => "a text".into(),
            Value::List(list) => format!("a list of {} values of type {}", list.count, list.kind),
        }
    }
}

/// A list that lies in the file, whole and of one type.
pub(super) struct List {
    pub(super) kind: u32,
    pub(super) count: usize,
    pub(super) bytes: Range<usize>,
}

impl List {
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const TEXT: u32 = 8;
}

/// Where a tensor lies.
pub(super) struct Place {
    /// Rows before columns.
    pub(super) shape: Vec<usize>,
    pub(super) dtype: GgmlDType,
    pub(super) bytes: Range<usize>,
}

/// All but the tensors' values.
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: BTreeMap<String, Place>,
}

impl Header {
    /// Reads the header of a file that consists of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Header, String> {
        if !bytes.starts_with(MAGIC) {
            return Err("not a GGUF file: expected it to begin with `GGUF`".into());
        }
        let mut reader = Reader::new(bytes, MAGIC.len());
        let version = reader.u32()?;
        if !VERSIONS.contains(&version) {
            return Err(format!("expected GGUF version 2 or 3, little endian, got {version}"));
        }
        let tensors = reader.entries("tensors")?;
        let keys = reader.entries("metadata keys")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..keys {
            let key = reader.name("metadata key")?;
            let kind = reader.u32()?;
            let value = reader.value(kind).map_err(|message| format!("`{key}`: {message}"))?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(format!("`{key}` is there twice"));
            }
        }
        let tensors = reader.tensors(tensors, alignment(&metadata)?)?;
        Ok(Header { metadata, tensors })
    }
}

/// Walks through the header.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Reader<'a> {
        Reader { bytes, at }
    }

    fn take(&mut self, length: u64) -> Result<Range<usize>, String> {
        let left = self.bytes.len() - self.at;
        match usize::try_from(length) {
            Ok(length) if length <= left => {
                let range = self.at..self.at + length;
                self.at = range.end;
                Ok(range)
            }
            _ => Err(format!("at byte {}: expected {length} more bytes, got {left}", self.at)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let range = self.take(N as u64)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[range]);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn entries(&mut self, what: &str) -> Result<u64, String> {
        let count = self.u64()?;
        if count > MAX_ENTRIES {
            return Err(format!("expected at most {MAX_ENTRIES} {what}, got {count}"));
        }
        Ok(count)
    }

    /// A length and that many bytes.
    pub(super) fn text(&mut self) -> Result<Range<usize>, String> {
        let length = self.u64()?;
        self.take(length)
    }

    fn name(&mut self, what: &str) -> Result<String, String> {
        let range = self.text()?;
        let at = range.start;
        let name = std::str::from_utf8(&self.bytes[range]);
        Ok(name.map_err(|_| format!("at byte {at}: expected a {what} in UTF-8"))?.to_owned())
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::Whole(u8::from_le_bytes(self.array()?).into()),
            1 => Value::Whole(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Whole(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Whole(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Whole(u32::from_le_bytes(self.array()?).into()),
            List::I32 => Value::Whole(i32::from_le_bytes(self.array()?).into()),
            List::F32 => Value::Real(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Flag(u8::from_le_bytes(self.array()?) != 0),
            List::TEXT => Value::Text(self.text()?),
            9 => Value::List(self.list()?),
            10 => Value::Whole(u64::from_le_bytes(self.array()?).into()),
            11 => Value::Whole(i64::from_le_bytes(self.array()?).into()),
            12 => Value::Real(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("expected a type from 0 to 12, got {other}")),
        })
    }

    fn list(&mut self) -> Result<List, String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let start = self.at;
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            List::TEXT => {
                for _ in 0..count {
                    self.text()?;
                }
                0
            }
            other => return Err(format!("expected a list of plain values, got type {other}")),
        };
        self.take(count.saturating_mul(size))?;
        // Each value has taken a byte at least, so that the count fits.
        Ok(List { kind, count: count as usize, bytes: start..self.at })
    }

    fn tensors(&mut self, count: u64, alignment: usize) -> Result<BTreeMap<String, Place>, String> {
        let mut found = BTreeMap::new();
        for _ in 0..count {
            let name = self.name("tensor's name")?;
            let place = self.place(alignment).map_err(|message| format!("`{name}`: {message}"))?;
            if found.insert(name.clone(), place).is_some() {
                return Err(format!("tensor `{name}` is there twice"));
            }
        }
        // Offsets count from the first aligned byte after the header, which ends here.
        let base = self.at.next_multiple_of(alignment);
        let length = self.bytes.len();
        for (name, place) in &mut found {
            let start = base.checked_add(place.bytes.start);
            let end = base.checked_add(place.bytes.end).filter(|&end| end <= length);
            place.bytes = start.zip(end).map(|(start, end)| start..end).ok_or_else(|| {
                let needed = place.bytes.end as u128 + base as u128;
                format!("tensor `{name}` ends at byte {needed}, the file at byte {length}")
            })?;
        }
        Ok(found)
    }

    /// A tensor's place, counted from the first tensor.
    fn place(&mut self, alignment: usize) -> Result<Place, String> {
        let dims = self.u32()?;
        if !(1..=MAX_DIMS).contains(&dims) {
            return Err(format!("expected 1 to {MAX_DIMS} dimensions, got {dims}"));
        }
        let mut sizes = (0..dims).map(|_| self.u64()).collect::<Result<Vec<u64>, String>>()?;
        let kind = self.u32()?;
        let offset = self.u64()?;
        let dtype = dtype(kind)?;
        let block = dtype.block_size() as u64;
        // candle multiplies two blocks of these at a time.
        let paired = matches!(dtype, GgmlDType::Q4_1 | GgmlDType::Q5_1);
        let step = if paired { 2 * block } else { block };
        if !sizes[0].is_multiple_of(step) {
            return Err(format!("expected rows of whole blocks of {step}, got {}", sizes[0]));
        }
        let values = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let bytes = values.and_then(|n| (n / block).checked_mul(dtype.type_size() as u64));
        let end = bytes.and_then(|bytes| bytes.checked_add(offset));
        // Values are copied from where they lie, which must suit the widest type among them.
        if !offset.is_multiple_of(alignment as u64) {
            return Err(format!("expected an offset in steps of {alignment}, got {offset}"));
        }
        let fits = end.filter(|_| !sizes.contains(&0)).and_then(|end| usize::try_from(end).ok());
        let end = fits.ok_or_else(|| format!("shape {sizes:?} is empty or too large"))?;
        sizes.reverse();
        // None is larger than their product.
        let shape = sizes.into_iter().map(|size| size as usize).collect();
        Ok(Place { shape, dtype, bytes: offset as usize..end })
    }
}

fn alignment(metadata: &BTreeMap<String, Value>) -> Result<usize, String> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::Whole(step)) if (8..=1 << 16).contains(step) && step % 8 == 0 => {
            Ok(*step as usize)
        }
        Some(other) => {
            let got = other.kind();
            Err(format!("`{ALIGNMENT_KEY}`: expected a multiple of 8 up to 65536, got {got}"))
        }
    }
}

/// The types of weights that candle multiplies with.
fn dtype(kind: u32) -> Result<GgmlDType, String> {
    Ok(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        other => {
            let known = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K";
            return Err(format!("expected {known}, got ggml type {other}"));
        }
    })
}
