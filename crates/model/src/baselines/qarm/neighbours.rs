//! Similar items by clicks: Swing, or plain co-clicks.

use das_core::Clicks;
use das_core::progress::Cancel;
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::config::QarmConfig;
use crate::Result;

/// Items worked out between two looks at whether to stop.
const BLOCK: usize = 4096;

/// How similar two items are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Similarity {
    /// Swing (Yang et al., 2020, arXiv:2010.05525): with U_i the users of item i and I_u the items
    /// of user u, s(i, j) = Σ_{u < v ∈ U_i ∩ U_j} w_u w_v / (α + |I_u ∩ I_v|), w_u = 1/√|I_u|. Two
    /// users who share little else tell more.
    #[default]
    Swing,
    /// The number of users of both items.
    CoClick,
}

/// The most similar items of each item, the best first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Neighbours {
    /// Those of item `i`: `starts[i]..starts[i + 1]`.
    starts: Vec<usize>,
    items: Vec<u32>,
    similarities: Vec<f32>,
}

impl Neighbours {
    /// Works them out from training clicks. Of an item with more than `config.users_per_item`
    /// users only those with the fewest items count, so s(i, j) and s(j, i) may then differ.
    pub(super) fn new(
        clicks: &dyn Clicks,
        config: &QarmConfig,
        cancel: &Cancel,
    ) -> Result<Neighbours> {
        let users_of = users_by_item(clicks, config.users_per_item);
        let mut all = Neighbours { starts: vec![0], items: Vec::new(), similarities: Vec::new() };
        for block in users_of.chunks(BLOCK) {
            cancel.check()?;
            let first = all.starts.len() - 1;
            let of_block: Vec<Vec<(u32, f64)>> = block
                .par_iter()
                .enumerate()
                .map_init(
                    || Scores::new(clicks.num_items()),
                    |scores, (at, users)| {
                        scores.add(clicks, users, config);
                        scores.best((first + at) as u32, config.neighbours)
                    },
                )
                .collect();
            for of_item in of_block {
                all.items.extend(of_item.iter().map(|&(item, _)| item));
                all.similarities.extend(of_item.iter().map(|&(_, similarity)| similarity as f32));
                all.starts.push(all.items.len());
            }
        }
        Ok(all)
    }

    /// The neighbours of `item` and how similar each is.
    pub(super) fn of(&self, item: u32) -> (&[u32], &[f32]) {
        let range = self.starts[item as usize]..self.starts[item as usize + 1];
        (&self.items[range.clone()], &self.similarities[range])
    }

    /// One of the neighbours of `item`, in proportion to similarity, where it has any.
    pub(super) fn draw(&self, item: u32, rng: &mut impl Rng) -> Option<u32> {
        let (items, similarities) = self.of(item);
        let (&last, _) = items.split_last()?;
        let mut left = rng.random::<f32>() * similarities.iter().sum::<f32>();
        let drawn = items.iter().zip(similarities).find(|&(_, similarity)| {
            left -= similarity;
            left < 0.0
        });
        Some(drawn.map_or(last, |(&item, _)| item))
    }
}

/// The users of each item, those with the fewest items first and at most `limit`.
fn users_by_item(clicks: &dyn Clicks, limit: usize) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..clicks.num_users() as u32).collect();
    order.sort_by_key(|&user| clicks.items_of(user).len());
    let mut users_of = vec![Vec::new(); clicks.num_items()];
    for user in order {
        for &item in clicks.items_of(user) {
            let users: &mut Vec<u32> = &mut users_of[item as usize];
            if users.len() < limit {
                users.push(user);
            }
        }
    }
    users_of
}

/// Sums by item, in a table that is reused.
struct Scores {
    sums: Vec<f64>,
    touched: Vec<u32>,
    common: Vec<u32>,
}

impl Scores {
    fn new(num_items: usize) -> Scores {
        Scores { sums: vec![0.0; num_items], touched: Vec::new(), common: Vec::new() }
    }

    /// Adds what `users`, all of one item, tell about all other items.
    fn add(&mut self, clicks: &dyn Clicks, users: &[u32], config: &QarmConfig) {
        for (at, &user) in users.iter().enumerate() {
            let items = clicks.items_of(user);
            if config.similarity == Similarity::CoClick {
                items.iter().for_each(|&item| self.add_one(item, 1.0));
                continue;
            }
            for &other in &users[..at] {
                let others = clicks.items_of(other);
                let mut common = std::mem::take(&mut self.common);
                intersect(items, others, &mut common);
                let weights = ((items.len() * others.len()) as f64).sqrt().recip();
                let tells = weights / (f64::from(config.swing_alpha) + common.len() as f64);
                common.iter().for_each(|&item| self.add_one(item, tells));
                self.common = common;
            }
        }
    }

    fn add_one(&mut self, item: u32, value: f64) {
        let sum = &mut self.sums[item as usize];
        if *sum == 0.0 {
            self.touched.push(item);
        }
        *sum += value;
    }

    /// The `limit` items with the largest sums but `own`, ties by number; clears the table.
    fn best(&mut self, own: u32, limit: usize) -> Vec<(u32, f64)> {
        let take = |item| (item, std::mem::take(&mut self.sums[item as usize]));
        let mut found: Vec<(u32, f64)> = self.touched.drain(..).map(take).collect();
        found.retain(|&(item, _)| item != own);
        found.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(limit);
        found
    }
}

/// What two ascending lists have in common.
fn intersect(a: &[u32], b: &[u32], common: &mut Vec<u32>) {
    common.clear();
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                common.push(*x);
                (i, j) = (i + 1, j + 1);
            }
        }
    }
}
