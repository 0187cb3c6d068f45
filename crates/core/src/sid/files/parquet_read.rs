//! Parquet tables of IDs, ours and others'.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns::{CodeColumns, Ids, code_lists, column};
use super::parquet_write::LAYOUT_KEY;
use super::{CodeRows, RawSids, SidFile, checked_code};
use crate::sid::SidLayout;
use crate::{EntityIds, Error, Result, Side, files};

/// Names of the id column, the first present is taken.
const ID_COLUMNS: [&str; 3] = ["item_id", "user_id", "id"];
/// Names of a list column of codes.
const LIST_COLUMNS: [&str; 3] = ["codes", "semantic_ids", "sid"];
/// What precedes the number in the names of one column a digit.
const DIGIT_PREFIXES: [&str; 2] = ["c", "code_"];

const BATCH_ROWS: usize = 1 << 14;

/// Reads an id column (`item_id`, `user_id` or `id`; integers or strings) and the codes: a list
/// column `codes`, `semantic_ids` or `sid`, or integer columns `c0, c1, …` or `code_0, …`.
///
/// `offset_codes`, where present, must agree with the codes. Refused, with row and id: ragged
/// rows, nulls, negative or absurd codes, repeated ids. See [`super::read_any`] for
/// `codebook_sizes`.
pub fn read_parquet(path: &Path, codebook_sizes: Option<&[u32]>) -> Result<SidFile> {
    files::decode(path, || read_raw(path))?.finish(path, codebook_sizes)
}

fn read_raw(path: &Path) -> Result<RawSids> {
    let file = File::open(path).map_err(Error::io(path, "cannot read"))?;
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::format(path, format!("not a readable Parquet file: {error}"))
    };
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(&error))?;
    let wanted = Wanted::find(builder.schema()).map_err(|m| Error::format(path, m))?;
    let layout = stored_layout(path, &builder)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.roots(builder.schema()));
    let reader = builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|error| unreadable(&error))?;

    let mut read = Collected::default();
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(&error))?;
        read.append(&batch, &wanted).map_err(|message| Error::format(path, message))?;
    }
    let ids = read.ids.map_or(EntityIds::Int(Vec::new()), Ids::into_entity_ids);
    let offset_codes = wanted.offset_codes.then_some(read.offset_codes);
    Ok(RawSids { ids, rows: read.rows, offset_codes, layout, side: wanted.side() })
}

/// What the batches read so far held.
#[derive(Default)]
struct Collected {
    ids: Option<Ids>,
    rows: CodeRows,
    offset_codes: CodeRows,
}

impl Collected {
    fn append(&mut self, batch: &RecordBatch, wanted: &Wanted) -> Result<(), String> {
        let first = self.ids.as_ref().map_or(0, Ids::len);
        Ids::append(&mut self.ids, column(batch, &wanted.id)?, first)
            .map_err(|message| format!("column {}: {message}", wanted.id))?;
        let ids = self.ids.as_ref();
        let at_row = |row: usize, message: String| {
            let id = ids.map_or(String::new(), |ids| ids.display(first + row));
            format!("row {}, id {id}: {message}", first + row)
        };
        let codes = CodeColumns::new(batch, &wanted.codes)?;
        for row in 0..batch.num_rows() {
            codes
                .row(row)
                .and_then(|values| self.rows.push(values.into_iter().map(checked_code)))
                .map_err(|message| at_row(row, message))?;
        }
        if wanted.offset_codes {
            let lists = code_lists("offset_codes", column(batch, "offset_codes")?)?;
            let code = |v: i64| u32::try_from(v).map_err(|_| format!("offset code {v}"));
            for row in 0..batch.num_rows() {
                lists
                    .row(row)
                    .and_then(|values| self.offset_codes.push(values.into_iter().map(code)))
                    .map_err(|message| at_row(row, message))?;
            }
        }
        Ok(())
    }
}

/// The layout that [`super::write_parquet`] put into the file, if it did.
fn stored_layout(
    path: &Path,
    builder: &ParquetRecordBatchReaderBuilder<File>,
) -> Result<Option<SidLayout>> {
    let entries = builder.metadata().file_metadata().key_value_metadata();
    entries
        .and_then(|entries| entries.iter().find(|entry| entry.key == LAYOUT_KEY))
        .and_then(|entry| entry.value.as_deref())
        .map(|json| {
            serde_json::from_str(json)
                .map_err(|error| Error::format(path, format!("metadata {LAYOUT_KEY}: {error}")))
        })
        .transpose()
}

/// The columns to read.
struct Wanted {
    id: String,
    /// One list column or one column a digit.
    codes: Vec<String>,
    offset_codes: bool,
}

impl Wanted {
    fn find(schema: &Schema) -> Result<Wanted, String> {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let has = |name: &str| names.contains(&name);
        let missing = |what: &str| format!("no {what}; the columns are {}", names.join(", "));
        let id = ID_COLUMNS
            .into_iter()
            .find(|name| has(name))
            .ok_or_else(|| missing("id column (item_id, user_id or id)"))?;
        let codes = match LIST_COLUMNS.into_iter().find(|name| has(name)) {
            Some(name) => vec![name.to_owned()],
            None => DIGIT_PREFIXES
                .into_iter()
                .find_map(|prefix| digit_columns(&names, prefix).transpose())
                .transpose()?
                .ok_or_else(|| {
                    missing("codes (a list codes, semantic_ids or sid, or columns c0, c1, …)")
                })?,
        };
        let offset_codes = has("offset_codes");
        Ok(Wanted { id: id.to_owned(), codes, offset_codes })
    }

    fn roots(&self, schema: &Schema) -> Vec<usize> {
        let names = schema.fields().iter().map(|field| field.name()).enumerate();
        names
            .filter(|(_, name)| {
                **name == self.id
                    || self.codes.contains(name)
                    || (self.offset_codes && *name == "offset_codes")
            })
            .map(|(at, _)| at)
            .collect()
    }

    fn side(&self) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| side.id_column() == self.id)
    }
}

/// The columns `{prefix}0`, `{prefix}1`, …, none where there is no such column; a gap in the
/// numbers is an error.
fn digit_columns(names: &[&str], prefix: &str) -> Result<Option<Vec<String>>, String> {
    let numbered = |name: &&&str| {
        name.strip_prefix(prefix)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let expected: Vec<String> = (0..names.iter().filter(numbered).count())
        .map(|digit| format!("{prefix}{digit}"))
        .collect();
    match expected.iter().find(|name| !names.contains(&name.as_str())) {
        Some(missing) => Err(format!("no column {missing}; the columns are {}", names.join(", "))),
        None => Ok((!expected.is_empty()).then_some(expected)),
    }
}
