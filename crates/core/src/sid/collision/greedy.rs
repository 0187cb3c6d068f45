//! The nearest free code of the last level.

use super::{CollisionPolicy, LastLevel, SidTable, with_last_codes};
use crate::Result;

/// Gives out the last level again in every prefix group that holds a collision.
///
/// A group (equal first `num_levels − 1` codes) larger than the codebook cannot be told apart:
/// once no code is free, its remaining rows keep theirs.
pub(super) fn resolve(learned: &SidTable, last: &LastLevel<'_>) -> Result<SidTable> {
    let levels = learned.layout().num_levels();
    let mut codes: Vec<u32> = learned.rows().map(|row| row[levels - 1]).collect();
    for group in learned.buckets(levels - 1).iter() {
        for (row, code) in moves(learned, last, group) {
            codes[row as usize] = code;
        }
    }
    with_last_codes(learned, CollisionPolicy::Greedy, &codes)
}

/// The rows of one prefix group that change their last code, with the new code.
fn moves(learned: &SidTable, last: &LastLevel<'_>, group: &[u32]) -> Vec<(u32, u32)> {
    let place = learned.layout().num_levels() - 1;
    let code_of = |row: u32| learned.row(row as usize)[place] as usize;
    let mut rows_on = vec![0u32; learned.layout().codebook_sizes()[place] as usize];
    group.iter().for_each(|&row| rows_on[code_of(row)] += 1);

    // Rows that share their code, nearest first; the row number breaks ties.
    let mut contested: Vec<(f64, u32)> = group
        .iter()
        .filter(|&&row| rows_on[code_of(row)] > 1)
        .map(|&row| (last.distance(row, code_of(row)), row))
        .collect();
    contested.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));

    let mut kept = vec![false; rows_on.len()];
    contested.retain(|(_, row)| std::mem::replace(&mut kept[code_of(*row)], true));
    let mut free: Vec<usize> = (0..rows_on.len()).filter(|&code| rows_on[code] == 0).collect();
    let mut moves = Vec::new();
    for (_, row) in contested {
        let to_free = |at: usize| (last.distance(row, free[at]), at);
        let nearest = (0..free.len()).map(to_free).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, at)) = nearest else { break };
        moves.push((row, free.remove(at) as u32));
    }
    moves
}
