//! Entity tables from Parquet.

use std::path::Path;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Field};
use das_core::Side;

use super::{ColumnKind, EntityTable, TextColumn};
use crate::id_column;
use crate::parquet_file::ParquetFile;
use crate::{Error, Result, cast};

/// How a Parquet column is turned into text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextSource {
    Text,
    List,
    Float,
    /// Integers, truth values, dates and times, by their usual spelling.
    Other,
}

impl TextSource {
    fn kind(self) -> ColumnKind {
        match self {
            TextSource::Text => ColumnKind::Text,
            TextSource::List => ColumnKind::List,
            TextSource::Float | TextSource::Other => ColumnKind::Number,
        }
    }
}

/// How a column of this type becomes text; `None` for types that are not text (vectors,
/// structs, bytes).
pub(crate) fn text_source(data_type: &DataType) -> Option<TextSource> {
    match data_type {
        DataType::Utf8 => Some(TextSource::Text),
        DataType::List(of) if *of.data_type() == DataType::Utf8 => Some(TextSource::List),
        data_type if data_type.is_floating() => Some(TextSource::Float),
        data_type if data_type.is_integer() => Some(TextSource::Other),
        DataType::Boolean
        | DataType::Date32
        | DataType::Timestamp(..)
        | DataType::Decimal128(..) => Some(TextSource::Other),
        _ => None,
    }
}

/// Whether a column of this type holds one vector a row.
pub(crate) fn is_embedding(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _) => {
            of.data_type().is_floating()
        }
        _ => false,
    }
}

pub(super) fn read(path: &Path, side: Side) -> Result<EntityTable> {
    let file = ParquetFile::open(path)?;
    let ids = id_column::read(&file, side.id_column())?;
    if ids.is_empty() {
        return Err(Error::file(path, "the table has no rows"));
    }
    let texts: Vec<(&Field, TextSource)> = file
        .schema()
        .fields()
        .iter()
        .filter(|field| field.name() != side.id_column())
        .filter_map(|field| Some((field.as_ref(), text_source(field.data_type())?)))
        .collect();
    let columns = texts
        .into_iter()
        .map(|(field, source)| read_column(&file, field.name(), source))
        .collect::<Result<_>>()?;
    EntityTable::new(side, path, ids, columns)
}

fn read_column(file: &ParquetFile, name: &str, source: TextSource) -> Result<TextColumn> {
    let mut column = TextColumn::new(name, source.kind());
    for batch in file.batches(&[name])? {
        let (_, batch) = batch?;
        let array = batch
            .column_by_name(name)
            .ok_or_else(|| Error::file(file.path(), format!("the column `{name}` was not read")))?;
        append(&mut column, file, array, source)?;
    }
    Ok(column)
}

fn append(
    column: &mut TextColumn,
    file: &ParquetFile,
    array: &ArrayRef,
    source: TextSource,
) -> Result<()> {
    match source {
        TextSource::List => {
            for row in array.as_list::<i32>().iter() {
                match row {
                    Some(parts) => column.push(parts.as_string::<i32>().iter().flatten()),
                    None => column.push([]),
                }
            }
        }
        TextSource::Float => {
            for value in &file.cast(column.name(), array, cast::to_float64)? {
                let text = value.filter(|v| !v.is_nan()).map(|v| v.to_string());
                column.push(text.as_deref());
            }
        }
        TextSource::Text | TextSource::Other => {
            for value in &file.cast(column.name(), array, cast::to_strings)? {
                column.push(value);
            }
        }
    }
    Ok(())
}
