//! Sparse matrices in compressed rows, and their product with a dense one.

use pulp::Arch;
use rayon::prelude::*;

/// Rows of a product that one task computes.
const TASK_ROWS: usize = 64;

/// A sparse f32 matrix in compressed-row form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Csr {
    cols: usize,
    /// Row r is `offsets[r]..offsets[r + 1]`.
    offsets: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Csr {
    /// Takes rows of (column, value), the columns ascending and below `cols`.
    pub(crate) fn from_rows(cols: usize, rows: &[Vec<(u32, f32)>]) -> Csr {
        let mut offsets = Vec::with_capacity(rows.len() + 1);
        offsets.push(0);
        offsets.extend(rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        }));
        let entries = || rows.iter().flatten();
        debug_assert!(entries().all(|&(column, _)| (column as usize) < cols));
        let indices = entries().map(|&(column, _)| column).collect();
        let values = entries().map(|&(_, value)| value).collect();
        Csr { cols, offsets, indices, values }
    }

    pub(crate) fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Number of stored entries.
    pub(crate) fn nnz(&self) -> usize {
        self.values.len()
    }

    /// (column, value) of the entries of `row`, by column.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = self.offsets[row]..self.offsets[row + 1];
        self.indices[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }

    /// The transpose, in compressed rows again.
    pub(crate) fn transposed(&self) -> Csr {
        let mut offsets = vec![0; self.cols + 1];
        for &column in &self.indices {
            offsets[column as usize + 1] += 1;
        }
        for column in 0..self.cols {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut indices = vec![0; self.nnz()];
        let mut values = vec![0.0; self.nnz()];
        for row in 0..self.rows() {
            for (column, value) in self.row(row) {
                let at = &mut next[column as usize];
                indices[*at] = row as u32;
                values[*at] = value;
                *at += 1;
            }
        }
        Csr { cols: self.rows(), offsets, indices, values }
    }

    /// self · `dense`, where `dense` is [cols, width]. Each row is summed by column, so that
    /// threads cannot change it.
    pub(crate) fn times(&self, dense: &[f32], width: usize) -> Vec<f32> {
        assert_eq!(dense.len(), self.cols * width);
        let mut out = vec![0.0; self.rows() * width];
        let arch = Arch::new();
        out.par_chunks_mut(TASK_ROWS * width).enumerate().for_each(|(task, out)| {
            for (at, out) in out.chunks_exact_mut(width).enumerate() {
                accumulate_row(arch, self.row(task * TASK_ROWS + at), dense, out);
            }
        });
        out
    }
}

/// out += Σ value · dense[column], one multiplication and one addition at a time per value, which
/// gives the same bits with every instruction set.
pub(crate) fn accumulate_row(
    arch: Arch,
    entries: impl Iterator<Item = (u32, f32)>,
    dense: &[f32],
    out: &mut [f32],
) {
    let width = out.len();
    arch.dispatch(
        #[inline(always)]
        || {
            for (column, value) in entries {
                let first = column as usize * width;
                for (out, &x) in out.iter_mut().zip(&dense[first..first + width]) {
                    *out += value * x;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_dense_loops() {
        let rows = vec![vec![(0, 1.5), (2, -2.0)], vec![], vec![(1, 0.5), (2, 4.0), (3, 1.0)]];
        let a = Csr::from_rows(4, &rows);
        let dense: Vec<f32> = (0..8).map(|v| v as f32 - 3.0).collect();
        let mut expected = vec![0.0; 6];
        for (r, row) in rows.iter().enumerate() {
            for &(c, value) in row {
                for k in 0..2 {
                    expected[r * 2 + k] += value * dense[c as usize * 2 + k];
                }
            }
        }
        assert_eq!(a.times(&dense, 2), expected);
        let t = a.transposed();
        assert_eq!((t.rows(), t.cols(), t.nnz()), (4, 3, 5));
        assert_eq!(t.row(2).collect::<Vec<_>>(), [(0, -2.0), (2, 4.0)]);
        assert_eq!(t.transposed(), a);
    }
}
