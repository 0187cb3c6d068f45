//! What has been written about items and users, for example by a language model: a table a side,
//! `item_descriptions.parquet` and `user_descriptions.parquet`, of ids and one text each.

use std::io;
use std::path::Path;

use das_core::{EntityIds, Side, files};
use parquet::arrow::ArrowWriter;

use crate::table::{EntityTable, TextColumn};
use crate::{Error, Result};

/// The column of the texts; catalogues often have a `description` of their own.
const COLUMN: &str = "generated_description";

/// The name of a side's file in a data-set folder.
pub fn descriptions_file(side: Side) -> &'static str {
    match side {
        Side::User => "user_descriptions.parquet",
        Side::Item => "item_descriptions.parquet",
    }
}

/// Writes one text an id to `path`, in place of what stood there.
pub fn write(path: &Path, side: Side, ids: &EntityIds, texts: &[String]) -> Result<()> {
    let column = TextColumn::from_texts(COLUMN, texts);
    let batch = EntityTable::new(side, path, ids.clone(), vec![column])?.to_batch()?;
    let written = files::write_atomic(path, |out| {
        let mut writer =
            ArrowWriter::try_new(out, batch.schema(), None).map_err(io::Error::other)?;
        writer.write(&batch).map_err(io::Error::other)?;
        writer.close().map(drop).map_err(io::Error::other)
    });
    Ok(written?)
}

/// Reads the texts of `ids`, in their order; rows about others are passed over.
///
/// # Errors
/// A file that is no such table, or that misses an id.
pub fn read(path: &Path, side: Side, ids: &EntityIds) -> Result<Vec<String>> {
    let table = EntityTable::read_parquet(path, side)?;
    let Some(column) = table.column(COLUMN) else {
        let present = table.column_names();
        let message = format!("expected a column `{COLUMN}` of texts; columns present: {present}");
        return Err(Error::file(path, message));
    };
    let index = table.ids().index()?;
    (0..ids.len())
        .map(|row| {
            let found = index.row_of(ids.get(row)).ok_or_else(|| {
                let (id, column) = (ids.display(row), side.id_column());
                Error::file(path, format!("expected a description of {column} {id}, found none"))
            })?;
            Ok(column.first(found as usize).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_by_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(descriptions_file(Side::Item));
        let ids = EntityIds::Int(vec![7, 3, 9]);
        let texts = ["A lipstick.", "", "Zwei Zeilen,\nmit „Zeichen“."].map(String::from);
        write(&path, Side::Item, &ids, &["old".into(), "old".into(), "old".into()]).unwrap();
        write(&path, Side::Item, &ids, &texts).unwrap();
        let found = read(&path, Side::Item, &EntityIds::Int(vec![9, 7])).unwrap();
        assert_eq!(found, [texts[2].clone(), texts[0].clone()]);
        let missing = read(&path, Side::Item, &EntityIds::Int(vec![9, 4])).unwrap_err().to_string();
        assert!(missing.contains("item_id 4") && missing.contains("item_descriptions.parquet"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
