//! Impressions of each part for click prediction.

use das_data::{DataSet, Interactions, OrderKind, Part, Split};
use das_recommend::Sequences;
use das_recommend::ranker::{Features, Impressions};

use super::fields;
use crate::{Error, Result};

/// A part of the test rows that is looked at by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// The item has no training row.
    ColdItem,
    /// The user has no training row.
    ColdUser,
}

impl Slice {
    /// Both.
    pub const ALL: [Slice; 2] = [Slice::ColdItem, Slice::ColdUser];

    /// The name in metrics, as in `auc/cold-item`.
    pub fn name(self) -> &'static str {
        match self {
            Slice::ColdItem => "cold-item",
            Slice::ColdUser => "cold-user",
        }
    }
}

/// What a click model is trained on and asked.
#[derive(Clone, Debug, PartialEq)]
pub struct CtrInputs {
    /// Users and items, without semantic IDs.
    pub features: Features,
    /// Training impressions.
    pub train: Impressions,
    /// Impressions to choose the best epoch by.
    pub validation: Impressions,
    /// Impressions for the final figures.
    pub test: Impressions,
    seen_users: Vec<bool>,
    seen_items: Vec<bool>,
}

impl CtrInputs {
    /// The rows of each part in file order; of a split with cold items, test rows are of the
    /// other ones. A row's history is its user's newest `max_history` **training** clicks with a
    /// time strictly before the row's, so that neither a held-out row nor one at the same moment
    /// leaks.
    ///
    /// # Errors
    /// If the log has no labels, or a part is empty.
    pub fn new(data: &DataSet, split: &Split, max_history: usize) -> Result<CtrInputs> {
        CtrInputs::asking(data, split, max_history, |item| !split.is_cold(item))
    }

    /// The same with the rows of the cold items of `split` as test rows.
    ///
    /// # Errors
    /// As [`CtrInputs::new`].
    pub fn cold(data: &DataSet, split: &Split, max_history: usize) -> Result<CtrInputs> {
        CtrInputs::asking(data, split, max_history, |item| split.is_cold(item))
    }

    fn asking(
        data: &DataSet,
        split: &Split,
        max_history: usize,
        asked: impl Fn(u32) -> bool,
    ) -> Result<CtrInputs> {
        let log = data.interactions();
        require_labels(data)?;
        let features = Features::new(log.num_users(), data.items().len())
            .with_user_fields(fields::categorical(data.users())?)?
            .with_item_fields(fields::categorical(data.items())?)?
            .with_item_bags(fields::bags(data.items())?)?;
        let training = (0..log.len()).filter(|&row| split.part(row) == Part::Train);
        let (mut seen_users, mut seen_items) =
            (vec![false; log.num_users()], vec![false; data.items().len()]);
        for row in training.clone() {
            seen_users[log.users()[row] as usize] = true;
            seen_items[log.items()[row] as usize] = true;
        }
        // Training rows alone decide, so that no held-out time changes a training input.
        let units = match log.order_kind() {
            OrderKind::Timestamp => fields::units_per_second(training.map(|row| log.order()[row])),
            OrderKind::Position => None,
        };
        let part = |part, name| {
            let asked = |row| part != Part::Test || asked(log.items()[row]);
            let of_part = (0..log.len()).filter(|&row| split.part(row) == part);
            let rows: Vec<usize> = of_part.filter(|&row| asked(row)).collect();
            if rows.is_empty() {
                let message = format!("the {} split has no {name} row", split.kind());
                return Err(Error::data(data.folder(), message));
            }
            impressions(log, split, &rows, units, max_history)
        };
        Ok(CtrInputs {
            features,
            train: part(Part::Train, "training")?,
            validation: part(Part::Validation, "validation")?,
            test: part(Part::Test, "test")?,
            seen_users,
            seen_items,
        })
    }

    /// Whether each test row belongs to `slice`.
    pub fn in_slice(&self, slice: Slice) -> Vec<bool> {
        let (rows, seen) = match slice {
            Slice::ColdItem => (self.test.items(), &self.seen_items),
            Slice::ColdUser => (self.test.users(), &self.seen_users),
        };
        rows.iter().map(|&row| !seen[row as usize]).collect()
    }
}

/// Refuses a log in which every row is a click.
pub(crate) fn require_labels(data: &DataSet) -> Result<()> {
    if data.interactions().has_labels() {
        return Ok(());
    }
    let message = "interactions.parquet has no column `label`: every row is a click, and click \
                   prediction needs exposures (label 0) as well";
    Err(Error::data(data.folder(), message))
}

fn impressions(
    log: &Interactions,
    split: &Split,
    rows: &[usize],
    units: Option<i64>,
    max_history: usize,
) -> Result<Impressions> {
    let times: Vec<i64> = rows.iter().map(|&row| log.order()[row]).collect();
    let context = units.map_or(Ok(Vec::new()), |units| fields::clock(&times, units))?;
    Ok(Impressions::new(
        rows.iter().map(|&row| log.users()[row]).collect(),
        rows.iter().map(|&row| log.items()[row]).collect(),
        rows.iter().map(|&row| log.is_positive(row)).collect(),
        context,
        histories(log, split, rows, max_history)?,
    )?)
}

fn histories(log: &Interactions, split: &Split, rows: &[usize], most: usize) -> Result<Sequences> {
    let is_known = |row: &usize| split.part(*row) == Part::Train && log.is_positive(*row);
    // Each user's training clicks, oldest first.
    let clicks: Vec<Vec<usize>> = (0..log.num_users() as u32)
        .map(|user| log.rows_of(user).iter().map(|&row| row as usize).filter(is_known).collect())
        .collect();
    let mut offsets = vec![0];
    let mut items = Vec::new();
    for &row in rows {
        let own = &clicks[log.users()[row] as usize];
        let before = own.partition_point(|&click| log.order()[click] < log.order()[row]);
        let newest = &own[before.saturating_sub(most)..before];
        items.extend(newest.iter().map(|&click| log.items()[click]));
        offsets.push(items.len());
    }
    Ok(Sequences::new(offsets, items)?)
}
