//! The training clicks of a split, and nothing else of the log.

mod epoch;

use das_core::{ClickEpoch, Clicks, HeldOut};
use serde::{Deserialize, Serialize};

use crate::csr;
use crate::dataset::DataSet;
use crate::split::{Part, Split};
use crate::{Error, Result};

/// Training clicks of a user that stand in [`HeldOut::histories`].
const HELD_OUT_HISTORY: usize = 5;

/// Which items count as clicked together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoClickConfig {
    /// `Some(w)`: items within `w` clicks before or after in the user's training sequence.
    /// `None`: any other item that the user clicked.
    pub window: Option<usize>,
}

/// The training part of a log as sequences, sets and counts.
///
/// Clicks are numbered by user and then by time, so nothing here depends on the order of the
/// file beyond ties.
#[derive(Clone, Debug)]
pub struct TrainingClicks {
    co_click: CoClickConfig,
    /// Item and weight of each click, user by user, oldest first.
    sequence: Vec<u32>,
    weights: Option<Vec<f32>>,
    /// The user of each click.
    clickers: Vec<u32>,
    /// Clicks of user `u`: `starts[u]..starts[u + 1]`.
    starts: Vec<usize>,
    /// Distinct items of each user, ascending.
    items_of: Sets,
    /// Distinct users of each item, ascending.
    users_of: Sets,
    user_clicks: Vec<u32>,
    item_clicks: Vec<u32>,
    user_exposures: Vec<u32>,
    item_exposures: Vec<u32>,
}

/// Sorted sets, one a key.
#[derive(Clone, Debug)]
struct Sets {
    starts: Vec<usize>,
    values: Vec<u32>,
}

impl Sets {
    fn get(&self, key: u32) -> &[u32] {
        &self.values[self.starts[key as usize]..self.starts[key as usize + 1]]
    }

    /// The distinct `values` by key, ascending.
    fn new(num_keys: usize, keys: &[u32], values: &[u32]) -> Sets {
        let (starts, mut grouped) = csr::group(num_keys, keys);
        grouped.iter_mut().for_each(|row| *row = values[*row as usize]);
        let mut sets = Sets { starts: vec![0], values: Vec::with_capacity(grouped.len()) };
        for group in csr::slices_mut(&starts, &mut grouped) {
            group.sort_unstable();
            let first = sets.values.len();
            for &mut value in group {
                if sets.values.len() == first || sets.values.last() != Some(&value) {
                    sets.values.push(value);
                }
            }
            sets.starts.push(sets.values.len());
        }
        sets.values.shrink_to_fit();
        sets
    }
}

impl TrainingClicks {
    /// Collects the training rows of `split`. A split without a training click is an error.
    pub fn new(data: &DataSet, split: &Split, co_click: CoClickConfig) -> Result<TrainingClicks> {
        if co_click.window == Some(0) {
            return Err(Error::Config("co-click window: expected at least 1, found 0".into()));
        }
        let log = data.interactions();
        let (num_users, num_items) = (log.num_users(), data.items().len());
        let mut sequence = Vec::new();
        let mut weights = Vec::new();
        let mut clickers = Vec::new();
        let mut starts = vec![0];
        let mut user_exposures = vec![0; num_users];
        let mut item_exposures = vec![0; num_items];
        for user in 0..num_users as u32 {
            let rows = log.rows_of(user).iter().map(|&row| row as usize);
            for row in rows.filter(|&row| split.part(row) == Part::Train) {
                let item = log.items()[row];
                user_exposures[user as usize] += 1;
                item_exposures[item as usize] += 1;
                if log.is_positive(row) {
                    sequence.push(item);
                    clickers.push(user);
                    weights.push(log.weight(row));
                }
            }
            starts.push(sequence.len());
        }
        if sequence.is_empty() {
            let message = format!("the {} split has no training click", split.kind());
            return Err(Error::file(data.folder(), message));
        }
        let weights = weights.iter().any(|&weight| weight != 1.0).then_some(weights);
        Ok(TrainingClicks {
            co_click,
            items_of: Sets::new(num_users, &clickers, &sequence),
            users_of: Sets::new(num_items, &sequence, &clickers),
            user_clicks: counts(num_users, &clickers),
            item_clicks: counts(num_items, &sequence),
            sequence,
            weights,
            clickers,
            starts,
            user_exposures,
            item_exposures,
        })
    }

    /// The items of `user`'s training clicks, oldest first, repeats included.
    pub fn sequence_of(&self, user: u32) -> &[u32] {
        &self.sequence[self.starts[user as usize]..self.starts[user as usize + 1]]
    }

    /// The last `last` of [`TrainingClicks::sequence_of`], newest last.
    pub fn user_history(&self, user: u32, last: usize) -> &[u32] {
        let sequence = self.sequence_of(user);
        &sequence[sequence.len().saturating_sub(last)..]
    }

    /// The distinct users who clicked `item` in training, ascending.
    pub fn users_of(&self, item: u32) -> &[u32] {
        self.users_of.get(item)
    }

    /// The clicks of `part` by users with training clicks, each with the user's last five
    /// training clicks; by user, oldest first.
    pub fn held_out(&self, data: &DataSet, split: &Split, part: Part) -> HeldOut {
        let log = data.interactions();
        let mut held_out = HeldOut::default();
        for user in 0..log.num_users() as u32 {
            let history = self.user_history(user, HELD_OUT_HISTORY);
            if history.is_empty() {
                continue;
            }
            let rows = log.rows_of(user).iter().map(|&row| row as usize);
            for row in rows.filter(|&row| split.part(row) == part && log.is_positive(row)) {
                held_out.users.push(user);
                held_out.items.push(log.items()[row]);
                held_out.histories.push(history.to_vec());
            }
        }
        held_out
    }
}

fn counts(num_keys: usize, keys: &[u32]) -> Vec<u32> {
    let mut counts = vec![0; num_keys];
    keys.iter().for_each(|&key| counts[key as usize] += 1);
    counts
}

impl Clicks for TrainingClicks {
    fn num_users(&self) -> usize {
        self.user_clicks.len()
    }

    fn num_items(&self) -> usize {
        self.item_clicks.len()
    }

    fn num_clicks(&self) -> usize {
        self.sequence.len()
    }

    fn items_of(&self, user: u32) -> &[u32] {
        self.items_of.get(user)
    }

    fn user_clicks(&self) -> &[u32] {
        &self.user_clicks
    }

    fn item_clicks(&self) -> &[u32] {
        &self.item_clicks
    }

    fn item_exposures(&self) -> &[u32] {
        &self.item_exposures
    }

    fn user_exposures(&self) -> &[u32] {
        &self.user_exposures
    }

    fn epoch(&self, seed: u64, epoch: u64) -> ClickEpoch {
        epoch::draw(self, seed, epoch)
    }
}
