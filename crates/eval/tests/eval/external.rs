//! ID files of other tokenizers.

use std::path::{Path, PathBuf};

use das_core::EntityIds;
use das_core::sid::SidTable;
use das_core::sid::files::read_any;
use das_eval::align_sids;

use crate::common::assert_says;

/// Reads an ID file of this content and aligns it to items 0, 1 and 2.
fn aligned(content: &str) -> Result<SidTable, String> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("x.index.json");
    std::fs::write(&path, content).unwrap();
    let file = read_any(&path, None).map_err(|error| error.to_string())?;
    let items = EntityIds::Int(vec![0, 1, 2]);
    align_sids(&file, &items, Path::new("x.index.json")).map_err(|error| error.to_string())
}

#[test]
fn rows_follow_the_data_set() {
    let table =
        aligned(r#"{"2": ["<a_5>", "<b_0>"], "0": ["<a_1>", "<b_2>"], "1": ["<a_1>", "<b_3>"]}"#);
    let table = table.unwrap();
    let rows: Vec<&[u32]> = table.rows().collect();
    assert_eq!(rows, [[1, 2], [1, 3], [5, 0]]);
    assert_eq!(table.layout().codebook_sizes(), [6, 4]);
}

#[test]
fn files_that_do_not_fit_are_refused_by_file_and_id() {
    let missing = aligned(r#"{"0": ["<a_1>"], "2": ["<a_0>"]}"#).unwrap_err();
    assert_says(&missing, &["x.index.json", "no codes for id 1", "1 of 3"]);
    let unknown = r#"{"0": ["<a_1>"], "1": ["<a_1>"], "2": ["<a_0>"], "77": ["<a_0>"]}"#;
    assert_says(&aligned(unknown).unwrap_err(), &["x.index.json", "id 77 is not in the data set"]);
    let repeated = r#"{"0": ["<a_1>"], "1": ["<a_1>"], "1": ["<a_0>"], "2": ["<a_0>"]}"#;
    assert_says(&aligned(repeated).unwrap_err(), &["x.index.json", "1"]);
    let ragged = r#"{"0": ["<a_1>"], "1": ["<a_1>", "<b_0>"], "2": ["<a_0>"]}"#;
    assert_says(&aligned(ragged).unwrap_err(), &["x.index.json", "id \"1\"", "expected 1"]);
    let large = r#"{"0": ["<a_99999999>"], "1": ["<a_1>"], "2": ["<a_0>"]}"#;
    assert_says(&aligned(large).unwrap_err(), &["x.index.json", "99999999"]);
}
