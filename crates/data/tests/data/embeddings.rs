//! Ready-made vectors in every accepted form give the same matrix.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{ArrayRef, FixedSizeListArray, LargeListArray, ListArray};
use das_core::{DenseMatrix, RowMatrix, Side, npy};
use tempfile::TempDir;

use crate::common::*;

/// Vector of the item with id `i`: `[i + 1, i / 2]`, exact in every float type.
fn vector(id: i64) -> [f32; 2] {
    [id as f32 + 1.0, id as f32 / 2.0]
}

/// Items 3, 0, 2, 1.
fn folder() -> TempDir {
    let folder = folder_of(4, &[Row(1, 0, 0, true)]);
    write_parquet(&folder.path().join("items.parquet"), [("item_id", ints(&[3, 0, 2, 1]))]);
    folder
}

#[track_caller]
fn assert_reads(folder: &TempDir) {
    let matrix = open(folder).embeddings(Side::Item).unwrap().unwrap();
    assert_eq!((matrix.rows(), matrix.dim()), (4, 2));
    let rows: Vec<&[f32]> = (0..4).map(|row| matrix.row(row)).collect();
    assert_eq!(rows, [3, 0, 2, 1].map(vector));
    let mut out = [0.0; 4];
    matrix.gather(&[1, 3], &mut out);
    assert_eq!(out, [1.0, 0.0, 2.0, 0.5]);
}

fn write_vectors(folder: &Path, ids: &[i64], lists: ArrayRef) {
    write_parquet(&folder.join("item_embeddings.parquet"), [("item_id", ints(ids)), ("v", lists)]);
}

#[test]
fn parquet_of_any_list_type_and_row_order() {
    let ids = [9, 0, 1, 2, 3];
    let rows64 = || ids.map(|id| Some(vector(id).map(|v| Some(f64::from(v))).to_vec()));
    let rows32 = || ids.map(|id| Some(vector(id).map(Some).to_vec()));
    let lists: [ArrayRef; 4] = [
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows32())),
        Arc::new(LargeListArray::from_iter_primitive::<Float64Type, _, _>(rows64())),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows32(), 2)),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(rows64(), 2)),
    ];
    for lists in lists {
        let folder = folder();
        write_vectors(folder.path(), &ids, lists);
        assert_reads(&folder);
    }
}

#[test]
fn npy_in_the_order_of_the_items() {
    let folder = folder();
    let values = [3, 0, 2, 1].iter().flat_map(|&id| vector(id)).collect();
    let path = folder.path().join("item_embeddings.npy");
    npy::write(&path, &DenseMatrix::new(2, values).unwrap()).unwrap();
    assert_reads(&folder);
}

#[test]
fn npy_named_by_ids() {
    let folder = folder();
    let values = [0, 1, 2, 3, 4].iter().flat_map(|&id| vector(id)).collect();
    let path = folder.path().join("item_embeddings.npy");
    npy::write(&path, &DenseMatrix::new(2, values).unwrap()).unwrap();
    let ids = folder.path().join("item_embeddings_ids.parquet");
    write_parquet(&ids, [("item_id", ints(&[0, 1, 2, 3, 4]))]);
    assert_reads(&folder);
}

#[test]
fn npy_of_other_float_types() {
    // Half floats of 4, 1.5, 1, 0, 3, 1, 2, 0.5 by their bits (IEEE 754 binary16).
    let half: [u16; 8] = [0x4400, 0x3e00, 0x3c00, 0, 0x4200, 0x3c00, 0x4000, 0x3800];
    let half: Vec<u8> = half.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let double: Vec<u8> = [3, 0, 2, 1]
        .iter()
        .flat_map(|&id| vector(id))
        .flat_map(|value| f64::from(value).to_le_bytes())
        .collect();
    for (dtype, bytes) in [("<f2", half), ("<f8", double)] {
        let folder = folder();
        let mut header =
            format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': (4, 2), }}");
        header.push_str(&" ".repeat(117 - header.len()));
        header.push('\n');
        let mut file = fs::File::create(folder.path().join("item_embeddings.npy")).unwrap();
        file.write_all(b"\x93NUMPY\x01\x00").unwrap();
        file.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(&bytes).unwrap();
        assert_reads(&folder);
    }
}

#[test]
fn a_side_without_vectors_has_none() {
    assert!(open(&folder()).embeddings(Side::User).unwrap().is_none());
}

#[test]
fn the_fingerprint_follows_every_file() {
    let folder = folder();
    let before = open(&folder).fingerprint().unwrap();
    assert_eq!(before.keys().collect::<Vec<_>>(), ["interactions.parquet", "items.parquet"]);
    write_vectors(folder.path(), &[0, 1, 2, 3], vectors(&[&[1.0], &[2.0], &[3.0], &[4.0]]));
    let after = open(&folder).fingerprint().unwrap();
    assert_eq!(after.len(), 3);
    assert_eq!(after["items.parquet"], before["items.parquet"]);
}
