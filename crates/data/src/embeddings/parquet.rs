//! Vectors from Parquet: an id column and one list column of floats, streamed.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ListArray};
use arrow_schema::{DataType, Field};
use das_core::{EntityIds, MappedMatrix, Side};

use super::fault;
use super::spool::Spool;
use crate::id_column;
use crate::parquet_file::{ParquetFile, type_name};
use crate::table::is_embedding;
use crate::{Error, Result, cast};

/// Rows decoded at a time: 1,024 vectors of width 1,024 are 4 MiB.
const BATCH_ROWS: usize = 1024;

const VECTOR_TYPES: &str = "one list of float32 or float64 a row";

/// Which column is read.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// The only one of vectors; every row has one.
    Only,
    /// The one of that name, or else the only one; rows without a vector are left out.
    View(&'a str),
}

/// Checked vectors and the ids of their rows, which are unique.
pub(crate) struct Vectors {
    pub(crate) ids: EntityIds,
    pub(crate) matrix: MappedMatrix,
}

/// Reads the vectors of `path` from a column of float lists.
pub(crate) fn read_vectors(path: &Path, side: Side, wanted: Wanted<'_>) -> Result<Vectors> {
    let file = ParquetFile::open(path)?;
    let ids = id_column::read_unique(&file, side.id_column())?;
    if ids.is_empty() {
        return Err(Error::file(path, "the table has no rows"));
    }
    let (name, sparse) = match wanted {
        Wanted::View(name) if file.schema().index_of(name).is_ok() => (name.to_owned(), true),
        Wanted::View(_) => (only_list_column(&file, side)?, true),
        Wanted::Only => (only_list_column(&file, side)?, false),
    };
    let (matrix, rows) = stream(&file, &name, &ids, sparse)?;
    Ok(Vectors { ids: if sparse { ids.select(&rows) } else { ids }, matrix })
}

fn only_list_column(file: &ParquetFile, side: Side) -> Result<String> {
    let fields = file.schema().fields();
    let lists: Vec<_> = fields.iter().filter(|f| is_embedding(f.data_type())).collect();
    let others: Vec<_> = fields.iter().filter(|f| f.name() != side.id_column()).collect();
    match (lists.as_slice(), others.as_slice()) {
        ([only], _) => Ok(only.name().clone()),
        ([first, second, ..], _) => {
            let (first, second) = (first.name(), second.name());
            let message = format!("two columns of vectors, `{first}` and `{second}`, expected one");
            Err(Error::file(file.path(), message))
        }
        // It is clear which column was meant, and its type is the fault.
        ([], [only]) => Err(file.wrong_type(only, VECTOR_TYPES)),
        ([], _) => {
            let present = fields.iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("no column holds {VECTOR_TYPES}; columns present: {present}");
            Err(Error::file(file.path(), message))
        }
    }
}

/// The vectors of a column, and, where it may be `sparse`, the rows that have one.
fn stream(
    file: &ParquetFile,
    name: &str,
    ids: &EntityIds,
    sparse: bool,
) -> Result<(MappedMatrix, Vec<u32>)> {
    let path = file.path();
    let at_row = |row: usize, message: String| {
        Error::row(path, row, format!("id {}: column `{name}`: {message}", ids.display(row)))
    };
    let mut spool: Option<Spool> = None;
    let mut rows = Vec::new();
    for batch in file.batches_of(&[name], BATCH_ROWS)? {
        let (start, batch) = batch?;
        let lists = file.float_lists(name, &batch)?;
        for at in 0..lists.len() {
            let row = start + at;
            if row >= ids.len() {
                return Err(Error::file(path, "the columns differ in length"));
            }
            if sparse {
                if lists.is_null(at) {
                    continue;
                }
                rows.push(row as u32);
            }
            let vector = vector_at(&lists, at).map_err(|message| at_row(row, message))?;
            let spool = match &mut spool {
                Some(spool) => spool,
                None if vector.is_empty() => {
                    return Err(at_row(row, "the vector is empty".to_owned()));
                }
                None => spool.insert(Spool::new(path, vector.len())?),
            };
            if vector.len() != spool.dim() {
                let (found, expected) = (vector.len(), spool.dim());
                let message = format!("{found} values, expected {expected} as in the rows before");
                return Err(at_row(row, message));
            }
            if let Some(message) = fault(vector) {
                return Err(at_row(row, message));
            }
            spool.push(path, vector)?;
        }
    }
    match spool {
        Some(spool) => Ok((spool.finish(path)?, rows)),
        None => Err(Error::file(path, format!("column `{name}`: no row has a vector"))),
    }
}

/// The vector of a row of a list column whose values are float32.
fn vector_at(lists: &ListArray, at: usize) -> Result<&[f32], String> {
    if lists.is_null(at) {
        return Err("null, expected a vector".to_owned());
    }
    let ends = lists.value_offsets();
    let (first, last) = (ends[at] as usize, ends[at + 1] as usize);
    let values = lists.values().as_primitive::<Float32Type>();
    if values.null_count() > 0
        && let Some(null) = (first..last).find(|&value| values.is_null(value))
    {
        return Err(format!("value {} of the vector is null", null - first));
    }
    Ok(&values.values()[first..last])
}

impl ParquetFile {
    /// A column of lists of floats, their values as float32.
    fn float_lists(&self, name: &str, batch: &arrow_array::RecordBatch) -> Result<ListArray> {
        let array = batch
            .column_by_name(name)
            .ok_or_else(|| Error::file(self.path(), format!("the column `{name}` was not read")))?;
        let lists = array.as_list_opt::<i32>().ok_or_else(|| {
            let found = type_name(array.data_type());
            Error::file(self.path(), format!("column `{name}`: {found}, expected lists"))
        })?;
        let values = self.cast(name, lists.values(), cast::to_float32)?;
        let (_, offsets, _, nulls) = lists.clone().into_parts();
        let element = Field::new("element", DataType::Float32, true);
        Ok(ListArray::new(element.into(), offsets, Arc::new(values), nulls))
    }
}
