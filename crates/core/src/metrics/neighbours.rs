//! Whether IDs keep neighbours together: the items nearest by content, or most clicked together.

use rand::Rng;
use rand::seq::index;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::ranking::top_k;
use crate::sid::SidTable;
use crate::{Clicks, Error, Result, RowMatrix};

/// Queries whose similarities are worked out together, so that a content row is read once for
/// all of them. Fixed: results must not depend on the number of threads.
const QUERY_BLOCK: usize = 16;

/// How far an item's neighbours share its ID; means over the items asked about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NeighbourAgreement {
    /// Neighbours looked at for each item; items with fewer count those that they have.
    pub k: usize,
    /// Items asked about: those drawn that have a neighbour.
    pub queries: usize,
    /// Share of an item's neighbours with its first code.
    pub first_code: f64,
    /// The same share among all other items: what chance gives.
    pub first_code_expected: f64,
    /// Length of the common prefix with a neighbour, over the number of learned levels.
    pub common_prefix: f64,
}

/// Agreement with the `k` items of highest cosine of content vectors, found exactly; ties go to
/// the lower row, and a zero vector has cosine 0 with everything.
///
/// `content` is `[items, dim]`. At most `max_queries` items are drawn from `rng` and asked about:
/// each costs items · dim multiplications.
pub fn neighbour_content(
    table: &SidTable,
    content: &dyn RowMatrix,
    k: usize,
    max_queries: usize,
    rng: &mut impl Rng,
) -> Result<NeighbourAgreement> {
    if content.rows() != table.len() {
        let message = format!("{} content rows for {} IDs", content.rows(), table.len());
        return Err(Error::Invalid(message));
    }
    let scales = inverse_norms(content);
    let queries = draw(table.len(), max_queries, rng);
    let neighbours: Vec<Vec<u32>> = queries
        .par_chunks(QUERY_BLOCK)
        .flat_map_iter(|block| nearest(content, &scales, block, k))
        .collect();
    Ok(agreement(table, k, queries.into_iter().zip(neighbours)))
}

/// Agreement with the `k` items most clicked together with an item, by the cosine of their sets
/// of training users, |U_a ∩ U_b| / √(|U_a|·|U_b|); ties go to the lower row. Items that nobody
/// clicked together with another one are not asked about.
///
/// At most `max_queries` items are drawn from `rng`.
pub fn neighbour_coclick(
    table: &SidTable,
    clicks: &dyn Clicks,
    k: usize,
    max_queries: usize,
    rng: &mut impl Rng,
) -> Result<NeighbourAgreement> {
    if clicks.num_items() != table.len() {
        let message = format!("clicks on {} items for {} IDs", clicks.num_items(), table.len());
        return Err(Error::Invalid(message));
    }
    let users_of = users_by_item(clicks);
    let queries = draw(table.len(), max_queries, rng);
    let neighbours: Vec<Vec<u32>> = queries
        .par_chunks(QUERY_BLOCK)
        .flat_map_iter(|block| {
            let mut counts = vec![0u32; clicks.num_items()];
            block
                .iter()
                .map(|&query| most_co_clicked(clicks, &users_of, query, k, &mut counts))
                .collect::<Vec<_>>()
        })
        .collect();
    Ok(agreement(table, k, queries.into_iter().zip(neighbours)))
}

/// At most `most` different rows of `0..rows`, ascending.
fn draw(rows: usize, most: usize, rng: &mut impl Rng) -> Vec<u32> {
    if rows <= most {
        return (0..rows as u32).collect();
    }
    let mut drawn: Vec<u32> = index::sample(rng, rows, most).iter().map(|row| row as u32).collect();
    drawn.sort_unstable();
    drawn
}

/// 1/‖row‖ of each row, 0 for a zero row.
fn inverse_norms(content: &dyn RowMatrix) -> Vec<f32> {
    (0..content.rows())
        .into_par_iter()
        .map(|row| {
            let norm = dot(content.row(row), content.row(row)).sqrt();
            if norm > 0.0 { 1.0 / norm } else { 0.0 }
        })
        .collect()
}

/// The `k` rows of highest cosine with each query, without the query itself.
fn nearest(content: &dyn RowMatrix, scales: &[f32], queries: &[u32], k: usize) -> Vec<Vec<u32>> {
    let rows = content.rows();
    let mut scores = vec![0.0; queries.len() * rows];
    for row in 0..rows {
        let vector = content.row(row);
        for (at, &query) in queries.iter().enumerate() {
            let product = dot(content.row(query as usize), vector);
            scores[at * rows + row] = product * scales[query as usize] * scales[row];
        }
    }
    let others = |(&query, scores): (&u32, &[f32])| {
        // One more, since the query may or may not be among its own best.
        let mut best = top_k(scores, k + 1);
        best.retain(|&row| row != query);
        best.truncate(k);
        best
    };
    queries.iter().zip(scores.chunks(rows.max(1))).map(others).collect()
}

/// Dot product in eight partial sums, which vectorise.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The users of each item, ascending.
fn users_by_item(clicks: &dyn Clicks) -> Vec<Vec<u32>> {
    let mut users_of = vec![Vec::new(); clicks.num_items()];
    for user in 0..clicks.num_users() as u32 {
        clicks.items_of(user).iter().for_each(|&item| users_of[item as usize].push(user));
    }
    users_of
}

/// The `k` best neighbours of `query`; `counts` is zero for every item, before and after.
fn most_co_clicked(
    clicks: &dyn Clicks,
    users_of: &[Vec<u32>],
    query: u32,
    k: usize,
    counts: &mut [u32],
) -> Vec<u32> {
    let mut met = Vec::new();
    for &user in &users_of[query as usize] {
        for &item in clicks.items_of(user).iter().filter(|&&item| item != query) {
            if counts[item as usize] == 0 {
                met.push(item);
            }
            counts[item as usize] += 1;
        }
    }
    met.sort_unstable();
    // The query's own count is the same factor for all and left out.
    let cosine =
        |&item: &u32| counts[item as usize] as f32 / (users_of[item as usize].len() as f32).sqrt();
    let scores: Vec<f32> = met.iter().map(cosine).collect();
    let best = top_k(&scores, k).into_iter().map(|at| met[at as usize]).collect();
    met.iter().for_each(|&item| counts[item as usize] = 0);
    best
}

fn agreement(
    table: &SidTable,
    k: usize,
    found: impl Iterator<Item = (u32, Vec<u32>)>,
) -> NeighbourAgreement {
    let levels = table.layout().num_levels();
    let width = table.layout().codebook_sizes()[0] as usize;
    let on_code = super::information::histogram(width, table.rows().map(|codes| codes[0]));
    let mut sums = NeighbourAgreement {
        k,
        queries: 0,
        first_code: 0.0,
        first_code_expected: 0.0,
        common_prefix: 0.0,
    };
    for (query, neighbours) in found.filter(|(_, neighbours)| !neighbours.is_empty()) {
        let codes = &table.row(query as usize)[..levels];
        let shared = |&other: &u32| {
            codes.iter().zip(table.row(other as usize)).take_while(|(a, b)| a == b).count()
        };
        let prefixes: Vec<usize> = neighbours.iter().map(shared).collect();
        let found = neighbours.len() as f64;
        sums.queries += 1;
        sums.first_code += prefixes.iter().filter(|&&length| length > 0).count() as f64 / found;
        sums.common_prefix += prefixes.iter().sum::<usize>() as f64 / (found * levels as f64);
        sums.first_code_expected +=
            (on_code[codes[0] as usize] - 1) as f64 / (table.len() - 1) as f64;
    }
    let total = sums.queries.max(1) as f64;
    NeighbourAgreement {
        first_code: sums.first_code / total,
        first_code_expected: sums.first_code_expected / total,
        common_prefix: sums.common_prefix / total,
        ..sums
    }
}

#[cfg(test)]
mod tests;
