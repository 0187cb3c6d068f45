//! New entities beside existing ones.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::{CollisionPolicy, LastLevel, SidLayout, SidTable, needed};
use crate::{Error, Result};

/// IDs for new rows under the policy of `existing`, whose IDs stay as they are.
///
/// - `suffix`: the next number after those of the same codes, first come first served. The
///   suffix may outgrow the width it had, so the layout returned can be wider in that digit.
/// - `greedy`, `sinkhorn`: a new row whose ID is taken gets the nearest last code that is free
///   behind its first codes; where none is free it stays collided.
/// - `none`: the learned codes.
///
/// `learned` holds the new rows' learned codes, `last` their last level, which a policy that
/// [reassigns](CollisionPolicy::reassigns) it needs.
pub fn extend(
    existing: &SidTable,
    learned: &SidTable,
    last: Option<LastLevel<'_>>,
) -> Result<SidTable> {
    let layout = existing.layout();
    if learned.layout().codebook_sizes() != layout.codebook_sizes() {
        let message = format!(
            "new codes have codebooks {:?}, the existing ones {:?}",
            learned.layout().codebook_sizes(),
            layout.codebook_sizes()
        );
        return Err(Error::Invalid(message));
    }
    match layout.collision() {
        CollisionPolicy::None => Ok(learned.clone()),
        CollisionPolicy::Suffix => number(existing, learned),
        policy @ (CollisionPolicy::Greedy | CollisionPolicy::Sinkhorn) => {
            free_codes(existing, learned, &needed(last, policy, learned)?)
        }
    }
}

fn number(existing: &SidTable, learned: &SidTable) -> Result<SidTable> {
    let levels = existing.layout().num_levels();
    let mut next: HashMap<&[u32], u32> = HashMap::with_capacity(existing.len());
    for row in existing.rows() {
        let next = next.entry(&row[..levels]).or_default();
        *next = (*next).max(row[levels] + 1);
    }
    // Equal codes side by side, in order of rows: no map of millions of new IDs.
    let codes_of = |row: u32| learned.row(row as usize);
    let mut order: Vec<u32> = (0..learned.len() as u32).collect();
    order.par_sort_unstable_by(|&a, &b| codes_of(a).cmp(codes_of(b)).then(a.cmp(&b)));
    let mut codes = vec![0; learned.len() * (levels + 1)];
    let mut width = existing.layout().suffix().unwrap_or(1);
    for equal in order.chunk_by(|&a, &b| codes_of(a) == codes_of(b)) {
        let first = next.get(codes_of(equal[0])).copied().unwrap_or(0);
        for (number, &row) in (first..).zip(equal) {
            let id = &mut codes[row as usize * (levels + 1)..][..levels + 1];
            id[..levels].copy_from_slice(codes_of(row));
            id[levels] = number;
        }
        width = width.max(first + equal.len() as u32);
    }
    let sizes = existing.layout().codebook_sizes().to_vec();
    SidTable::new(SidLayout::new(sizes, CollisionPolicy::Suffix, Some(width))?, codes)
}

fn free_codes(existing: &SidTable, learned: &SidTable, last: &LastLevel<'_>) -> Result<SidTable> {
    let place = existing.layout().num_levels() - 1;
    let mut taken: HashSet<Vec<u32>> = existing.rows().map(<[u32]>::to_vec).collect();
    let mut codes = Vec::with_capacity(learned.codes().len());
    for (row, learned) in learned.rows().enumerate() {
        let mut id = learned.to_vec();
        if taken.contains(&id) {
            let free = nearest_free(last, row as u32, |code| {
                id[place] = code;
                !taken.contains(&id)
            });
            id[place] = free.unwrap_or(learned[place]);
        }
        codes.extend_from_slice(&id);
        taken.insert(id);
    }
    SidTable::new(existing.layout().clone(), codes)
}

/// The last code nearest to `row` of those that are free, the smaller of two equally near.
pub fn nearest_free(
    last: &LastLevel<'_>,
    row: u32,
    mut free: impl FnMut(u32) -> bool,
) -> Option<u32> {
    let mut nearest: Vec<usize> = (0..last.num_codes()).collect();
    let distance = |code: usize| last.distance(row, code);
    nearest.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
    nearest.into_iter().map(|code| code as u32).find(|&code| free(code))
}
