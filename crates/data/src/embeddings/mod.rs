//! Ready-made content vectors beside a data set, memory-mapped.
//!
//! `item_embeddings.parquet` (or `user_embeddings.parquet`) holds the id column and one list
//! column of floats. `item_embeddings.npy` holds a 2-D array; its rows are named by the id
//! column of `item_embeddings_ids.parquet`, or, without that file, stand in the order of
//! `items.parquet`. A file may hold more entities than the data set, never fewer.

mod npy;
mod parquet;
mod spool;
mod view;

use std::ops::Range;
use std::path::{Path, PathBuf};

use das_core::{EntityIds, MappedMatrix, RowMatrix, Side};
use rayon::prelude::*;

pub(crate) use parquet::{Vectors, Wanted, read_vectors};
pub use view::ViewVectors;

use crate::id_column::{self, IdKind};
use crate::parquet_file::ParquetFile;
use crate::table::EntityTable;
use crate::{Error, Result};

/// Content vectors of one side, one row an entity in entity order.
///
/// Rows stay where the file has them and are found through an index; nothing is copied.
#[derive(Debug)]
pub struct EmbeddingMatrix {
    matrix: MappedMatrix,
    /// The file row of each entity, `None` where they agree.
    rows: Option<Vec<u32>>,
    path: PathBuf,
    /// Whether all rows were found sound on opening.
    checked: bool,
}

impl EmbeddingMatrix {
    /// The file that the vectors come from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens an `.npy` file for the entities of `table`, to be read once from end to end. Its rows
    /// are named by the ids in `FILE_ids.parquet`, if that is there, or stand in the order of the
    /// table. They are checked as they are read ([`RowMatrix::enter`]), not before.
    ///
    /// # Errors
    /// A file that is no such array, or has no row for an entity.
    pub fn in_passing(path: &Path, table: &EntityTable) -> Result<EmbeddingMatrix> {
        open_npy(path, &ids_beside(path), table, Check::Later)
    }

    /// Sound rows of a file in its own order.
    pub(crate) fn in_file_order(path: &Path, matrix: MappedMatrix) -> EmbeddingMatrix {
        EmbeddingMatrix { matrix, rows: None, path: path.to_path_buf(), checked: true }
    }
}

impl RowMatrix for EmbeddingMatrix {
    fn rows(&self) -> usize {
        self.rows.as_ref().map_or(self.matrix.rows(), Vec::len)
    }

    fn dim(&self) -> usize {
        self.matrix.dim()
    }

    fn row(&self, row: usize) -> &[f32] {
        self.matrix.row(self.rows.as_ref().map_or(row, |rows| rows[row] as usize))
    }

    fn consecutive(&self, rows: Range<usize>) -> Option<&[f32]> {
        if self.rows.is_some() {
            return None;
        }
        self.matrix.consecutive(rows)
    }

    fn enter(&self, rows: Range<usize>) -> das_core::Result<()> {
        if self.rows.is_none() {
            self.matrix.enter(rows.clone())?;
        }
        if self.checked {
            return Ok(());
        }
        let found = rows
            .into_par_iter()
            .find_map_first(|row| fault(self.row(row)).map(|message| (row, message)));
        found.map_or(Ok(()), |(row, message)| {
            let path = self.path.clone();
            Err(das_core::Error::Format { path, message: format!("row {row}: {message}") })
        })
    }

    fn leave(&self, rows: Range<usize>) {
        if self.rows.is_none() {
            self.matrix.leave(rows);
        }
    }
}

/// When the rows of a file are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    Now,
    Later,
}

/// The names under which a data-set folder may hold the embeddings of a side: vectors as
/// Parquet, vectors as `.npy`, ids of the `.npy` rows.
pub(crate) fn file_names(side: Side) -> [String; 3] {
    ["_embeddings.parquet", "_embeddings.npy", "_embeddings_ids.parquet"]
        .map(|suffix| format!("{side}{suffix}"))
}

/// Opens the embeddings of the side of `table`, if `folder` has them.
pub(crate) fn open(folder: &Path, table: &EntityTable) -> Result<Option<EmbeddingMatrix>> {
    let [parquet, npy, ids] = file_names(table.side()).map(|name| folder.join(name));
    match (parquet.exists(), npy.exists()) {
        (false, false) if ids.exists() => {
            Err(Error::file(&ids, format!("ids of vectors, but there is no {}", npy.display())))
        }
        (false, false) => Ok(None),
        (true, true) => {
            let message = format!("two sources of vectors: {} is there as well", npy.display());
            Err(Error::file(&parquet, message))
        }
        (true, false) => {
            let Vectors { ids, matrix } = read_vectors(&parquet, table.side(), Wanted::Only)?;
            aligned(&parquet, &parquet, matrix, &ids, table).map(Some)
        }
        (false, true) => open_npy(&npy, &ids, table, Check::Now).map(Some),
    }
}

fn open_npy(
    path: &Path,
    ids_path: &Path,
    table: &EntityTable,
    check: Check,
) -> Result<EmbeddingMatrix> {
    let matrix = npy::open(path)?;
    if let Some(ids) = ids_of_rows(path, ids_path, matrix.rows(), table.side())? {
        if check == Check::Now {
            npy::check_rows(path, &matrix, &ids)?;
        }
        let aligned = aligned(path, ids_path, matrix, &ids, table)?;
        return Ok(EmbeddingMatrix { checked: check == Check::Now, ..aligned });
    }
    if matrix.rows() != table.len() {
        let message = format!(
            "{} rows, expected {} (one a {side}); where rows stand in another order, name them \
             in {}",
            matrix.rows(),
            table.len(),
            ids_path.display(),
            side = table.side(),
        );
        return Err(Error::file(path, message));
    }
    if check == Check::Now {
        npy::check_rows(path, &matrix, table.ids())?;
    }
    let checked = check == Check::Now;
    Ok(EmbeddingMatrix { checked, ..EmbeddingMatrix::in_file_order(path, matrix) })
}

/// The file that names the rows of an `.npy` file, where it is there.
fn ids_beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_ids.parquet"))
}

/// The ids of the `rows` rows of the file at `path`, if the one at `ids_path` is there.
fn ids_of_rows(path: &Path, ids_path: &Path, rows: usize, side: Side) -> Result<Option<EntityIds>> {
    if !ids_path.exists() {
        return Ok(None);
    }
    let ids = id_column::read_unique(&ParquetFile::open(ids_path)?, side.id_column())?;
    if ids.len() != rows {
        let message = format!("{} ids for the {rows} rows of {}", ids.len(), path.display());
        return Err(Error::file(ids_path, message));
    }
    Ok(Some(ids))
}

/// Finds the row of each entity of `table` among `ids`, which `ids_path` holds.
fn aligned(
    path: &Path,
    ids_path: &Path,
    matrix: MappedMatrix,
    ids: &EntityIds,
    table: &EntityTable,
) -> Result<EmbeddingMatrix> {
    let rows = (0..)
        .zip(find_rows(ids_path, ids, table)?)
        .map(|(row, found)| {
            found.ok_or_else(|| {
                let (name, id) = (table.side().id_column(), table.ids().display(row));
                Error::file(ids_path, format!("no vector for {name} {id}"))
            })
        })
        .collect::<Result<Vec<u32>>>()?;
    let in_order = rows.len() == matrix.rows() && rows.iter().zip(0..).all(|(&row, at)| row == at);
    let rows = (!in_order).then_some(rows);
    Ok(EmbeddingMatrix { rows, ..EmbeddingMatrix::in_file_order(path, matrix) })
}

/// Where each entity of `table` stands among `ids`, which `ids_path` holds.
fn find_rows(ids_path: &Path, ids: &EntityIds, table: &EntityTable) -> Result<Vec<Option<u32>>> {
    let name = table.side().id_column();
    if IdKind::of_ids(ids) != IdKind::of_ids(table.ids()) {
        let (expected, found) = (table.ids().type_name(), ids.type_name());
        let message = format!(
            "column `{name}`: expected {expected}, as in {}, found {found}",
            table.path().display()
        );
        return Err(Error::file(ids_path, message));
    }
    let index =
        ids.index().map_err(|error| Error::file(ids_path, format!("column `{name}`: {error}")))?;
    Ok((0..table.len()).map(|row| index.row_of(table.ids().get(row))).collect())
}

/// What is wrong with a vector, if anything.
fn fault(vector: &[f32]) -> Option<String> {
    if let Some(at) = vector.iter().position(|value| !value.is_finite()) {
        return Some(format!(
            "value {at} of the vector is {}, expected a finite number",
            vector[at]
        ));
    }
    vector.iter().all(|&value| value == 0.0).then(|| "the vector is all zero".to_owned())
}
