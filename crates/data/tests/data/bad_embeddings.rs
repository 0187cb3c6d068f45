//! Every fault of ready-made vectors is an error that names file, row and id.

use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, ListArray};
use das_core::{DenseMatrix, Side, npy};
use tempfile::TempDir;

use crate::common::*;

fn folder() -> TempDir {
    folder_of(3, &[Row(1, 0, 0, true), Row(5, 0, 0, true)])
}

#[track_caller]
fn error(folder: &TempDir, side: Side) -> String {
    open(folder).embeddings(side).unwrap_err().to_string()
}

fn parquet_error(ids: ArrayRef, lists: ArrayRef) -> String {
    let folder = folder();
    let path = folder.path().join("item_embeddings.parquet");
    write_parquet(&path, [("item_id", ids), ("vector", lists)]);
    error(&folder, Side::Item)
}

fn npy_error(dim: usize, values: Vec<f32>) -> String {
    let folder = folder();
    let path = folder.path().join("item_embeddings.npy");
    npy::write(&path, &DenseMatrix::new(dim, values).unwrap()).unwrap();
    error(&folder, Side::Item)
}

#[test]
fn values_that_are_no_vector() {
    let bad =
        |row: &[f32]| parquet_error(ints(&[0, 2, 1]), vectors(&[&[1.0, 2.0], &[3.0, 4.0], row]));
    let place = ["item_embeddings.parquet: row 2: id 1: column `vector`"];
    assert_says(&bad(&[1.0, f32::NAN]), &[place[0], "value 1 of the vector is NaN"]);
    assert_says(&bad(&[f32::INFINITY, 0.0]), &[place[0], "value 0 of the vector is inf"]);
    assert_says(&bad(&[0.0, 0.0]), &[place[0], "all zero"]);
    assert_says(&bad(&[1.0]), &[place[0], "1 values, expected 2"]);
    assert_says(&bad(&[]), &[place[0], "0 values, expected 2"]);
    let first = parquet_error(ints(&[0, 2, 1]), vectors(&[&[], &[], &[]]));
    assert_says(&first, &["row 0: id 0", "the vector is empty"]);
}

#[test]
fn nulls() {
    let lists = |middle: Option<Vec<Option<f32>>>| -> ArrayRef {
        let rows = [Some(vec![Some(1.0)]), middle, Some(vec![Some(2.0)])];
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    };
    let message = parquet_error(ints(&[0, 1, 2]), lists(None));
    assert_says(&message, &["row 1: id 1", "null, expected a vector"]);
    let message = parquet_error(ints(&[0, 1, 2]), lists(Some(vec![None])));
    assert_says(&message, &["row 1: id 1", "value 0 of the vector is null"]);
}

#[test]
fn ids_that_do_not_fit() {
    let rows: ArrayRef = vectors(&[&[1.0], &[2.0], &[3.0]]);
    let message = parquet_error(ints(&[0, 1, 3]), rows.clone());
    assert_says(&message, &["item_embeddings.parquet", "no vector for item_id 2"]);
    let message = parquet_error(ints(&[0, 1, 0]), rows.clone());
    assert_says(&message, &["duplicate id 0 in rows 0 and 2"]);
    let message = parquet_error(texts(&["0", "1", "2"]), rows);
    assert_says(&message, &["`item_id`", "expected int64", "found string"]);
}

#[test]
fn columns_that_do_not_fit() {
    let message = parquet_error(ints(&[0, 1, 2]), floats(&[1.0, 2.0, 3.0]));
    assert_says(&message, &["`vector`", "expected one list of float32", "found float64"]);
    let folder = folder();
    let path = folder.path().join("item_embeddings.parquet");
    let rows: ArrayRef = vectors(&[&[1.0], &[2.0], &[3.0]]);
    write_parquet(&path, [("item_id", ints(&[0, 1, 2])), ("a", rows.clone()), ("b", rows)]);
    assert_says(&error(&folder, Side::Item), &["two columns of vectors, `a` and `b`"]);
    write_parquet(&path, [("item_id", ints(&[0])), ("a", ints(&[1])), ("b", ints(&[1]))]);
    assert_says(
        &error(&folder, Side::Item),
        &["no column holds one list of float32", "item_id, a, b"],
    );
}

#[test]
fn faults_of_npy() {
    assert_says(
        &npy_error(1, vec![1.0, 2.0]),
        &["item_embeddings.npy", "2 rows, expected 3", "item_embeddings_ids.parquet"],
    );
    assert_says(&npy_error(1, vec![1.0, 0.0, 2.0]), &["npy: row 1: id 1", "all zero"]);
    assert_says(
        &npy_error(2, vec![1.0, 2.0, 3.0, f32::NAN, 1.0, 1.0]),
        &["row 1: id 1", "value 1", "NaN"],
    );
    let folder = folder();
    let path = folder.path().join("item_embeddings.npy");
    npy::write(&path, &DenseMatrix::new(1, vec![1.0, 2.0]).unwrap()).unwrap();
    let ids = folder.path().join("item_embeddings_ids.parquet");
    write_parquet(&ids, [("item_id", ints(&[0, 1, 2]))]);
    assert_says(&error(&folder, Side::Item), &["ids.parquet", "3 ids for the 2 rows of"]);
    write_parquet(&ids, [("item_id", ints(&[0, 1]))]);
    assert_says(&error(&folder, Side::Item), &["ids.parquet", "no vector for item_id 2"]);
    std::fs::remove_file(&path).unwrap();
    assert_says(
        &error(&folder, Side::Item),
        &["ids.parquet", "there is no", "item_embeddings.npy"],
    );
    std::fs::write(&path, b"not an array").unwrap();
    assert_says(&error(&folder, Side::Item), &["item_embeddings.npy", "not a .npy file"]);
}

#[test]
fn two_sources_and_missing_users() {
    let folder = folder();
    write_parquet(
        &folder.path().join("user_embeddings.parquet"),
        [("user_id", ints(&[1])), ("v", vectors(&[&[1.0]]))],
    );
    assert_says(
        &error(&folder, Side::User),
        &["user_embeddings.parquet", "no vector for user_id 5"],
    );
    let npy = folder.path().join("user_embeddings.npy");
    npy::write(&npy, &DenseMatrix::new(1, vec![1.0, 2.0]).unwrap()).unwrap();
    assert_says(&error(&folder, Side::User), &["two sources of vectors", "user_embeddings.npy"]);
}
