//! Faults of data sets and embeddings: named, and nothing is begun.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, Float64Array, ListArray};

use crate::common::*;

/// A log of two users over items 0, 1 and 2, with some columns replaced or, by `None`, left out.
fn write_log(bench: &Bench, changes: &[(&str, Option<ArrayRef>)]) {
    let columns = [
        ("user_id", ints(&[1, 1, 1, 2, 2, 2])),
        ("item_id", ints(&[0, 1, 2, 2, 1, 0])),
        ("timestamp", ints(&[1, 2, 3, 1, 2, 3])),
    ];
    let changed = columns.into_iter().filter_map(|(name, column)| {
        match changes.iter().find(|(changed, _)| *changed == name) {
            Some((_, None)) => None,
            Some((_, Some(other))) => Some((name, other.clone())),
            None => Some((name, column)),
        }
    });
    write_parquet(&bench.path("data/interactions.parquet"), changed.collect::<Vec<_>>());
}

/// `das train` must say `parts`, begin no run and leave the data as it is.
#[track_caller]
fn refused(bench: &Bench, parts: &[&str]) {
    let before = files_below(&bench.path("data"));
    fail(&mut bench.train_command("data", "run", &[]), 1, parts);
    assert!(!bench.path("run").exists());
    assert!(before == files_below(&bench.path("data")));
}

#[test]
fn logs() {
    let bench = Bench::new();
    const LOG: &str = "data/interactions.parquet";
    write_log(&bench, &[("item_id", None)]);
    refused(&bench, &[LOG, "no column `item_id`", "user_id, timestamp"]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.5; 6]));
    write_log(&bench, &[("user_id", Some(floats))]);
    refused(&bench, &[LOG, "`user_id`", "expected int64 or string", "float64"]);
    write_log(&bench, &[("timestamp", Some(texts(&["a"; 6])))]);
    refused(&bench, &[LOG, "`timestamp`", "found string"]);
    write_log(&bench, &[("item_id", Some(ints(&[0, 1, 2, 2, 9999, 0])))]);
    refused(&bench, &[LOG, "row 4", "item_id 9999"]);
}

#[test]
fn files() {
    let bench = Bench::new();
    for name in ["interactions.parquet", "items.parquet", "users.parquet"] {
        let path = bench.path("data").join(name);
        let whole = fs::read(&path).unwrap();
        for part in [&whole[..0], &whole[..whole.len() / 2], b"not Parquet at all".as_slice()] {
            fs::write(&path, part).unwrap();
            refused(&bench, &[name]);
        }
        fs::write(&path, whole).unwrap();
    }
    let items = bench.path("data/items.parquet");
    write_parquet(&items, [("item_id", ints(&[])), ("title", texts::<&str>(&[]))]);
    refused(&bench, &["items.parquet", "no rows"]);
    write_parquet(&items, [("item_id", ints(&[0, 1, 0])), ("title", texts(&["a", "b", "c"]))]);
    refused(&bench, &["items.parquet", "duplicate id 0 in rows 0 and 2"]);
    fs::remove_file(&items).unwrap();
    refused(&bench, &["items.parquet", "cannot read"]);
}

#[test]
fn items_without_text_or_vectors() {
    let bench = Bench::new();
    let ids: Vec<i64> = (0..ITEMS as i64).collect();
    write_parquet(&bench.path("data/items.parquet"), [("item_id", ints(&ids))]);
    refused(&bench, &["items.parquet", "no text column"]);
}

/// Replaces one vector of the items' embeddings; they come as lists of any length.
fn write_vectors(path: &Path, row: usize, other: Vec<f32>) {
    let rows = (0..ITEMS).map(|at| if at == row { other.clone() } else { vec![at as f32, 1.0] });
    let rows = rows.map(|vector| Some(vector.into_iter().map(Some).collect::<Vec<_>>()));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows));
    let ids: Vec<i64> = (0..ITEMS as i64).collect();
    write_parquet(path, [("item_id", ints(&ids)), ("vector", lists)]);
}

#[test]
fn embeddings() {
    let bench = Bench::new();
    let path = bench.path("data/item_embeddings.parquet");
    for (vector, fault) in [
        (vec![1.0, f32::NAN], "value 1 of the vector is NaN"),
        (vec![f32::NEG_INFINITY, 0.0], "value 0 of the vector is -inf"),
        (vec![0.0, 0.0], "the vector is all zero"),
        (vec![1.0, 2.0, 3.0], "3 values, expected 2"),
    ] {
        write_vectors(&path, 77, vector);
        refused(&bench, &["item_embeddings.parquet", "row 77: id 77", fault]);
    }
    write_parquet(&path, [("item_id", ints(&[0, 1])), ("vector", vectors(2, &[1.0; 4]))]);
    refused(&bench, &["item_embeddings.parquet", "no vector for item_id 2"]);
    fs::write(&path, b"PAR1").unwrap();
    refused(&bench, &["item_embeddings.parquet"]);
    fs::remove_file(&path).unwrap();
    fs::write(bench.path("data/user_embeddings.npy"), b"\x93NUMPY").unwrap();
    refused(&bench, &["user_embeddings.npy"]);
}

#[test]
fn text_logs() {
    let bench = Bench::new();
    let (log, out) = (bench.path("clicks.csv"), bench.path("imported"));
    let cases: [(&[u8], &[&str]); 4] = [
        (b"user_id,item_id\n1,2\n1,caf\xe9\n", &["clicks.csv", "line 3", "UTF-8"]),
        (b"", &["clicks.csv", "empty"]),
        (b"user,item_id\n1,2\n", &["clicks.csv", "`user_id`", "user, item_id"]),
        (b"user_id,item_id\n1,2,3\n", &["clicks.csv", "line 2"]),
    ];
    for (content, parts) in cases {
        fs::write(&log, content).unwrap();
        let mut import = das(["import", "csv"]);
        fail(import.arg(&log).arg("--out").arg(&out), 1, parts);
        assert!(!out.exists());
        assert!(!files_below(&bench.path(".")).keys().any(|name| name.contains(".das-data-")));
    }
}
