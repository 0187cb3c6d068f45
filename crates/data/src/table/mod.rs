//! Tables of users and items: ids and their columns as text.

mod arrow;
mod builder;
mod column;
mod parquet;

use std::path::{Path, PathBuf};

use das_core::{EntityIds, Side};

pub(crate) use arrow::id_array;
pub(crate) use builder::{Cell, TableBuilder, all_integers, typed_ids};
pub use column::{ColumnKind, TextColumn};
pub(crate) use parquet::{TextSource, is_embedding, text_source};

use crate::id_column::require_unique;
use crate::{Error, Result};

/// The users or the items: unique ids and any number of columns.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityTable {
    side: Side,
    /// Where the table was read from; messages name it.
    path: PathBuf,
    ids: EntityIds,
    columns: Vec<TextColumn>,
    /// Rows that stand in the file; rows after these are known from the log alone.
    described: usize,
}

impl EntityTable {
    /// Takes columns as long as `ids`; ids must be unique. `path` is what messages name.
    pub fn new(
        side: Side,
        path: &Path,
        ids: EntityIds,
        columns: Vec<TextColumn>,
    ) -> Result<EntityTable> {
        require_unique(path, side.id_column(), &ids)?;
        if let Some(column) = columns.iter().find(|column| column.len() != ids.len()) {
            let (name, found, expected) = (column.name(), column.len(), ids.len());
            let message = format!("column `{name}` has {found} rows, expected {expected}");
            return Err(Error::file(path, message));
        }
        let described = ids.len();
        Ok(EntityTable { side, path: path.to_path_buf(), ids, columns, described })
    }

    /// A table of ids known from a log alone: no column, no row in the file.
    pub(crate) fn undescribed(side: Side, path: &Path, ids: EntityIds) -> EntityTable {
        EntityTable { side, path: path.to_path_buf(), ids, columns: Vec::new(), described: 0 }
    }

    /// Reads the Parquet table at `path` with the id column of `side`.
    pub fn read_parquet(path: &Path, side: Side) -> Result<EntityTable> {
        parquet::read(path, side)
    }

    /// Which side the rows are of.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The file behind the table.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of each row.
    pub fn ids(&self) -> &EntityIds {
        &self.ids
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of rows, the first ones, that stand in the file. The others (users only) are known
    /// from the log alone and have no text in any column.
    pub fn described(&self) -> usize {
        self.described
    }

    /// The columns in file order, without the id.
    pub fn columns(&self) -> &[TextColumn] {
        &self.columns
    }

    /// The column `name`, if the table has it.
    pub fn column(&self, name: &str) -> Option<&TextColumn> {
        self.columns.iter().find(|column| column.name() == name)
    }

    /// The names of the columns, for messages.
    pub fn column_names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(TextColumn::name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    /// Replaces the ids by a longer column that begins with the same ones.
    pub(crate) fn with_ids(self, ids: EntityIds) -> EntityTable {
        EntityTable { ids, ..self }
    }
}
