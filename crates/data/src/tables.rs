//! Tables of users or items that stand alone, for encoding entities outside a data set.

use std::path::Path;

use das_core::Side;

use crate::embeddings::{EmbeddingMatrix, ViewVectors, Wanted, read_vectors};
use crate::id_column::require_unique;
use crate::parquet_file::ParquetFile;
use crate::source::{Format, Source};
use crate::table::{EntityTable, TableBuilder, all_integers, is_embedding};
use crate::{Error, Result};

/// Entities read from a file of their own.
#[derive(Debug)]
pub struct Entities {
    /// Ids and columns; [`crate::texts`] makes texts of them.
    pub table: EntityTable,
    /// Columns of vectors that the file (Parquet only) has.
    pub vectors: Vec<String>,
}

impl Entities {
    /// The vectors of the only column of them, if there is one; one row an entity.
    ///
    /// # Errors
    /// Two such columns, or a vector that is missing or malformed.
    pub fn embeddings(&self) -> Result<Option<EmbeddingMatrix>> {
        if self.vectors.is_empty() {
            return Ok(None);
        }
        let path = self.table.path();
        let vectors = read_vectors(path, self.table.side(), Wanted::Only)?;
        Ok(Some(EmbeddingMatrix::in_file_order(path, vectors.matrix)))
    }

    /// The vectors of column `name`, if there is one; entities may lack theirs.
    ///
    /// # Errors
    /// A malformed vector, or a column without any.
    pub fn view(&self, name: &str) -> Result<Option<ViewVectors>> {
        if !self.vectors.iter().any(|column| column == name) {
            return Ok(None);
        }
        ViewVectors::open(self.table.path(), name, &self.table).map(Some)
    }
}

/// Reads a table of `side` from Parquet, CSV or JSON lines, told by the extension. The id column
/// is `item_id` or `user_id`.
pub fn read_entities(path: &Path, side: Side) -> Result<Entities> {
    match Format::of(path)? {
        Format::Parquet => read_parquet(path, side),
        format => {
            let builder = read_records(&Source::new(path, format), side, side.id_column())?;
            let integers = all_integers(builder.ids());
            Ok(Entities { table: builder.finish(path, integers)?, vectors: Vec::new() })
        }
    }
}

fn read_parquet(path: &Path, side: Side) -> Result<Entities> {
    let table = EntityTable::read_parquet(path, side)?;
    let file = ParquetFile::open(path)?;
    let fields = file.schema().fields().iter();
    let vectors = fields.filter(|f| is_embedding(f.data_type())).map(|f| f.name().clone());
    Ok(Entities { table, vectors: vectors.collect() })
}

/// Collects the records of an entity table whose ids stand in `id_column`.
pub(crate) fn read_records(source: &Source, side: Side, id_column: &str) -> Result<TableBuilder> {
    let mut builder = TableBuilder::new(side);
    source.visit(None, &mut |record| {
        let id = record.require(id_column)?;
        builder.begin(id);
        for (name, cell) in record.cells.iter().filter(|(name, _)| *name != id_column) {
            builder.set(name, cell);
        }
        Ok(())
    })?;
    if builder.ids().is_empty() {
        return Err(Error::file(&source.path, "the table has no rows"));
    }
    require_unique(&source.path, id_column, &das_core::EntityIds::Text(builder.ids().to_vec()))?;
    Ok(builder)
}
