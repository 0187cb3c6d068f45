//! Reassignment of the last level by entropy-regularised optimal transport.
//!
//! As in LETTER (arXiv:2405.07314) and LC-Rec (arXiv:2311.09049): for each bucket of rows with
//! equal IDs, Sinkhorn-Knopp on the squared distances of its rows to the codes of the last level
//! asks for equal mass on every row and every code. Two things differ, both ours:
//!
//! - LETTER gives each row its heaviest code. But a bucket has far fewer rows than there are
//!   codes, so a row carries the whole mass 1/K of many codes, and which of these equal values is
//!   the largest is up to rounding. Here **each code goes to the row that carries most of it, and
//!   each row takes the nearest of its codes**: the rows of a bucket get different codes, and
//!   none is sent farther than it must be.
//! - LETTER offers all codes, taken ones too, and repeats while that makes new collisions. Here
//!   a bucket is offered its own code and those free in its group of equal first codes, so no
//!   step undoes another.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{CollisionPolicy, LastLevel, SidTable, with_last_codes};
use crate::{Error, Result};

/// Settings of [`CollisionPolicy::Sinkhorn`]; the defaults are LETTER's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkhornConfig {
    /// Entropy weight ε, on distances scaled to [−1, 1].
    pub epsilon: f64,
    /// Sinkhorn-Knopp iterations.
    pub iterations: usize,
    /// Most rounds of reassignment; few are needed.
    pub rounds: usize,
}

impl Default for SinkhornConfig {
    fn default() -> SinkhornConfig {
        SinkhornConfig { epsilon: 0.003, iterations: 50, rounds: 20 }
    }
}

/// Reassigns colliding rows until a round moves none. Rows with equal residuals stay together,
/// and so do those for which their group has no free code.
pub(super) fn resolve(
    learned: &SidTable,
    last: &LastLevel<'_>,
    config: &SinkhornConfig,
) -> Result<SidTable> {
    if !(config.epsilon.is_finite() && config.epsilon > 0.0) {
        let epsilon = config.epsilon;
        return Err(Error::Invalid(format!("sinkhorn epsilon is {epsilon}, expected above 0")));
    }
    let levels = learned.layout().num_levels();
    let groups = learned.buckets(levels - 1);
    let groups: Vec<&[u32]> = groups.iter().filter(|rows| rows.len() > 1).collect();
    let mut codes: Vec<u32> = learned.rows().map(|row| row[levels - 1]).collect();
    for _ in 0..config.rounds {
        let moves: Vec<Vec<(u32, u32)>> =
            groups.par_iter().map(|group| moves(group, &codes, last, config)).collect();
        if moves.iter().all(Vec::is_empty) {
            break;
        }
        for (row, code) in moves.concat() {
            codes[row as usize] = code;
        }
    }
    with_last_codes(learned, CollisionPolicy::Sinkhorn, &codes)
}

/// One round in a group of equal first codes: the rows that change their last code, with the
/// new code. Its buckets are served one after the other, the lowest code first. A bucket with
/// more rows than codes are left cannot be told apart: as many as there are codes take part, in
/// row order, which also bounds the cost where a tokenizer has collapsed.
fn moves(
    group: &[u32],
    codes: &[u32],
    last: &LastLevel<'_>,
    config: &SinkhornConfig,
) -> Vec<(u32, u32)> {
    let mut by_code: Vec<(u32, u32)> =
        group.iter().map(|&row| (codes[row as usize], row)).collect();
    by_code.sort_unstable();
    let buckets = || by_code.chunk_by(|a, b| a.0 == b.0);
    let mut taken = vec![false; last.num_codes()];
    buckets().for_each(|bucket| taken[bucket[0].0 as usize] = true);

    let mut moves = Vec::new();
    for bucket in buckets().filter(|bucket| bucket.len() > 1) {
        let own = bucket[0].0;
        taken[own as usize] = false;
        let offered: Vec<u32> =
            (0..).zip(&taken).filter(|(_, taken)| !**taken).map(|(code, _)| code).collect();
        let rows: Vec<u32> = bucket.iter().map(|(_, row)| *row).take(offered.len()).collect();
        taken[own as usize] = rows.len() < bucket.len();
        for (row, code) in rows.iter().zip(assign(&rows, &offered, last, config)) {
            let code = code.unwrap_or(own);
            taken[code as usize] = true;
            if code != own {
                moves.push((*row, code));
            }
        }
    }
    moves
}

/// The new code of each row of one bucket, out of those offered; none for a row that gets no
/// code, as when another one has the same residual.
pub(super) fn assign(
    rows: &[u32],
    offered: &[u32],
    last: &LastLevel<'_>,
    config: &SinkhornConfig,
) -> Vec<Option<u32>> {
    let distances: Vec<Vec<f64>> = rows
        .iter()
        .map(|&row| offered.iter().map(|&code| last.distance(row, code as usize)).collect())
        .collect();
    let mut kernel = distances.clone();
    centre(&mut kernel);
    kernel.iter_mut().flatten().for_each(|value| *value /= -config.epsilon);
    let potentials = row_potentials(&kernel, config.iterations);
    let mut nearest: Vec<Option<usize>> = vec![None; rows.len()];
    for code in 0..offered.len() {
        let mut owner = 0;
        for row in 1..rows.len() {
            if kernel[row][code] + potentials[row] > kernel[owner][code] + potentials[owner] {
                owner = row;
            }
        }
        if nearest[owner].is_none_or(|best| distances[owner][code] < distances[owner][best]) {
            nearest[owner] = Some(code);
        }
    }
    nearest.into_iter().map(|best| best.map(|at| offered[at])).collect()
}

/// Shifts the distances by the middle of their range and divides by half the range plus 1e-5,
/// as LETTER does: they come to lie in [−1, 1].
fn centre(distances: &mut [Vec<f64>]) {
    let values = || distances.iter().flatten().copied();
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let middle = (low + high) / 2.0;
    let amplitude = high - middle + 1e-5;
    distances.iter_mut().flatten().for_each(|value| *value = (*value - middle) / amplitude);
}

/// Sinkhorn-Knopp in the log domain, where nothing under- or overflows: each iteration scales
/// every row to mass 1/B, then every column to mass 1/K. The column potentials are not returned:
/// they do not change which row carries most of a column.
fn row_potentials(kernel: &[Vec<f64>], iterations: usize) -> Vec<f64> {
    let codes = kernel[0].len();
    let (row_mass, column_mass) = (-(kernel.len() as f64).ln(), -(codes as f64).ln());
    let (mut row, mut column) = (vec![0.0; kernel.len()], vec![0.0; codes]);
    for _ in 0..iterations {
        for (values, potential) in kernel.iter().zip(&mut row) {
            *potential = row_mass - log_sum_exp(values.iter().zip(&column).map(|(v, c)| v + c));
        }
        for (code, potential) in column.iter_mut().enumerate() {
            let scaled = kernel.iter().zip(&row).map(|(values, r)| values[code] + r);
            *potential = column_mass - log_sum_exp(scaled);
        }
    }
    row
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + values.map(|value| (value - largest).exp()).sum::<f64>().ln()
}
