//! Entity tables as Arrow columns, for writing.

use std::sync::Arc;

use arrow_array::builder::{LargeListBuilder, LargeStringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, LargeStringArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use das_core::EntityIds;

use super::{ColumnKind, EntityTable, TextColumn};
use crate::{Error, Result};

impl EntityTable {
    /// The table as one batch: the id column first, numbers as int64 or float64.
    pub(crate) fn to_batch(&self) -> Result<RecordBatch> {
        let rows = self.described;
        let ids: Vec<u32> = (0..rows as u32).collect();
        let mut fields = Vec::with_capacity(self.columns.len() + 1);
        let mut arrays = Vec::with_capacity(fields.capacity());
        let ids = id_array(&self.ids, &ids);
        fields.push(Field::new(self.side.id_column(), ids.data_type().clone(), false));
        arrays.push(ids);
        for column in &self.columns {
            let array = column_array(column);
            fields.push(Field::new(column.name(), array.data_type().clone(), true));
            arrays.push(array);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|error| Error::file(&self.path, error.to_string()))
    }
}

/// The ids of `rows` as an array of their own type.
pub(crate) fn id_array(ids: &EntityIds, rows: &[u32]) -> ArrayRef {
    match ids {
        EntityIds::Int(ids) => {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|&row| ids[row as usize])))
        }
        EntityIds::Text(ids) => Arc::new(LargeStringArray::from_iter_values(
            rows.iter().map(|&row| ids[row as usize].as_str()),
        )),
    }
}

fn column_array(column: &TextColumn) -> ArrayRef {
    match column.kind() {
        ColumnKind::Text => text_array(column),
        ColumnKind::List => list_array(column),
        ColumnKind::Number => number_array(column),
    }
}

fn text_array(column: &TextColumn) -> ArrayRef {
    let rows = (0..column.len()).map(|row| column.parts(row).next());
    Arc::new(rows.collect::<LargeStringArray>())
}

fn list_array(column: &TextColumn) -> ArrayRef {
    let item = Field::new("element", DataType::LargeUtf8, true);
    let mut lists = LargeListBuilder::new(LargeStringBuilder::new()).with_field(item);
    for row in 0..column.len() {
        for part in column.parts(row) {
            lists.values().append_value(part);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// Numbers by value: integers where all are, else floats; spelled-out values of other types
/// (dates, truth values) stay text.
fn number_array(column: &TextColumn) -> ArrayRef {
    let texts = || (0..column.len()).map(|row| column.parts(row).next());
    let integers: Option<Vec<Option<i64>>> =
        texts().map(|text| text.map(str::parse).transpose().ok()).collect();
    if let Some(integers) = integers {
        return Arc::new(Int64Array::from(integers));
    }
    let floats: Option<Vec<Option<f64>>> =
        texts().map(|text| text.map(str::parse).transpose().ok()).collect();
    match floats {
        Some(floats) => Arc::new(Float64Array::from(floats)),
        None => text_array(column),
    }
}
