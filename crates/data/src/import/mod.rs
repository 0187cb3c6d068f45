//! Importers: foreign click logs into data-set folders.
//!
//! Each streams its source, holds the log as columns of numbers (its memory grows with the
//! number of interactions, not with the size of the text), and writes the folder through
//! [`crate::DataSetWriter`]: all of it or nothing. Ids become int64 where every one is the
//! canonical spelling of an integer, else strings.

mod amazon;
mod log;
mod movielens;
mod python;
mod tabular;

pub use amazon::{AmazonImport, amazon};
pub use movielens::{MovieLensImport, movielens};
pub use tabular::{EntitySource, LogMapping, OrderColumn, RatingRule, TabularImport, tabular};

use das_core::{EntityIds, Side};

use crate::Result;
use crate::table::{EntityTable, TableBuilder};
use crate::write::DataSetWriter;

/// What an importer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// Users of the log.
    pub users: usize,
    /// Items of the table.
    pub items: usize,
    /// Rows of the log.
    pub interactions: usize,
    /// Items of the log that the source has no description of; they have no text.
    pub undescribed_items: usize,
}

/// A table of ids alone, for a side that the source does not describe.
fn bare_table(side: Side, ids: EntityIds) -> Result<EntityTable> {
    EntityTable::new(side, "interactions".as_ref(), ids, Vec::new())
}

/// Writes the folder: the log, the items and, where the source has them, the users.
fn write(
    writer: DataSetWriter,
    log: log::LogBuilder,
    items: EntityTable,
    users: Option<EntityTable>,
) -> Result<ImportReport> {
    let user_ids = log.user_ids(users.as_ref().map(EntityTable::ids));
    let undescribed_items =
        (0..items.len()).filter(|&row| items.columns().iter().all(|c| c.is_blank(row))).count();
    let report = ImportReport {
        users: user_ids.len(),
        items: items.len(),
        interactions: log.len(),
        undescribed_items,
    };
    writer.write_interactions(&log.columns()?, &user_ids, items.ids())?;
    writer.write_table(&items)?;
    if let Some(users) = users {
        writer.write_table(&users)?;
    }
    writer.publish()?;
    Ok(report)
}
