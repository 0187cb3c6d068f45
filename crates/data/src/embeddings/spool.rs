//! Vectors that cannot be mapped where they lie: converted to f32 in a temporary file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use das_core::MappedMatrix;

use crate::{Error, Result};

/// Rows of f32 appended to an unlinked temporary file, which the system removes with the last
/// mapping of it.
pub(super) struct Spool {
    out: BufWriter<File>,
    dim: usize,
    rows: usize,
}

impl Spool {
    /// A spool for the vectors of `path`, which errors name.
    pub(super) fn new(path: &Path, dim: usize) -> Result<Spool> {
        let file =
            tempfile::tempfile().map_err(Error::io(path, "cannot create a temporary file for"))?;
        Ok(Spool { out: BufWriter::with_capacity(1 << 20, file), dim, rows: 0 })
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// Appends whole rows.
    pub(super) fn push(&mut self, path: &Path, values: &[f32]) -> Result<()> {
        self.rows += values.len() / self.dim;
        self.out
            .write_all(bytemuck::cast_slice(values))
            .map_err(Error::io(path, "cannot write the temporary file of"))
    }

    /// Maps what was written.
    pub(super) fn finish(self, path: &Path) -> Result<MappedMatrix> {
        let file = self.out.into_inner().map_err(|error| {
            Error::io(path, "cannot write the temporary file of")(error.into_error())
        })?;
        Ok(MappedMatrix::from_file(&file, path, 0, self.rows, self.dim)?)
    }
}
