//! One more digit.

use super::{CollisionPolicy, SidLayout, SidTable};
use crate::Result;

/// Numbers the rows of every bucket in row order. The digit's width is the largest bucket, at
/// least 1, so that a table without rows still has a layout.
pub(super) fn resolve(learned: &SidTable) -> Result<SidTable> {
    let levels = learned.layout().num_levels();
    let buckets = learned.buckets(levels);
    let mut suffix = vec![0u32; learned.len()];
    for rows in buckets.iter() {
        for (place, &row) in rows.iter().enumerate() {
            suffix[row as usize] = place as u32;
        }
    }
    let width = buckets.largest().max(1) as u32;
    let sizes = learned.layout().codebook_sizes().to_vec();
    let layout = SidLayout::new(sizes, CollisionPolicy::Suffix, Some(width))?;
    let codes = learned
        .rows()
        .zip(suffix)
        .flat_map(|(row, suffix)| row.iter().copied().chain([suffix]))
        .collect();
    SidTable::new(layout, codes)
}
