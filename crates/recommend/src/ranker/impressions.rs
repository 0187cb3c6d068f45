//! Items shown to users, with what is known at that moment.

use super::features::{CategoricalField, Features, check_fields};
use crate::digest::InputDigest;
use crate::{Error, Result, Sequences};

/// Rows of an impression log.
#[derive(Clone, Debug, PartialEq)]
pub struct Impressions {
    users: Vec<u32>,
    items: Vec<u32>,
    labels: Vec<bool>,
    context: Vec<CategoricalField>,
    histories: Sequences,
}

impl Impressions {
    /// One row for each pair of `users` and `items`: the `labels` say whether it was clicked,
    /// each `context` field has one value a row (hour of day, …), and `histories` holds the items
    /// that the user clicked strictly before, oldest first; that they come from training rows
    /// alone is the caller's duty.
    ///
    /// # Errors
    /// If the lengths differ or two context fields have one name.
    pub fn new(
        users: Vec<u32>,
        items: Vec<u32>,
        labels: Vec<bool>,
        context: Vec<CategoricalField>,
        histories: Sequences,
    ) -> Result<Impressions> {
        let rows = users.len();
        let lengths =
            [("items", items.len()), ("labels", labels.len()), ("histories", histories.len())];
        if let Some((what, found)) = lengths.into_iter().find(|&(_, length)| length != rows) {
            return Err(Error::Invalid(format!("impressions: {rows} users, but {found} {what}")));
        }
        if rows > u32::MAX as usize {
            return Err(Error::Invalid(format!("{rows} impressions, expected less than 2^32")));
        }
        check_fields("impression", rows, &context)?;
        Ok(Impressions { users, items, labels, context, histories })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The user of every row.
    pub fn users(&self) -> &[u32] {
        &self.users
    }

    /// The candidate item of every row.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// Whether each row was clicked.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// The context fields.
    pub fn context(&self) -> &[CategoricalField] {
        &self.context
    }

    /// The items that each row's user clicked before it, oldest first.
    pub fn histories(&self) -> &Sequences {
        &self.histories
    }

    pub(super) fn digest(&self, digest: &mut InputDigest) {
        digest.column(&self.users);
        digest.column(&self.items);
        let labels: Vec<u8> = self.labels.iter().map(|&label| u8::from(label)).collect();
        digest.bytes(&labels);
        self.context.iter().for_each(|field| field.digest(digest));
        digest.sequences(&self.histories);
    }

    /// Checks that every user and item has a row in `features`.
    pub(super) fn check(&self, features: &Features) -> Result<()> {
        let columns = [
            ("user", &self.users[..], features.num_users),
            ("item", &self.items, features.num_items),
            ("history item", self.histories.items(), features.num_items),
        ];
        for (what, ids, count) in columns {
            if let Some(at) = ids.iter().position(|&id| id as usize >= count) {
                return Err(Error::Invalid(format!(
                    "impressions: {what} {at} is {}, but the features have {count}",
                    ids[at]
                )));
            }
        }
        Ok(())
    }

    /// Checks that both labels occur, without which nothing can be learned or compared.
    pub(super) fn check_labels(&self, part: &str) -> Result<()> {
        let clicks = self.labels.iter().filter(|&&label| label).count();
        if clicks > 0 && clicks < self.len() {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{part} impressions: {clicks} of {} rows are clicks, expected both clicks and \
             impressions without a click",
            self.len()
        )))
    }
}
