//! Known positives that must not be counted as negatives.

use crate::error::{Error, Result};

/// For each row `i` of an in-batch softmax the columns `j != i` that are known positives too.
/// They are left out of the denominators, in both directions. Stored as compressed rows, so no
/// dense mask is ever built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairMask {
    offsets: Vec<u32>,
    columns: Vec<u32>,
}

impl PairMask {
    /// A mask for `n` rows: the columns of row `i` are `columns[offsets[i]..offsets[i + 1]]`.
    ///
    /// # Errors
    /// If `offsets` is not an ascending list that starts with 0 and ends with `columns.len()`, or
    /// a row's columns are not strictly ascending, reach `n`, or contain the row itself.
    pub fn new(offsets: Vec<u32>, columns: Vec<u32>) -> Result<Self> {
        let bad = |row, reason: String| Err(Error::PairMask { row, reason });
        if offsets.first() != Some(&0) {
            return bad(0, format!("expected offsets to start with 0, got {:?}", offsets.first()));
        }
        let n = offsets.len() - 1;
        if offsets[n] as usize != columns.len() {
            let (last, count) = (offsets[n], columns.len());
            return bad(n, format!("expected offsets to end with {count}, got {last}"));
        }
        for row in 0..n {
            let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
            if start > end || end > columns.len() {
                return bad(row, format!("offsets {start}..{end} do not ascend"));
            }
            let of_row = &columns[start..end];
            if let Some(pair) = of_row.windows(2).find(|pair| pair[0] >= pair[1]) {
                return bad(row, format!("columns {} and {} do not ascend", pair[0], pair[1]));
            }
            if let Some(&column) = of_row.iter().find(|&&c| c as usize >= n || c as usize == row) {
                return bad(
                    row,
                    format!("expected columns below {n} other than {row}, got {column}"),
                );
            }
        }
        Ok(Self { offsets, columns })
    }

    /// A mask for `n` rows from `(row, columns)` with rows strictly ascending; rows not named mask
    /// nothing.
    ///
    /// # Errors
    /// As [`PairMask::new`], and if a row is out of order or not below `n`.
    pub fn from_rows<C>(n: usize, rows: impl IntoIterator<Item = (usize, C)>) -> Result<Self>
    where
        C: IntoIterator<Item = u32>,
    {
        let (mut offsets, mut columns) = (vec![0u32], Vec::new());
        for (row, of_row) in rows {
            if row >= n || row + 1 < offsets.len() {
                let reason = format!("expected ascending rows below {n}");
                return Err(Error::PairMask { row, reason });
            }
            offsets.resize(row + 1, columns.len() as u32);
            columns.extend(of_row);
            offsets.push(columns.len() as u32);
        }
        offsets.resize(n + 1, columns.len() as u32);
        Self::new(offsets, columns)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of pairs left out.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether no pair is left out.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns left out of row `i`, ascending.
    pub fn columns(&self, row: usize) -> &[u32] {
        &self.columns[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_rows_fills_the_gaps() {
        let mask = PairMask::from_rows(5, [(1, vec![0, 3]), (3, vec![4])]).unwrap();
        assert_eq!((mask.rows(), mask.len(), mask.is_empty()), (5, 3, false));
        let rows: Vec<_> = (0..5).map(|row| mask.columns(row).to_vec()).collect();
        assert_eq!(rows, [vec![], vec![0, 3], vec![], vec![4], vec![]]);
    }

    #[test]
    fn bad_masks_are_refused() {
        assert!(PairMask::new(vec![], vec![]).is_err());
        assert!(PairMask::new(vec![1, 1], vec![0]).is_err());
        assert!(PairMask::new(vec![0, 2, 1], vec![1]).is_err());
        assert!(PairMask::new(vec![0, 9, 1], vec![1]).is_err());
        assert!(PairMask::new(vec![0, 1, 2], vec![0, 0]).is_err(), "the row itself");
        assert!(PairMask::new(vec![0, 1, 1], vec![2]).is_err(), "past the last column");
        assert!(PairMask::from_rows(3, [(0, vec![2, 1])]).is_err(), "not ascending");
        assert!(PairMask::from_rows(3, [(1, vec![2]), (1, vec![0])]).is_err(), "row twice");
        assert!(PairMask::from_rows(3, [(3, vec![0])]).is_err(), "row out of range");
    }
}
