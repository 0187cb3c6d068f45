//! What sequence models train on and are asked.

use crate::{Error, Result};

/// The items of each user in the order of time, packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequences {
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl Sequences {
    /// User `u` owns `items[offsets[u]..offsets[u + 1]]`, oldest first.
    ///
    /// # Errors
    /// If `offsets` is empty, does not start at 0, falls, or does not end at the number of items.
    pub fn new(offsets: Vec<usize>, items: Vec<u32>) -> Result<Sequences> {
        let ends = (offsets.first().copied(), offsets.last().copied());
        if ends != (Some(0), Some(items.len())) {
            return Err(Error::Invalid(format!(
                "sequence offsets: expected the first to be 0 and the last {}, found {ends:?}",
                items.len()
            )));
        }
        if let Some(user) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(Error::Invalid(format!(
                "sequence offsets: user {user} ends at {} before it starts at {}",
                offsets[user + 1],
                offsets[user]
            )));
        }
        Ok(Sequences { offsets, items })
    }

    /// The items of a user, oldest first.
    pub fn of(&self, user: usize) -> &[u32] {
        &self.items[self.offsets[user]..self.offsets[user + 1]]
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are no users.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All items, user by user.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// Each user's items in turn.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> + Clone {
        self.offsets.windows(2).map(|pair| &self.items[pair[0]..pair[1]])
    }

    /// Refuses an item outside the catalogue.
    pub(crate) fn check(&self, num_items: usize) -> Result<()> {
        for (user, items) in self.iter().enumerate() {
            check_items(items, num_items, || format!("sequence of user {user}"))?;
        }
        Ok(())
    }
}

/// An evaluation example: what a user did, and what came next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Items clicked before, oldest first; may be empty.
    pub history: Vec<u32>,
    /// The item clicked next.
    pub target: u32,
}

impl Query {
    /// Refuses items outside the catalogue.
    pub(crate) fn check(queries: &[Query], num_items: usize) -> Result<()> {
        for (at, query) in queries.iter().enumerate() {
            check_items(&query.history, num_items, || format!("history of query {at}"))?;
            check_items(&[query.target], num_items, || format!("target of query {at}"))?;
        }
        Ok(())
    }
}

/// Whatever gives every item of a catalogue a score.
pub trait Recommender: Send + Sync {
    /// Items of the catalogue.
    fn num_items(&self) -> usize;

    /// Scores of the next item, `[n, num_items]`; higher is better, and equal scores are ties.
    ///
    /// # Errors
    /// If a history names an item outside the catalogue.
    fn scores(&self, histories: &[&[u32]]) -> Result<Vec<f32>>;
}

/// Refuses an item outside the catalogue, naming the place.
pub(crate) fn check_items(
    items: &[u32],
    num_items: usize,
    place: impl FnOnce() -> String,
) -> Result<()> {
    match items.iter().find(|&&item| item as usize >= num_items) {
        None => Ok(()),
        Some(item) => {
            Err(Error::Invalid(format!("{}: item {item}, expected less than {num_items}", place())))
        }
    }
}

/// Refuses a history that names an item outside the catalogue.
pub(crate) fn check_histories(histories: &[&[u32]], num_items: usize) -> Result<()> {
    for (at, history) in histories.iter().enumerate() {
        check_items(history, num_items, || format!("history {at}"))?;
    }
    Ok(())
}

/// At most `limit` of the queries, evenly spread; all of them for a limit of 0.
pub(crate) fn spread(queries: &[Query], limit: usize) -> Vec<&Query> {
    let count = if limit == 0 { queries.len() } else { limit.min(queries.len()) };
    (0..count).map(|at| &queries[at * queries.len() / count]).collect()
}
