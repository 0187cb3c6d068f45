//! The click log as columns of dense row numbers.

mod read;

use std::path::Path;

use das_core::EntityIds;
use rayon::prelude::*;

pub(crate) use read::scaled_times;

use crate::Result;

/// What orders the rows of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// A time, comparable between users.
    Timestamp,
    /// A place within the user's own rows.
    Position,
}

/// The rows of a log in file order; users and items are rows of their tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Interactions {
    users: Vec<u32>,
    items: Vec<u32>,
    order_kind: OrderKind,
    order: Vec<i64>,
    labels: Option<Vec<bool>>,
    weights: Option<Vec<f32>>,
    /// Rows of user `u`, oldest first: `by_user[user_starts[u]..user_starts[u + 1]]`.
    user_starts: Vec<usize>,
    by_user: Vec<u32>,
}

impl Interactions {
    /// Reads `interactions.parquet`. `known_users` are the ids of the users table, if there is
    /// one; the result's ids begin with them, and users of the log alone follow by ascending id.
    pub(crate) fn read(
        path: &Path,
        item_ids: &EntityIds,
        known_users: Option<&EntityIds>,
    ) -> Result<(Interactions, EntityIds)> {
        read::read(path, item_ids, known_users)
    }

    /// Indexes columns of equal length by user.
    pub(crate) fn new(num_users: usize, columns: LogColumns) -> Interactions {
        let LogColumns { users, items, order_kind, order, labels, weights, ratings: _ } = columns;
        let (user_starts, by_user) = order_by_user(num_users, &users, &order);
        Interactions { users, items, order_kind, order, labels, weights, user_starts, by_user }
    }

    /// Number of rows, of any label.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The user of each row.
    pub fn users(&self) -> &[u32] {
        &self.users
    }

    /// The item of each row.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// What orders the rows of a user: `timestamp` where the log has it, else `position`.
    pub fn order_kind(&self) -> OrderKind {
        self.order_kind
    }

    /// The timestamp or position of each row. Float timestamps with fractions are held in
    /// millionths, so that no order is lost.
    pub fn order(&self) -> &[i64] {
        &self.order
    }

    /// Whether the log tells clicks (label 1) from mere exposures (label 0).
    pub fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// Whether a row is a click; every row of a log without labels is one.
    pub fn is_positive(&self, row: usize) -> bool {
        self.labels.as_ref().is_none_or(|labels| labels[row])
    }

    /// The weight of a row, 1 where the log has none.
    pub fn weight(&self, row: usize) -> f32 {
        self.weights.as_ref().map_or(1.0, |weights| weights[row])
    }

    /// The columns of some rows.
    pub(crate) fn columns_of(&self, rows: &[usize]) -> LogColumns {
        fn pick<T: Copy>(column: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| column[row]).collect()
        }
        LogColumns {
            users: pick(&self.users, rows),
            items: pick(&self.items, rows),
            order_kind: self.order_kind,
            order: pick(&self.order, rows),
            labels: self.labels.as_ref().map(|labels| pick(labels, rows)),
            weights: self.weights.as_ref().map(|weights| pick(weights, rows)),
            ratings: None,
        }
    }

    /// Number of users, including those without rows.
    pub fn num_users(&self) -> usize {
        self.user_starts.len() - 1
    }

    /// The rows of `user`, oldest first; ties stand in file order.
    pub fn rows_of(&self, user: u32) -> &[u32] {
        let user = user as usize;
        &self.by_user[self.user_starts[user]..self.user_starts[user + 1]]
    }
}

/// The columns of a log, of equal length; users and items are rows of their tables.
#[derive(Clone, Debug, PartialEq)]
pub struct LogColumns {
    /// The user of each row.
    pub users: Vec<u32>,
    /// The item of each row.
    pub items: Vec<u32>,
    /// What [`LogColumns::order`] holds.
    pub order_kind: OrderKind,
    /// The timestamp or position of each row.
    pub order: Vec<i64>,
    /// Whether each row is a click, `None` where all are.
    pub labels: Option<Vec<bool>>,
    /// The weight of each row, finite and not negative; `None` where all are 1.
    pub weights: Option<Vec<f32>>,
    /// Ratings to keep beside the labels made from them. [`crate::DataSet`] does not read them.
    pub ratings: Option<Vec<f32>>,
}

/// Counting sort by user, then each user's rows by (order, row).
fn order_by_user(num_users: usize, users: &[u32], order: &[i64]) -> (Vec<usize>, Vec<u32>) {
    let (starts, mut rows) = crate::csr::group(num_users, users);
    crate::csr::slices_mut(&starts, &mut rows)
        .into_par_iter()
        .for_each(|rows| rows.sort_by_key(|&row| order[row as usize]));
    (starts, rows)
}
