//! Every fault of a data-set folder is an error that names file, row and column.

use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array};
use das_data::{CoClickConfig, DataSet, Split, SplitKind, TrainingClicks};

use crate::common::*;

fn log_with<'a>(columns: impl IntoIterator<Item = (&'a str, ArrayRef)>) -> String {
    let base = [("user_id", ints(&[1, 1, 2])), ("item_id", ints(&[0, 1, 1]))];
    open_error(&folder_with_log(2, base.into_iter().chain(columns)))
}

fn times() -> (&'static str, ArrayRef) {
    ("timestamp", ints(&[1, 2, 3]))
}

#[test]
fn a_missing_folder_or_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    assert_says(&DataSet::open(&absent).unwrap_err().to_string(), &["absent", "not a folder"]);
    assert_says(&open_error(&folder), &["items.parquet", "cannot read"]);
}

#[test]
fn a_missing_column_is_named_beside_those_present() {
    let folder = folder_with_log(2, [("user", ints(&[1])), ("item_id", ints(&[0])), times_of(1)]);
    let parts = ["interactions.parquet", "no column `user_id`", "int64 or string", "user, item_id"];
    assert_says(&open_error(&folder), &parts);
    assert_says(&log_with([]), &["no column `timestamp`", "`position`"]);
}

fn times_of(rows: i64) -> (&'static str, ArrayRef) {
    ("timestamp", ints(&(0..rows).collect::<Vec<_>>()))
}

#[test]
fn a_wrong_type_is_named_with_what_was_expected_and_found() {
    let folder =
        folder_with_log(2, [("user_id", floats(&[1.0])), ("item_id", ints(&[0])), times_of(1)]);
    let parts = [
        "interactions.parquet",
        "`user_id`",
        "expected int64 or string, found float64",
        "item_id (int64)",
    ];
    assert_says(&open_error(&folder), &parts);
    let folder =
        folder_with_log(2, [("user_id", ints(&[1])), ("item_id", texts(&["0"])), times_of(1)]);
    assert_says(&open_error(&folder), &["`item_id`", "expected int64, as in", "found string"]);
    assert_says(
        &log_with([("timestamp", texts(&["a", "b", "c"]))]),
        &["`timestamp`", "expected an integer, a timestamp", "found string"],
    );
    assert_says(
        &log_with([("position", floats(&[0.0, 1.0, 2.0]))]),
        &["`position`", "expected an integer", "found float64"],
    );
    assert_says(
        &log_with([times(), ("label", texts(&["1", "0", "1"]))]),
        &["`label`", "found string"],
    );
    assert_says(&log_with([times(), ("weight", bools(&[true; 3]))]), &["`weight`", "found bool"]);
}

#[test]
fn a_duplicate_id_is_named_with_both_rows() {
    let folder = folder_of(2, &[Row(1, 0, 0, true)]);
    let items = folder.path().join("items.parquet");
    write_parquet(&items, [("item_id", ints(&[5, 6, 5]))]);
    assert_says(
        &open_error(&folder),
        &["items.parquet", "`item_id`", "duplicate id 5 in rows 0 and 2"],
    );
}

#[test]
fn an_item_of_the_log_without_content_is_named_with_its_row() {
    let folder = folder_of(2, &[Row(1, 0, 0, true), Row(1, 7, 1, true)]);
    assert_says(
        &open_error(&folder),
        &["interactions.parquet: row 1", "item_id 7 is not in the items"],
    );
}

#[test]
fn nulls_where_a_value_is_needed_are_named_with_their_row() {
    let nulls: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None, Some(1)]));
    let folder =
        folder_with_log(2, [("user_id", ints(&[1, 1, 2])), ("item_id", nulls.clone()), times()]);
    assert_says(&open_error(&folder), &["row 1", "`item_id` is null"]);
    assert_says(&log_with([("timestamp", nulls.clone())]), &["row 1", "`timestamp` is null"]);
    assert_says(&log_with([times(), ("label", nulls.clone())]), &["row 1", "`label` is null"]);
    assert_says(&log_with([times(), ("weight", nulls)]), &["row 1", "`weight` is null"]);
}

#[test]
fn values_out_of_range_are_named_with_their_row() {
    let times_nan = [("timestamp", floats(&[1.0, f64::NAN, 2.0]))];
    assert_says(&log_with(times_nan), &["row 1", "`timestamp`", "finite number, found NaN"]);
    let huge = [("timestamp", floats(&[1.0, 1e300, 2.0]))];
    assert_says(&log_with(huge), &["`timestamp`", "out of range"]);
    assert_says(
        &log_with([times(), ("label", ints(&[0, 1, 2]))]),
        &["row 2", "`label`: expected 0 or 1, found 2"],
    );
    for (weight, found) in [(-0.5, "found -0.5"), (f64::NAN, "found NaN"), (1e300, "found 1000")] {
        let message = log_with([times(), ("weight", floats(&[1.0, weight, 1.0]))]);
        assert_says(&message, &["row 1", "`weight`: expected a finite number ≥ 0", found]);
    }
}

#[test]
fn empty_truncated_and_foreign_files_are_named() {
    let folder = folder_of(2, &[Row(1, 0, 0, true)]);
    let log = folder.path().join("interactions.parquet");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, b"").unwrap();
    assert_says(&open_error(&folder), &["interactions.parquet", "the file is empty"]);
    for bytes in [&whole[..whole.len() / 2], &whole[whole.len() / 2..], b"user_id,item_id\n1,2\n"] {
        fs::write(&log, bytes).unwrap();
        assert_says(&open_error(&folder), &["interactions.parquet: Parquet: "]);
    }
    write_parquet(&log, [("user_id", ints(&[])), ("item_id", ints(&[])), ("timestamp", ints(&[]))]);
    assert_says(&open_error(&folder), &["interactions.parquet", "the log has no rows"]);
    write_parquet(&folder.path().join("items.parquet"), [("item_id", ints(&[]))]);
    assert_says(&open_error(&folder), &["items.parquet", "the table has no rows"]);
}

#[test]
fn a_flipped_byte_never_panics() {
    let folder = folder_of(4, &[Row(1, 0, 0, true), Row(1, 3, 1, true), Row(2, 1, 1, false)]);
    for name in ["interactions.parquet", "items.parquet"] {
        let path = folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            fs::write(&path, &broken).unwrap();
            // Many flips fall on statistics or values and open; none may panic.
            let _ = DataSet::open(folder.path());
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_column_that_occurs_twice_is_refused() {
    use arrow_schema::{DataType, Field, Schema};
    let folder = folder_of(2, &[Row(1, 0, 0, true)]);
    let field = |name| Field::new(name, DataType::Int64, false);
    let schema = Arc::new(Schema::new(vec![field("item_id"), field("x"), field("x")]));
    let batch = arrow_array::RecordBatch::try_new(schema, vec![ints(&[0]), ints(&[1]), ints(&[2])])
        .unwrap();
    let file = fs::File::create(folder.path().join("items.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert_says(&open_error(&folder), &["items.parquet", "`x` occurs twice"]);
}

#[test]
fn labels_and_weights_of_any_number_type_are_read() {
    for label in [ints(&[0, 1, 1]), bools(&[false, true, true]), floats(&[0.0, 1.0, 1.0])] {
        let weight: ArrayRef = Arc::new(Float32Array::from(vec![0.0, 0.5, 2.0]));
        let folder = folder_with_log(
            2,
            [
                ("user_id", texts(&["b", "b", "a"])),
                ("item_id", ints(&[0, 1, 1])),
                times(),
                ("label", label),
                ("weight", weight),
            ],
        );
        let data = open(&folder);
        let log = data.interactions();
        assert_eq!((0..3).map(|row| log.is_positive(row)).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(log.weight(1), 0.5);
        assert_eq!(log.users(), [1, 1, 0], "users stand by ascending id");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let log = [("user_id", ints(&[1])), ("item_id", ints(&[0])), ("position", ints(&[0]))];
    let data = open(&folder_with_log(2, log));
    let message = Split::new(&data, SplitKind::GlobalTime).unwrap_err().to_string();
    assert_says(&message, &["interactions.parquet", "global-time", "`timestamp`"]);
    let split = Split::new(&data, SplitKind::LeaveLastOut).unwrap();
    let config = CoClickConfig { window: Some(0) };
    let message = TrainingClicks::new(&data, &split, config).unwrap_err().to_string();
    assert_says(&message, &["window", "at least 1, found 0"]);
    let message = "by-luck".parse::<SplitKind>().unwrap_err().to_string();
    assert_says(&message, &["by-luck", "leave-last-out, global-time, per-user-time"]);

    let exposures = open(&folder_of(2, &[Row(1, 0, 0, false)]));
    let split = Split::new(&exposures, SplitKind::LeaveLastOut).unwrap();
    let message =
        TrainingClicks::new(&exposures, &split, CoClickConfig::default()).unwrap_err().to_string();
    assert_says(&message, &["leave-last-out", "no training click"]);
}
