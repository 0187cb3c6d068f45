//! Matrices of content vectors, read row by row so that they need not fit in memory.

use std::ops::Range;

use crate::{Error, Result, Views};

/// A read-only f32 matrix `[rows, dim]`. Implementations may be memory-mapped.
pub trait RowMatrix: Send + Sync {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Width of a row.
    fn dim(&self) -> usize;

    /// Row `row`, of length [`RowMatrix::dim`].
    fn row(&self, row: usize) -> &[f32];

    /// What a row consists of.
    fn views(&self) -> Views {
        Views::one(self.dim())
    }

    /// The values of consecutive rows, where they lie end to end.
    fn consecutive(&self, _rows: Range<usize>) -> Option<&[f32]> {
        None
    }

    /// To be called before `rows` are read in passing: a mapped file is read ahead of its reader, and
    /// rows that nobody checked yet are checked.
    fn enter(&self, _rows: Range<usize>) -> Result<()> {
        Ok(())
    }

    /// To be called once `rows` have been read in passing: what is mapped of them need not stay in
    /// memory.
    fn leave(&self, _rows: Range<usize>) {}

    /// Copies `rows` into `out`, row-major; `out` has `rows.len() * dim` values.
    fn gather(&self, rows: &[u32], out: &mut [f32]) {
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(self.dim())) {
            out.copy_from_slice(self.row(row as usize));
        }
    }
}

/// A matrix held in memory, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseMatrix {
    dim: usize,
    values: Vec<f32>,
}

impl DenseMatrix {
    /// Takes `values` as rows of width `dim`; the length must be a multiple of `dim > 0`.
    pub fn new(dim: usize, values: Vec<f32>) -> Result<DenseMatrix> {
        if dim == 0 || !values.len().is_multiple_of(dim) {
            return Err(Error::Invalid(format!(
                "{} values cannot be rows of width {dim}",
                values.len()
            )));
        }
        Ok(DenseMatrix { dim, values })
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

impl RowMatrix for DenseMatrix {
    fn rows(&self) -> usize {
        self.values.len() / self.dim
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..(row + 1) * self.dim]
    }

    fn consecutive(&self, rows: Range<usize>) -> Option<&[f32]> {
        Some(&self.values[rows.start * self.dim..rows.end * self.dim])
    }
}

/// A matrix whose rows consist of several views.
pub struct ViewedMatrix {
    matrix: Box<dyn RowMatrix>,
    views: Views,
}

impl ViewedMatrix {
    /// Says what the rows of `matrix` consist of; the widths must add up to theirs.
    pub fn new(matrix: Box<dyn RowMatrix>, views: Views) -> Result<ViewedMatrix> {
        if matrix.dim() != views.dim() {
            return Err(Error::Invalid(format!(
                "vectors of width {} cannot be views of widths {:?}",
                matrix.dim(),
                views.widths()
            )));
        }
        Ok(ViewedMatrix { matrix, views })
    }
}

impl RowMatrix for ViewedMatrix {
    fn rows(&self) -> usize {
        self.matrix.rows()
    }

    fn dim(&self) -> usize {
        self.matrix.dim()
    }

    fn row(&self, row: usize) -> &[f32] {
        self.matrix.row(row)
    }

    fn consecutive(&self, rows: Range<usize>) -> Option<&[f32]> {
        self.matrix.consecutive(rows)
    }

    fn views(&self) -> Views {
        self.views.clone()
    }
}
