//! Small data sets written by hand.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use das_data::DataSet;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

pub(crate) fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

pub(crate) fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

pub(crate) fn bools(values: &[bool]) -> ArrayRef {
    Arc::new(BooleanArray::from(values.to_vec()))
}

pub(crate) fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Lists of anything that [`arrow_array::ListArray`] can be built from.
pub(crate) fn vectors(rows: &[&[f32]]) -> ArrayRef {
    use arrow_array::types::Float32Type;
    let rows = rows.iter().map(|row| Some(row.iter().copied().map(Some)));
    Arc::new(arrow_array::ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

pub(crate) fn text_lists(rows: &[&[&str]]) -> ArrayRef {
    let mut lists =
        arrow_array::builder::ListBuilder::new(arrow_array::builder::StringBuilder::new());
    for row in rows {
        row.iter().for_each(|text| lists.values().append_value(text));
        lists.append(true);
    }
    Arc::new(lists.finish())
}

pub(crate) fn write_parquet<'a>(
    path: &Path,
    columns: impl IntoIterator<Item = (&'a str, ArrayRef)>,
) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A folder with items `0..items`, titled `title 0`, …, and the given log columns.
pub(crate) fn folder_with_log<'a>(
    items: i64,
    log: impl IntoIterator<Item = (&'a str, ArrayRef)>,
) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<i64> = (0..items).collect();
    let titles: Vec<String> = ids.iter().map(|id| format!("title {id}")).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    write_parquet(
        &folder.path().join("items.parquet"),
        [("item_id", ints(&ids)), ("title", texts(&titles))],
    );
    write_parquet(&folder.path().join("interactions.parquet"), log);
    folder
}

/// One row of a log: user, item, time, click or exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) i64, pub(crate) i64, pub(crate) i64, pub(crate) bool);

/// A folder with the given rows; labels are written only where some row is an exposure.
pub(crate) fn folder_of(items: i64, rows: &[Row]) -> TempDir {
    let column = |of: fn(&Row) -> i64| ints(&rows.iter().map(of).collect::<Vec<_>>());
    let mut log = vec![
        ("user_id", column(|r| r.0)),
        ("item_id", column(|r| r.1)),
        ("timestamp", column(|r| r.2)),
    ];
    if rows.iter().any(|row| !row.3) {
        log.push(("label", bools(&rows.iter().map(|row| row.3).collect::<Vec<_>>())));
    }
    folder_with_log(items, log)
}

pub(crate) fn open(folder: &TempDir) -> DataSet {
    DataSet::open(folder.path()).unwrap()
}

/// The message of the error that opening the folder gives.
pub(crate) fn open_error(folder: &TempDir) -> String {
    DataSet::open(folder.path()).unwrap_err().to_string()
}

/// Asserts that `message` holds every one of `parts`.
#[track_caller]
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// Asserts that `folder` holds nothing but the entries `names`.
#[track_caller]
pub(crate) fn assert_only(folder: &Path, names: &[&str]) {
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, names);
}

/// The folder of real data, if this machine has it.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("DAS_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = root.join("data").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no real data at {}", folder.display());
    None
}
