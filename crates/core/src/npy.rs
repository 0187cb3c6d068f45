//! Two-dimensional float arrays in NumPy's `.npy` format, versions 1 to 3
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use crate::{Error, MappedMatrix, Result, RowMatrix, files};

mod header;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// A longer header is refused before it is read; NumPy's own limit is 10,000.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// Element types that content vectors come in, all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NpyType {
    /// `<f2`
    F16,
    /// `<f4`
    F32,
    /// `<f8`
    F64,
}

impl NpyType {
    /// Bytes of one value.
    pub fn width(self) -> usize {
        match self {
            NpyType::F16 => 2,
            NpyType::F32 => 4,
            NpyType::F64 => 8,
        }
    }
}

/// What the header of a C-ordered 2-D array says, checked against the file's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// Type of a value.
    pub dtype: NpyType,
    /// Number of rows.
    pub rows: usize,
    /// Width of a row, at least 1.
    pub dim: usize,
    /// Byte at which the values begin.
    pub offset: u64,
}

/// An opened `.npy` file.
#[derive(Debug)]
pub enum NpyMatrix {
    /// f32 values, usable in place.
    Mapped(MappedMatrix),
    /// Values that need a conversion first: another float type, or f32 that begin at an
    /// unaligned byte. They lie row-major from [`NpyHeader::offset`] on.
    Other(NpyHeader),
}

/// Reads and checks the header of `path`.
pub fn read_header(path: &Path) -> Result<NpyHeader> {
    let mut file = File::open(path).map_err(Error::io(path, "cannot read"))?;
    let length = file.metadata().map_err(Error::io(path, "cannot read"))?.len();
    let mut read = |bytes: &mut [u8]| {
        file.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::format(path, format!("the .npy header is cut off at {length} bytes"))
            }
            _ => Error::io(path, "cannot read")(error),
        })
    };
    let mut start = [0u8; 8];
    read(&mut start)?;
    if &start[..6] != MAGIC {
        return Err(Error::format(path, "not a .npy file: wrong magic bytes"));
    }
    let (prefix, header_bytes) = match start[6] {
        1 => {
            let mut size = [0u8; 2];
            read(&mut size)?;
            (10, u16::from_le_bytes(size) as usize)
        }
        2 | 3 => {
            let mut size = [0u8; 4];
            read(&mut size)?;
            (12, u32::from_le_bytes(size) as usize)
        }
        version => {
            let message = format!(".npy version {version} is unknown, expected 1, 2 or 3");
            return Err(Error::format(path, message));
        }
    };
    if header_bytes > MAX_HEADER_BYTES {
        let message =
            format!("a .npy header of {header_bytes} bytes, expected at most {MAX_HEADER_BYTES}");
        return Err(Error::format(path, message));
    }
    let mut text = vec![0u8; header_bytes];
    read(&mut text)?;
    let (dtype, rows, dim) =
        header::parse(&text).map_err(|m| Error::format(path, format!(".npy header: {m}")))?;
    let header = NpyHeader { dtype, rows, dim, offset: (prefix + header_bytes) as u64 };
    check_length(path, &header, length)?;
    Ok(header)
}

fn check_length(path: &Path, header: &NpyHeader, found: u64) -> Result<()> {
    let NpyHeader { rows, dim, .. } = *header;
    let expected = (rows as u64)
        .checked_mul(dim as u64)
        .and_then(|values| values.checked_mul(header.dtype.width() as u64))
        .and_then(|bytes| bytes.checked_add(header.offset));
    if expected != Some(found) {
        let expected = expected.map_or("more than 2^64".to_owned(), |bytes| bytes.to_string());
        let message =
            format!("shape ({rows}, {dim}) makes {expected} bytes, the file has {found} bytes");
        return Err(Error::format(path, message));
    }
    Ok(())
}

/// Opens `path`; f32 values are mapped in place, whatever their number.
pub fn open(path: &Path) -> Result<NpyMatrix> {
    let header = read_header(path)?;
    if header.dtype == NpyType::F32 && header.offset.is_multiple_of(4) {
        MappedMatrix::open(path, header.offset, header.rows, header.dim).map(NpyMatrix::Mapped)
    } else {
        Ok(NpyMatrix::Other(header))
    }
}

/// Writes `matrix` to `path` as version 1, `<f4`, C order; `path` is replaced atomically.
pub fn write(path: &Path, matrix: &dyn RowMatrix) -> Result<()> {
    files::write_atomic(path, |out| {
        out.write_all(&header::version_1(matrix.rows(), matrix.dim()))?;
        (0..matrix.rows()).try_for_each(|row| out.write_all(bytemuck::cast_slice(matrix.row(row))))
    })
}

#[cfg(test)]
mod tests;
