//! A click log being collected, ids as they come.

use super::times::Times;
use crate::Result;
use crate::id_column::Interner;
use crate::interactions::{LogColumns, OrderKind};
use crate::source::At;

/// What orders a log's rows.
pub(super) enum OrderBuilder {
    Timestamp(Times),
    Position(Vec<i64>),
    /// The order of the file; positions are counted when the log is complete.
    File,
}

/// One row, as texts and numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogRow<'a> {
    pub(super) user: &'a str,
    pub(super) item: &'a str,
    /// The timestamp or position; unused where the file's order counts.
    pub(super) order: &'a str,
    pub(super) label: Option<bool>,
    pub(super) weight: Option<f32>,
    pub(super) rating: Option<f32>,
}

/// Columns of a log. A column of `label`, `weight` or `rating` is there if every row has it,
/// which each importer sees to.
pub(super) struct LogBuilder {
    user_names: Interner<String>,
    item_names: Interner<String>,
    users: Vec<u32>,
    items: Vec<u32>,
    order: OrderBuilder,
    labels: Vec<bool>,
    weights: Vec<f32>,
    ratings: Vec<f32>,
}

impl LogBuilder {
    pub(super) fn new(order: OrderBuilder) -> LogBuilder {
        LogBuilder {
            user_names: Interner::default(),
            item_names: Interner::default(),
            users: Vec::new(),
            items: Vec::new(),
            order,
            labels: Vec::new(),
            weights: Vec::new(),
            ratings: Vec::new(),
        }
    }

    pub(super) fn by_timestamp() -> LogBuilder {
        LogBuilder::new(OrderBuilder::Timestamp(Times::new()))
    }

    pub(super) fn push(&mut self, at: At<'_>, row: &LogRow<'_>) -> Result<()> {
        match &mut self.order {
            OrderBuilder::Timestamp(times) => times.push(row.order).map_err(|m| at.error(m))?,
            OrderBuilder::Position(positions) => {
                positions.push(row.order.parse().map_err(|_| {
                    at.error(format!("expected an integer position, found `{}`", row.order))
                })?)
            }
            OrderBuilder::File => {}
        }
        self.users.push(self.user_names.row(row.user));
        self.items.push(self.item_names.row(row.item));
        self.labels.extend(row.label);
        self.weights.extend(row.weight);
        self.ratings.extend(row.rating);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    pub(super) fn user_names(&self) -> &[String] {
        self.user_names.ids()
    }

    pub(super) fn item_names(&self) -> &[String] {
        self.item_names.ids()
    }

    /// Drops rows until each user and each item left has at least `k` rows.
    pub(super) fn keep_core(&mut self, k: usize) {
        let mut keep = vec![true; self.users.len()];
        loop {
            let mut user_rows = vec![0usize; self.user_names.ids().len()];
            let mut item_rows = vec![0usize; self.item_names.ids().len()];
            for row in (0..keep.len()).filter(|&row| keep[row]) {
                user_rows[self.users[row] as usize] += 1;
                item_rows[self.items[row] as usize] += 1;
            }
            let mut changed = false;
            for (row, keep) in keep.iter_mut().enumerate().filter(|(_, keep)| **keep) {
                *keep = user_rows[self.users[row] as usize] >= k
                    && item_rows[self.items[row] as usize] >= k;
                changed |= !*keep;
            }
            if !changed {
                break;
            }
        }
        self.retain_rows(&keep);
    }

    fn retain_rows(&mut self, keep: &[bool]) {
        retain(&mut self.users, keep);
        retain(&mut self.items, keep);
        match &mut self.order {
            OrderBuilder::Timestamp(times) => times.retain(keep),
            OrderBuilder::Position(positions) => retain(positions, keep),
            OrderBuilder::File => {}
        }
        for column in [&mut self.weights, &mut self.ratings] {
            retain(column, keep);
        }
        retain(&mut self.labels, keep);
        self.user_names.compact(&mut self.users);
        self.item_names.compact(&mut self.items);
    }

    /// The columns, where `user_rows` and `item_rows` are the final rows of the names.
    pub(super) fn finish(self, user_rows: &[u32], item_rows: &[u32]) -> Result<LogColumns, String> {
        let (order_kind, order) = match self.order {
            OrderBuilder::Timestamp(times) => (OrderKind::Timestamp, times.finish()?),
            OrderBuilder::Position(positions) => (OrderKind::Position, positions),
            OrderBuilder::File => {
                (OrderKind::Position, running_counts(self.user_names.ids().len(), &self.users))
            }
        };
        let renumber = |rows: Vec<u32>, new: &[u32]| -> Vec<u32> {
            rows.into_iter().map(|row| new[row as usize]).collect()
        };
        Ok(LogColumns {
            users: renumber(self.users, user_rows),
            items: renumber(self.items, item_rows),
            order_kind,
            order,
            labels: (!self.labels.is_empty()).then_some(self.labels),
            weights: (!self.weights.is_empty()).then_some(self.weights),
            ratings: (!self.ratings.is_empty()).then_some(self.ratings),
        })
    }
}

/// For each row, the number of rows of the same user before it.
fn running_counts(num_users: usize, users: &[u32]) -> Vec<i64> {
    let mut counts = vec![0i64; num_users];
    users
        .iter()
        .map(|&user| {
            let count = &mut counts[user as usize];
            *count += 1;
            *count - 1
        })
        .collect()
}

/// Keeps the values whose flag is set; a column that is not there stays so.
pub(super) fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    let mut flags = keep.iter();
    values.retain(|_| flags.next().is_some_and(|&keep| keep));
}
