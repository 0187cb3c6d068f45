//! One semantic ID a row.

use rayon::slice::ParallelSliceMut;

use super::SidLayout;
use crate::{Error, Result};

/// The semantic IDs of a list of entities, row-major `[len, num_digits]`, all in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidTable {
    layout: SidLayout,
    codes: Vec<u32>,
}

impl SidTable {
    /// Takes `codes` as rows of `layout`; a ragged length or a code out of range is refused.
    pub fn new(layout: SidLayout, codes: Vec<u32>) -> Result<SidTable> {
        let digits = layout.num_digits();
        if !codes.len().is_multiple_of(digits) {
            return Err(Error::Invalid(format!(
                "{} codes cannot be rows of {digits} digits",
                codes.len()
            )));
        }
        if codes.len() / digits > u32::MAX as usize {
            return Err(Error::Invalid("more than 2^32 semantic IDs".into()));
        }
        for (row, codes) in codes.chunks_exact(digits).enumerate() {
            layout.check(codes).map_err(|error| Error::Invalid(format!("row {row}: {error}")))?;
        }
        Ok(SidTable { layout, codes })
    }

    /// What the digits mean.
    pub fn layout(&self) -> &SidLayout {
        &self.layout
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.codes.len() / self.layout.num_digits()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// All digits, row-major.
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// The ID of a row, suffix included.
    pub fn row(&self, row: usize) -> &[u32] {
        let digits = self.layout.num_digits();
        &self.codes[row * digits..(row + 1) * digits]
    }

    /// The first `length` digits of a row.
    pub fn prefix(&self, row: usize, length: usize) -> &[u32] {
        &self.row(row)[..length]
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u32]> + Clone {
        self.codes.chunks_exact(self.layout.num_digits())
    }

    /// The learned digits alone, without the suffix.
    pub fn learned(&self) -> SidTable {
        let levels = self.layout.num_levels();
        let codes = self.rows().flat_map(|row| row[..levels].iter().copied()).collect();
        let sizes = self.layout.codebook_sizes().to_vec();
        let layout = SidLayout::learned(sizes).expect("levels of a valid layout are valid");
        SidTable { layout, codes }
    }

    /// Rows grouped by their first `prefix` digits; `prefix = num_digits` groups equal IDs.
    pub fn buckets(&self, prefix: usize) -> Buckets {
        let key = |row: &u32| (self.prefix(*row as usize, prefix), *row);
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.par_sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut starts = vec![0];
        for at in 1..order.len() {
            if key(&order[at - 1]).0 != key(&order[at]).0 {
                starts.push(at);
            }
        }
        if !order.is_empty() {
            starts.push(order.len());
        }
        Buckets { order, starts }
    }
}

/// Rows grouped by prefix: buckets in lexicographic order of their codes, rows ascending in
/// each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    order: Vec<u32>,
    starts: Vec<usize>,
}

impl Buckets {
    /// Number of buckets: of different prefixes.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each bucket's rows.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> + '_ {
        self.starts.windows(2).map(|pair| &self.order[pair[0]..pair[1]])
    }

    /// Rows in the largest bucket; 0 where there are none.
    pub fn largest(&self) -> usize {
        self.iter().map(<[u32]>::len).max().unwrap_or(0)
    }

    /// Bucket number of every row.
    pub fn bucket_of_rows(&self) -> Vec<u32> {
        let mut bucket_of = vec![0; self.order.len()];
        for (bucket, rows) in self.iter().enumerate() {
            for &row in rows {
                bucket_of[row as usize] = bucket as u32;
            }
        }
        bucket_of
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(codes: Vec<u32>) -> SidTable {
        SidTable::new(SidLayout::learned(vec![3, 2, 4]).unwrap(), codes).unwrap()
    }

    #[test]
    fn rows_and_errors() {
        let table = table(vec![0, 1, 3, 2, 0, 0]);
        assert_eq!((table.len(), table.row(1)), (2, &[2, 0, 0][..]));
        let layout = table.layout().clone();
        let error = |codes| SidTable::new(layout.clone(), codes).unwrap_err().to_string();
        assert!(error(vec![0, 0]).contains("rows of 3 digits"));
        let message = error(vec![0, 0, 0, 0, 2, 0]);
        assert!(message.contains("row 1: digit 1 is 2, expected less than 2"), "{message}");
    }

    #[test]
    fn an_empty_table_has_no_buckets() {
        let buckets = table(vec![]).buckets(3);
        assert!(buckets.is_empty());
        assert_eq!(buckets.largest(), 0);
    }

    proptest! {
        #[test]
        fn buckets_agree_with_a_sorted_map(
            rows in prop::collection::vec((0u32..3, 0u32..2, 0u32..4), 0..60),
            prefix in 0usize..=3,
        ) {
            let table = table(rows.iter().flat_map(|r| [r.0, r.1, r.2]).collect());
            let mut expected = std::collections::BTreeMap::<Vec<u32>, Vec<u32>>::new();
            for row in 0..table.len() {
                expected.entry(table.prefix(row, prefix).to_vec()).or_default().push(row as u32);
            }
            let buckets = table.buckets(prefix);
            let found: Vec<Vec<u32>> = buckets.iter().map(<[u32]>::to_vec).collect();
            prop_assert_eq!(&found, &expected.into_values().collect::<Vec<_>>());
            prop_assert_eq!(buckets.len(), found.len());
            let of_rows = buckets.bucket_of_rows();
            for (bucket, rows) in found.iter().enumerate() {
                prop_assert!(rows.iter().all(|&row| of_rows[row as usize] == bucket as u32));
            }
        }
    }
}
