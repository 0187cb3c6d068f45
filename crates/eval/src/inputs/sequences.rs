//! Click sequences and the queries of next-item prediction.

use das_core::Clicks;
use das_core::metrics::popularity_deciles;
use das_data::{DataSet, Part, Split, TrainingClicks};
use das_recommend::{Query, Sequences};

use crate::{Error, Result};

/// Groups of items by training popularity.
pub const NUM_DECILES: usize = 10;

/// Queries with the user who asks and the popularity of what is sought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queries {
    /// The user of each query, ascending; a user may have several.
    pub users: Vec<u32>,
    /// History and target.
    pub queries: Vec<Query>,
    /// The decile of the target by training clicks, 0 the least clicked.
    pub deciles: Vec<u8>,
}

impl Queries {
    /// Number of queries.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// At most `most` of them, evenly spread; 0 takes all.
    pub fn spread(&self, most: usize) -> Queries {
        let count = if most == 0 { self.len() } else { most.min(self.len()) };
        let rows = (0..count).map(|at| at * self.len() / count);
        Queries {
            users: rows.clone().map(|row| self.users[row]).collect(),
            queries: rows.clone().map(|row| self.queries[row].clone()).collect(),
            deciles: rows.map(|row| self.deciles[row]).collect(),
        }
    }
}

/// What sequence models are trained on and asked.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceInputs {
    /// Items of the catalogue.
    pub num_items: usize,
    /// The training clicks of each user, oldest first.
    pub train: Sequences,
    /// Validation clicks; a history is the user's training clicks before it.
    pub validation: Queries,
    /// Test clicks; a history is the user's training and validation clicks before it.
    pub test: Queries,
    /// Training clicks of each item.
    pub item_clicks: Vec<u32>,
}

impl SequenceInputs {
    /// Test queries seek items that training may have seen: of a split with cold items, the
    /// other ones. Clicks without a history are not asked about.
    ///
    /// # Errors
    /// If nothing is left to validate on or to test.
    pub fn new(data: &DataSet, split: &Split, clicks: &TrainingClicks) -> Result<SequenceInputs> {
        SequenceInputs::seeking(data, split, clicks, |item| !split.is_cold(item))
    }

    /// The same with test queries that seek the cold items of `split`.
    ///
    /// # Errors
    /// As [`SequenceInputs::new`].
    pub fn cold(data: &DataSet, split: &Split, clicks: &TrainingClicks) -> Result<SequenceInputs> {
        SequenceInputs::seeking(data, split, clicks, |item| split.is_cold(item))
    }

    fn seeking(
        data: &DataSet,
        split: &Split,
        clicks: &TrainingClicks,
        sought: impl Fn(u32) -> bool,
    ) -> Result<SequenceInputs> {
        let item_clicks = clicks.item_clicks().to_vec();
        let mut deciles = vec![0; item_clicks.len()];
        for (decile, items) in popularity_deciles(&item_clicks).iter().enumerate() {
            items.iter().for_each(|&item| deciles[item as usize] = decile as u8);
        }
        let queries = |part, known: &[Part], sought: &dyn Fn(u32) -> bool| {
            held_out(data, split, part, known, sought, &deciles)
        };
        let validation = queries(Part::Validation, &[Part::Train], &|_| true);
        let test = queries(Part::Test, &[Part::Train, Part::Validation], &sought);
        for (queries, part) in [(&validation, "validation"), (&test, "test")] {
            if queries.is_empty() {
                let message = format!(
                    "the {} split has no {part} click that is asked about: each needs earlier \
                     clicks of its user",
                    split.kind()
                );
                return Err(Error::data(data.folder(), message));
            }
        }
        let mut offsets = vec![0];
        let mut items = Vec::with_capacity(clicks.num_clicks());
        for user in 0..clicks.num_users() as u32 {
            items.extend_from_slice(clicks.sequence_of(user));
            offsets.push(items.len());
        }
        let train = Sequences::new(offsets, items)?;
        Ok(SequenceInputs { num_items: item_clicks.len(), train, validation, test, item_clicks })
    }
}

/// The clicks of `part` on items that are `sought`, each with the user's clicks of the `known`
/// parts that come before it.
fn held_out(
    data: &DataSet,
    split: &Split,
    part: Part,
    known: &[Part],
    sought: &dyn Fn(u32) -> bool,
    deciles: &[u8],
) -> Queries {
    let log = data.interactions();
    let mut found = Queries::default();
    for user in 0..log.num_users() as u32 {
        let mut history = Vec::new();
        let rows = log.rows_of(user).iter().map(|&row| row as usize);
        for row in rows.filter(|&row| log.is_positive(row)) {
            let item = log.items()[row];
            if split.part(row) == part && sought(item) && !history.is_empty() {
                found.users.push(user);
                found.queries.push(Query { history: history.clone(), target: item });
                found.deciles.push(deciles[item as usize]);
            }
            if known.contains(&split.part(row)) {
                history.push(item);
            }
        }
    }
    found
}
