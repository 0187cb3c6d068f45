//! Ready-made vectors of one view, such as images or sound: not every entity has one.

use std::path::{Path, PathBuf};

use das_core::{MappedMatrix, RowMatrix};

use super::{Vectors, Wanted, fault, find_rows, ids_beside, ids_of_rows, npy, read_vectors};
use crate::table::EntityTable;
use crate::{Error, Result};

/// Vectors of a view, memory-mapped and found by entity.
#[derive(Debug)]
pub struct ViewVectors {
    matrix: MappedMatrix,
    /// The row of each entity, `None` where it has no vector.
    rows: Vec<Option<u32>>,
    path: PathBuf,
}

impl ViewVectors {
    /// Opens the vectors of `path` for the entities of `table`.
    ///
    /// A Parquet file holds ids and the list column `name`, or else one list column; an entity lacks
    /// a vector where the list is null or its id is not there. An `.npy` file `FILE.npy` has its ids
    /// in `FILE_ids.parquet`, or a row for each entity in the order of the table; there a row of
    /// zeros is a missing vector.
    ///
    /// # Errors
    /// A file or column that is missing or of another kind, vectors that differ in width or are not
    /// finite; a file with no vector of any entity.
    pub fn open(path: &Path, name: &str, table: &EntityTable) -> Result<ViewVectors> {
        let is_npy = path.extension().is_some_and(|extension| extension == "npy");
        let found = if is_npy { from_npy(path, table)? } else { from_parquet(path, name, table)? };
        if found.rows.iter().all(Option::is_none) {
            let message =
                format!("holds no vector of any {}, expected those of view `{name}`", table.side());
            return Err(Error::file(path, message));
        }
        Ok(found)
    }

    /// Width of the vectors.
    pub fn dim(&self) -> usize {
        self.matrix.dim()
    }

    /// The vector of an entity, which is neither empty nor all zero.
    pub fn get(&self, entity: usize) -> Option<&[f32]> {
        self.rows[entity].map(|row| self.matrix.row(row as usize))
    }

    /// The file that the vectors come from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn from_parquet(path: &Path, name: &str, table: &EntityTable) -> Result<ViewVectors> {
    let Vectors { ids, matrix } = read_vectors(path, table.side(), Wanted::View(name))?;
    let rows = find_rows(path, &ids, table)?;
    Ok(ViewVectors { matrix, rows, path: path.to_path_buf() })
}

fn from_npy(path: &Path, table: &EntityTable) -> Result<ViewVectors> {
    let matrix = npy::open(path)?;
    let ids_path = ids_beside(path);
    let ids = ids_of_rows(path, &ids_path, matrix.rows(), table.side())?;
    let mut rows = if let Some(ids) = ids {
        find_rows(&ids_path, &ids, table)?
    } else if matrix.rows() == table.len() {
        (0..table.len() as u32).map(Some).collect()
    } else {
        let message = format!(
            "{} rows, expected {} (one a {side}); where only some have a vector, name them in {}",
            matrix.rows(),
            table.len(),
            ids_path.display(),
            side = table.side(),
        );
        return Err(Error::file(path, message));
    };
    for (entity, found) in rows.iter_mut().enumerate() {
        let Some(row) = *found else { continue };
        let vector = matrix.row(row as usize);
        if vector.iter().all(|&value| value == 0.0) {
            *found = None;
        } else if let Some(message) = fault(vector) {
            let id = table.ids().display(entity);
            return Err(Error::row(path, row as usize, format!("id {id}: {message}")));
        }
    }
    Ok(ViewVectors { matrix, rows, path: path.to_path_buf() })
}
