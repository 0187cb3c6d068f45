//! Importers: foreign click logs into data-set folders.
//!
//! Each streams its source, holds the log as columns of numbers (its memory grows with the
//! number of interactions, not with the size of the text), and writes the folder through
//! [`crate::DataSetWriter`]: all of it or nothing. Ids become int64 where every one is the
//! canonical spelling of an integer, else strings.

mod amazon;
mod entities;
mod html;
mod log;
mod movielens;
mod python;
mod tabular;
mod times;

use std::path::Path;

use das_core::Side;

pub use amazon::{AmazonImport, amazon};
pub use movielens::{MovieLensImport, movielens};
pub use tabular::{EntitySource, LogMapping, OrderColumn, RatingRule, TabularImport, tabular};

use self::entities::Resolved;
use self::log::LogBuilder;
use crate::table::TableBuilder;
use crate::write::DataSetWriter;
use crate::{Error, Result};

/// What an importer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// Users, of the log or the users table.
    pub users: usize,
    /// Items, of the log or the items table.
    pub items: usize,
    /// Rows of the log.
    pub interactions: usize,
    /// Items of the log that the source does not describe; they have no text.
    pub undescribed_items: usize,
}

/// Writes the folder: the log, the items and, where the source has them, the users. `source` is
/// what errors name.
fn write(
    writer: DataSetWriter,
    source: &Path,
    log: LogBuilder,
    items: Option<TableBuilder>,
    users: Option<TableBuilder>,
) -> Result<ImportReport> {
    if log.is_empty() {
        return Err(Error::file(source, "there are no interactions to import"));
    }
    let users = Resolved::new(source, Side::User, log.user_names(), users)?;
    let items = Resolved::new(source, Side::Item, log.item_names(), items)?;
    let columns = log.finish(&users.rows, &items.rows).map_err(|m| Error::file(source, m))?;
    writer.write_interactions(&columns, &users.ids, &items.ids)?;
    for table in users.table.iter().chain(&items.table) {
        writer.write_table(table)?;
    }
    writer.publish()?;
    Ok(ImportReport {
        users: users.ids.len(),
        items: items.ids.len(),
        interactions: columns.users.len(),
        undescribed_items: items.undescribed,
    })
}
