//! Ready-made vectors of a view, which not every entity has.

use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, ListArray};
use das_core::{DenseMatrix, Side, npy};
use das_data::ViewVectors;
use das_data::tables::read_entities;
use tempfile::TempDir;

use crate::common::*;

/// Items 3, 0, 2, 1.
fn folder() -> TempDir {
    let folder = folder_of(4, &[Row(1, 0, 0, true)]);
    write_parquet(&folder.path().join("items.parquet"), [("item_id", ints(&[3, 0, 2, 1]))]);
    folder
}

fn lists(rows: &[Option<&[f32]>]) -> ArrayRef {
    let rows = rows.iter().map(|row| row.map(|row| row.iter().copied().map(Some)));
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

/// The vector of each item, or the error.
fn view(folder: &TempDir, file: &str) -> Result<Vec<Option<Vec<f32>>>, String> {
    let vectors = open(folder).view(Side::Item, file, "image").map_err(|e| e.to_string())?;
    Ok((0..4).map(|item| vectors.get(item).map(<[f32]>::to_vec)).collect())
}

#[test]
fn parquet_names_who_has_a_vector() {
    let folder = folder();
    // Item 2 is null, item 1 is not there, item 9 is nobody's.
    let rows = lists(&[Some(&[1.0, 2.0]), None, Some(&[3.0, 4.0]), Some(&[5.0, 6.0])]);
    let sound = lists(&[None, None, Some(&[1.0]), None]);
    let ids = ints(&[0, 2, 3, 9]);
    let path = folder.path().join("more.parquet");
    write_parquet(&path, [("item_id", ids.clone()), ("sound", sound), ("image", rows.clone())]);
    let expected = vec![Some(vec![3.0, 4.0]), Some(vec![1.0, 2.0]), None, None];
    assert_eq!(view(&folder, "more.parquet").unwrap(), expected);
    // The only column of vectors may have any name.
    write_parquet(&path, [("item_id", ids), ("v", rows)]);
    assert_eq!(view(&folder, "more.parquet").unwrap(), expected);
}

#[test]
fn zeros_in_npy_are_missing_vectors() {
    let folder = folder();
    let matrix = DenseMatrix::new(2, vec![3.0, 4.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
    npy::write(&folder.path().join("more.npy"), &matrix).unwrap();
    let expected = vec![Some(vec![3.0, 4.0]), Some(vec![1.0, 2.0]), None, None];
    assert_eq!(view(&folder, "more.npy").unwrap(), expected);
    let ids = folder.path().join("more_ids.parquet");
    write_parquet(&ids, [("item_id", ints(&[0, 1, 2, 3]))]);
    let expected = vec![None, Some(vec![3.0, 4.0]), None, Some(vec![1.0, 2.0])];
    assert_eq!(view(&folder, "more.npy").unwrap(), expected);
}

#[test]
fn columns_of_a_table_are_found_by_name() {
    let folder = folder();
    let path = folder.path().join("items.parquet");
    let [image, sound] = [lists(&[None, Some(&[1.0, 2.0])]), lists(&[Some(&[1.0]), None])];
    let columns = [("item_id", ints(&[7, 8])), ("image", image), ("sound", sound)];
    write_parquet(&path, columns);
    let entities = read_entities(&path, Side::Item).unwrap();
    assert_eq!(entities.vectors, ["image", "sound"]);
    let image = entities.view("image").unwrap().unwrap();
    assert_eq!((image.dim(), image.get(0), image.get(1)), (2, None, Some(&[1.0, 2.0][..])));
    assert!(entities.view("smell").unwrap().is_none());
    let error = entities.embeddings().unwrap_err().to_string();
    assert_says(&error, &["items.parquet", "`image`", "`sound`", "expected one"]);
    assert_eq!(ViewVectors::open(&path, "sound", &entities.table).unwrap().path(), path);
}

#[test]
fn faults_name_file_and_row() {
    let folder = folder();
    let path = folder.path().join("more.parquet");
    let error = |ids: &[i64], rows: ArrayRef| {
        write_parquet(&path, [("item_id", ints(ids)), ("image", rows)]);
        view(&folder, "more.parquet").unwrap_err()
    };
    let two = [Some(&[1.0, 2.0][..]), Some(&[1.0, f32::NAN])];
    assert_says(&error(&[0, 2], lists(&two)), &["more.parquet", "row 1", "id 2", "NaN"]);
    let two = [Some(&[1.0, 2.0][..]), Some(&[1.0])];
    assert_says(&error(&[0, 2], lists(&two)), &["id 2", "1 values, expected 2"]);
    assert_says(&error(&[0], lists(&[Some(&[0.0, 0.0])])), &["id 0", "all zero"]);
    assert_says(&error(&[0, 2], lists(&[None, None])), &["`image`", "no row has a vector"]);
    assert_says(&error(&[8], lists(&[Some(&[1.0])])), &["no vector of any item", "`image`"]);
    assert_says(&error(&[0, 0], lists(&[None, Some(&[1.0])])), &["duplicate id 0"]);
    assert_says(&view(&folder, "none.parquet").unwrap_err(), &["none.parquet"]);

    let matrix = DenseMatrix::new(1, vec![1.0, 2.0, f32::INFINITY]).unwrap();
    npy::write(&folder.path().join("more.npy"), &matrix).unwrap();
    let error = view(&folder, "more.npy").unwrap_err();
    assert_says(&error, &["more.npy", "3 rows, expected 4", "more_ids.parquet"]);
    let ids = folder.path().join("more_ids.parquet");
    write_parquet(&ids, [("item_id", ints(&[0, 1, 2]))]);
    assert_says(&view(&folder, "more.npy").unwrap_err(), &["more.npy", "row 2", "id 2", "inf"]);
    write_parquet(&ids, [("item_id", ints(&[0, 1]))]);
    assert_says(&view(&folder, "more.npy").unwrap_err(), &["2 ids for the 3 rows"]);
}
