//! Records of a Parquet table.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StringArray};

use super::{At, Record};
use crate::parquet_file::ParquetFile;
use crate::table::{Cell, TextSource, text_source};
use crate::{Error, Result, cast};

const CELL_TYPES: &str = "text, a list of texts or a number";

/// A column of a batch, as texts.
enum Column {
    Texts(StringArray),
    Numbers(StringArray),
    Lists(ListArray),
}

pub(super) fn visit(
    path: &Path,
    columns: Option<&[&str]>,
    visit: &mut dyn FnMut(&Record<'_>) -> Result<()>,
) -> Result<()> {
    let file = ParquetFile::open(path)?;
    let names = readable(&file, columns)?;
    for batch in file.batches(&names)? {
        let (start, batch) = batch?;
        let columns = names
            .iter()
            .map(|&name| {
                let array = batch.column_by_name(name).ok_or_else(|| {
                    Error::file(path, format!("the column `{name}` was not read"))
                })?;
                convert(&file, name, array)
            })
            .collect::<Result<Vec<_>>>()?;
        for at in 0..batch.num_rows() {
            let cells = names.iter().copied().zip(columns.iter().map(|column| column.cell(at)));
            visit(&Record { at: At::Row(path, start + at), cells: cells.collect() })?;
        }
    }
    Ok(())
}

/// The columns asked for, or all that are texts or numbers.
fn readable<'f>(file: &'f ParquetFile, columns: Option<&[&str]>) -> Result<Vec<&'f str>> {
    let Some(columns) = columns else {
        let fields = file.schema().fields().iter();
        let texts = fields.filter(|field| text_source(field.data_type()).is_some());
        return Ok(texts.map(|field| field.name().as_str()).collect());
    };
    columns
        .iter()
        .map(|column| {
            let field = file.require(column, "a column of the mapping")?;
            match text_source(field.data_type()) {
                Some(_) => Ok(field.name().as_str()),
                None => Err(file.wrong_type(field, CELL_TYPES)),
            }
        })
        .collect()
}

fn convert(file: &ParquetFile, name: &str, array: &ArrayRef) -> Result<Column> {
    let strings = || -> Result<StringArray> { file.cast(name, array, cast::to_strings) };
    match text_source(array.data_type()) {
        Some(TextSource::List) => Ok(Column::Lists(array.as_list::<i32>().clone())),
        Some(TextSource::Text) => Ok(Column::Texts(strings()?)),
        _ if array.data_type().is_numeric() => Ok(Column::Numbers(strings()?)),
        _ => Ok(Column::Texts(strings()?)),
    }
}

impl Column {
    fn cell(&self, at: usize) -> Cell<'_> {
        match self {
            Column::Texts(texts) if texts.is_valid(at) => Cell::Text(texts.value(at).into()),
            Column::Numbers(texts) if texts.is_valid(at) => Cell::Number(texts.value(at).into()),
            Column::Lists(lists) if lists.is_valid(at) => {
                let ends = lists.value_offsets();
                let values = lists.values().as_string::<i32>();
                let range = ends[at] as usize..ends[at + 1] as usize;
                let parts = range.filter(|&value| values.is_valid(value));
                Cell::List(parts.map(|value| values.value(value).into()).collect())
            }
            _ => Cell::Null,
        }
    }
}
