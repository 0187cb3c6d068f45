//! Grouping of rows by a key: compressed sparse rows.

/// Rows by key, each group ascending: group `k` is `rows[starts[k]..starts[k + 1]]`. Every key
/// is below `num_keys`.
pub(crate) fn group(num_keys: usize, keys: &[u32]) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0usize; num_keys + 1];
    for &key in keys {
        starts[key as usize + 1] += 1;
    }
    for key in 0..num_keys {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut rows = vec![0u32; keys.len()];
    for (row, &key) in keys.iter().enumerate() {
        rows[next[key as usize]] = row as u32;
        next[key as usize] += 1;
    }
    (starts, rows)
}

/// The groups of `values` as mutable slices.
pub(crate) fn slices_mut<'a, T>(starts: &[usize], mut values: &'a mut [T]) -> Vec<&'a mut [T]> {
    starts
        .windows(2)
        .map(|ends| {
            let (group, rest) = std::mem::take(&mut values).split_at_mut(ends[1] - ends[0]);
            values = rest;
            group
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_ascending_and_complete() {
        let (starts, mut rows) = group(4, &[2, 0, 2, 3, 0]);
        assert_eq!(starts, [0, 2, 2, 4, 5]);
        assert_eq!(rows, [1, 4, 0, 2, 3]);
        let slices = slices_mut(&starts, &mut rows);
        assert_eq!(slices, [&[1, 4][..], &[], &[0, 2], &[3]]);
    }
}
