//! ID spaces that are served no more.

use std::collections::BTreeSet;

use redb::{TableHandle, WriteTransaction};

use super::store::{Store, space_of};
use crate::error::Result;

/// ID spaces kept beside those that are served, so that an earlier run can come back with the IDs that were given
/// out in it.
const KEPT: usize = 8;

/// Notes which spaces are served now, and forgets the IDs given out in those that were served longest ago, so
/// that retraining every day does not fill the disk. Returns the spaces that it forgot.
pub(super) fn retire(store: &Store, served: &[&str]) -> Result<Vec<String>> {
    let transaction = store.write()?;
    let present = present(store, &transaction)?;
    let noted = store.noted_spaces(&transaction)?;
    // From the one served longest ago; a space that nobody noted is older than all.
    let not_noted = present.iter().filter(|space| !noted.contains(space));
    let mut order: Vec<String> = not_noted.chain(&noted).cloned().collect();
    order.retain(|space| present.contains(space) && !served.contains(&space.as_str()));
    let forgotten: Vec<String> = order.drain(..order.len().saturating_sub(KEPT)).collect();
    for table in transaction.list_tables().map_err(|error| store.fault(error))? {
        if space_of(table.name()).is_some_and(|space| forgotten.iter().any(|gone| gone == space)) {
            transaction.delete_table(table).map_err(|error| store.fault(error))?;
        }
    }
    order.extend(served.iter().map(ToString::to_string));
    store.note_spaces(&transaction, &order)?;
    transaction.commit().map_err(|error| store.fault(error))?;
    Ok(forgotten)
}

/// Spaces in which IDs were given out.
fn present(store: &Store, transaction: &WriteTransaction) -> Result<BTreeSet<String>> {
    let tables = transaction.list_tables().map_err(|error| store.fault(error))?;
    Ok(tables.filter_map(|table| space_of(table.name()).map(str::to_string)).collect())
}
