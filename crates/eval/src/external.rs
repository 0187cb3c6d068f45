//! Semantic IDs of other tokenizers, brought into the order of a data set.

use std::path::Path;

use das_core::EntityIds;
use das_core::sid::SidTable;
use das_core::sid::files::SidFile;

use crate::{Error, Result};

/// The codes of `file`, one row for each of `entities` in their order. `path` is what messages
/// name. That codes are neither ragged nor out of range, and that no id of the file is repeated,
/// [`das_core::sid::files::read_any`] has checked.
///
/// # Errors
/// If an entity has no row, or the file has an id that the data set does not know.
pub fn align_sids(file: &SidFile, entities: &EntityIds, path: &Path) -> Result<SidTable> {
    let index = file.ids.index().map_err(|error| Error::ids(path, error.to_string()))?;
    let known = entities.index()?;
    let is_unknown = |&row: &usize| known.row_of(file.ids.get(row)).is_none();
    if let Some(row) = (0..file.ids.len()).find(is_unknown) {
        let id = file.ids.display(row);
        let message = format!("row {row}: id {id} is not in the data set");
        return Err(Error::ids(path, message));
    }
    let row_of = |entity: usize| index.row_of(entities.get(entity));
    let rows: Vec<Option<u32>> = (0..entities.len()).map(row_of).collect();
    let missing: Vec<usize> = (0..rows.len()).filter(|&entity| rows[entity].is_none()).collect();
    if let Some(&first) = missing.first() {
        return Err(Error::ids(
            path,
            format!(
                "no codes for id {} of the data set ({} of {} are missing)",
                entities.display(first),
                missing.len(),
                entities.len()
            ),
        ));
    }
    let codes = rows.iter().flatten().flat_map(|&row| file.table.row(row as usize).to_vec());
    Ok(SidTable::new(file.table.layout().clone(), codes.collect())?)
}
