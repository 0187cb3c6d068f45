//! Tables of users or items that stand alone, for encoding entities outside a data set.

use std::path::Path;

use das_core::Side;

use crate::embeddings::{EmbeddingMatrix, read_vectors};
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
    /// The vectors, where the file (Parquet only) has a column of them; one row an entity.
    pub embeddings: Option<EmbeddingMatrix>,
}

/// Reads a table of `side` from Parquet, CSV or JSON lines, told by the extension. The id column
/// is `item_id` or `user_id`.
pub fn read_entities(path: &Path, side: Side) -> Result<Entities> {
    match Format::of(path)? {
        Format::Parquet => read_parquet(path, side),
        format => {
            let builder = read_records(&Source::new(path, format), side, side.id_column())?;
            let integers = all_integers(builder.ids());
            Ok(Entities { table: builder.finish(path, integers)?, embeddings: None })
        }
    }
}

fn read_parquet(path: &Path, side: Side) -> Result<Entities> {
    let table = EntityTable::read_parquet(path, side)?;
    let file = ParquetFile::open(path)?;
    let embeddings = if file.schema().fields().iter().any(|f| is_embedding(f.data_type())) {
        let vectors = read_vectors(path, side)?;
        Some(EmbeddingMatrix::in_file_order(path, vectors.matrix))
    } else {
        None
    };
    Ok(Entities { table, embeddings })
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
