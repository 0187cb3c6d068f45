//! The Parquet table of IDs that artifacts hold and `export` writes.

use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::sid::SidTable;
use crate::{EntityIds, Error, Result, Side, files};

/// File metadata key under which the layout is stored as JSON, so that an exported table still
/// tells its suffix from its learned levels.
pub(super) const LAYOUT_KEY: &str = "das.layout";

/// Rows converted at a time.
const BATCH_ROWS: usize = 1 << 16;

/// Writes the id column of `side`, `codes` and `offset_codes`; `path` is replaced atomically
/// and equal input gives equal bytes.
pub fn write_parquet(path: &Path, side: Side, ids: &EntityIds, table: &SidTable) -> Result<()> {
    check_rows(ids, table)?;
    let layout = serde_json::to_string(table.layout())
        .map_err(|error| Error::Invalid(format!("layout: {error}")))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new(LAYOUT_KEY.to_owned(), layout)]))
        .build();
    let schema = batch(side, ids, table, 0..0)?.schema();
    files::write_atomic(path, |out| {
        let mut writer =
            ArrowWriter::try_new(out, schema, Some(properties)).map_err(std::io::Error::other)?;
        for start in (0..table.len()).step_by(BATCH_ROWS) {
            let rows = start..(start + BATCH_ROWS).min(table.len());
            let batch = batch(side, ids, table, rows).map_err(std::io::Error::other)?;
            writer.write(&batch).map_err(std::io::Error::other)?;
        }
        writer.close().map(drop).map_err(std::io::Error::other)
    })
}

/// There must be one id for each row.
pub(in crate::sid) fn check_rows(ids: &EntityIds, table: &SidTable) -> Result<()> {
    if ids.len() != table.len() {
        return Err(Error::Invalid(format!("{} ids for {} IDs", ids.len(), table.len())));
    }
    Ok(())
}

fn batch(
    side: Side,
    ids: &EntityIds,
    table: &SidTable,
    rows: std::ops::Range<usize>,
) -> Result<RecordBatch> {
    let offsets = table.layout().offsets();
    let list = |shift: &[u32]| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows.clone().map(|row| {
            let codes = table.row(row).iter().zip(shift);
            Some(codes.map(|(&code, &by)| Some(i64::from(code + by))).collect::<Vec<_>>())
        })))
    };
    let id_column: ArrayRef = match ids {
        EntityIds::Int(ids) => Arc::new(Int64Array::from(ids[rows.clone()].to_vec())),
        EntityIds::Text(ids) => Arc::new(StringArray::from_iter_values(&ids[rows.clone()])),
    };
    RecordBatch::try_from_iter([
        (side.id_column(), id_column),
        ("codes", list(&vec![0; offsets.len()])),
        ("offset_codes", list(&offsets)),
    ])
    .map_err(|error: ArrowError| Error::Invalid(format!("table of IDs: {error}")))
}
