//! Matrices that stay on disk: a region of a file, mapped into memory.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use memmap2::{Advice, Mmap, UncheckedAdvice};

use crate::{Error, Result, RowMatrix};

#[cfg(target_endian = "big")]
compile_error!("mapped matrices are little-endian on disk and are read in place");

/// How many times the rows being read are asked for in advance.
const AHEAD: usize = 2;

/// A read-only little-endian f32 matrix `[rows, dim]`, row-major, in a memory-mapped file.
///
/// Pages are read on first use and may be dropped by the system, so the matrix can be larger
/// than memory. Like every mapping, it relies on nobody truncating the file while it is open.
#[derive(Debug)]
pub struct MappedMatrix {
    map: Mmap,
    /// Byte at which the values begin; a multiple of 4.
    offset: usize,
    rows: usize,
    dim: usize,
}

impl MappedMatrix {
    /// Maps `rows * dim` values that begin at byte `offset` of the file at `path`.
    pub fn open(path: &Path, offset: u64, rows: usize, dim: usize) -> Result<MappedMatrix> {
        let file = File::open(path).map_err(Error::io(path, "cannot read"))?;
        MappedMatrix::from_file(&file, path, offset, rows, dim)
    }

    /// [`MappedMatrix::open`] for a file at hand, which may have no name any more; `path` is
    /// used in messages only.
    pub fn from_file(
        file: &File,
        path: &Path,
        offset: u64,
        rows: usize,
        dim: usize,
    ) -> Result<MappedMatrix> {
        let found = file.metadata().map_err(Error::io(path, "cannot read"))?.len();
        let end = end_of(offset, rows, dim)
            .ok_or_else(|| Error::format(path, format!("a matrix [{rows}, {dim}] is too large")))?;
        if dim == 0 {
            return Err(Error::format(path, "a matrix needs at least one column, found 0"));
        }
        if !offset.is_multiple_of(4) {
            return Err(Error::format(
                path,
                format!("values begin at byte {offset}, expected a multiple of 4"),
            ));
        }
        if found < end {
            return Err(Error::format(
                path,
                format!(
                    "a matrix [{rows}, {dim}] of f32 at byte {offset} needs {end} bytes, \
                     found {found}"
                ),
            ));
        }
        // SAFETY: the mapping is read-only and every f32 bit pattern is valid; that the file is
        // not truncated while mapped is the documented condition of this type.
        let map = unsafe { Mmap::map(file) }.map_err(Error::io(path, "cannot map"))?;
        Ok(MappedMatrix { map, offset: offset as usize, rows, dim })
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        let end = self.offset + self.rows * self.dim * size_of::<f32>();
        bytemuck::cast_slice(&self.map[self.offset..end])
    }

    /// Place in the file and length of some rows, in bytes; rows beyond the last are left out.
    fn bytes(&self, rows: Range<usize>) -> (usize, usize) {
        let width = self.dim * size_of::<f32>();
        let [start, end] = [rows.start, rows.end].map(|row| row.min(self.rows) * width);
        (self.offset + start, end - start)
    }
}

impl RowMatrix for MappedMatrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values()[row * self.dim..(row + 1) * self.dim]
    }

    fn consecutive(&self, rows: Range<usize>) -> Option<&[f32]> {
        Some(&self.values()[rows.start * self.dim..rows.end * self.dim])
    }

    fn enter(&self, rows: Range<usize>) -> Result<()> {
        // The first rows are needed now, those behind them while these are worked on. It is advice:
        // a system that does not take it reads on first use.
        let ahead = rows.end + AHEAD * rows.len();
        let next = if rows.start == 0 { 0..ahead } else { ahead - rows.len()..ahead };
        let (start, len) = self.bytes(next);
        let _ = self.map.advise_range(Advice::WillNeed, start, len);
        Ok(())
    }

    fn leave(&self, rows: Range<usize>) {
        let (start, len) = self.bytes(rows);
        // SAFETY: the mapping is of a file and never written to, so that a page dropped is read
        // again with the same contents.
        let _ = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, len) };
    }
}

/// First byte after the matrix, where it can be addressed.
fn end_of(offset: u64, rows: usize, dim: usize) -> Option<u64> {
    let bytes = rows.checked_mul(dim)?.checked_mul(size_of::<f32>())?;
    let end = offset.checked_add(bytes as u64)?;
    (usize::try_from(end).ok()? <= isize::MAX as usize).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(values: &[f32]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytemuck::cast_slice::<f32, u8>(values)).unwrap();
        file
    }

    #[test]
    fn rows_are_read_from_the_region() {
        let file = file_of(&[9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let matrix = MappedMatrix::open(file.path(), 4, 3, 2).unwrap();
        assert_eq!((matrix.rows(), matrix.dim()), (3, 2));
        assert_eq!(matrix.row(1), [3.0, 4.0]);
        let mut out = [0.0; 4];
        matrix.gather(&[2, 0], &mut out);
        assert_eq!(out, [5.0, 6.0, 1.0, 2.0]);
    }

    #[test]
    fn rows_left_behind_are_still_there() {
        let values: Vec<f32> = (0..40_000).map(|value| value as f32).collect();
        let file = file_of(&values);
        let matrix = MappedMatrix::open(file.path(), 0, 10_000, 4).unwrap();
        for rows in [0..4_096, 4_096..8_192, 8_192..10_000] {
            matrix.enter(rows.clone()).unwrap();
            let expected = &values[rows.start * 4..rows.end * 4];
            assert_eq!(matrix.consecutive(rows.clone()), Some(expected));
            matrix.leave(rows);
        }
        assert_eq!(matrix.values(), values);
    }

    #[test]
    fn an_empty_matrix_has_no_rows() {
        let file = file_of(&[]);
        assert_eq!(MappedMatrix::open(file.path(), 0, 0, 8).unwrap().rows(), 0);
    }

    #[test]
    fn regions_that_do_not_fit_are_refused() {
        let file = file_of(&[1.0, 2.0]);
        let open = |offset, rows, dim| {
            MappedMatrix::open(file.path(), offset, rows, dim).unwrap_err().to_string()
        };
        assert!(open(0, 3, 1).contains("needs 12 bytes, found 8"));
        assert!(open(2, 1, 1).contains("multiple of 4"));
        assert!(open(0, usize::MAX, 2).contains("too large"));
        assert!(open(0, usize::MAX / 4, 1).contains("too large"));
        assert!(open(0, 1, 0).contains("at least one column"));
    }
}
