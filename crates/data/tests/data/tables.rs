//! Tables that stand alone.

use std::fs;

use das_core::{EntityIds, RowMatrix, Side};
use das_data::tables::read_entities;
use das_data::texts::item_texts;

use crate::common::*;

#[test]
fn the_same_items_in_three_formats_give_the_same_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    write_parquet(
        &path("a.parquet"),
        [
            ("item_id", ints(&[7, 8])),
            ("title", texts(&["Heat, the film", "Alien"])),
            ("year", ints(&[1995, 1979])),
        ],
    );
    fs::write(
        path("a.csv"),
        "\u{feff}item_id,title,year\n7,\"Heat, the film\",1995\n8,Alien,1979\n",
    )
    .unwrap();
    fs::write(
        path("a.jsonl"),
        "{\"item_id\": 7, \"title\": \"Heat, the film\", \"year\": 1995}\n\n\
         {\"year\": 1979, \"title\": \"Alien\", \"item_id\": 8, \"more\": {\"a\": 1}}\n",
    )
    .unwrap();
    for name in ["a.parquet", "a.csv", "a.jsonl"] {
        let entities = read_entities(&path(name), Side::Item).unwrap();
        assert_eq!(entities.table.ids(), &EntityIds::Int(vec![7, 8]), "{name}");
        assert!(entities.embeddings().unwrap().is_none());
        let texts = item_texts(&entities.table, Some("{title} ({year})")).unwrap();
        assert_eq!(texts, ["Heat, the film (1995)", "Alien (1979)"], "{name}");
    }
}

#[test]
fn vectors_stand_in_file_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.parquet");
    let rows = vectors(&[&[1.0, 2.0], &[3.0, 4.0]]);
    write_parquet(&path, [("user_id", texts(&["u9", "u1"])), ("vector", rows)]);
    let entities = read_entities(&path, Side::User).unwrap();
    let vectors = entities.embeddings().unwrap().unwrap();
    assert_eq!(entities.table.ids().display(0), "u9");
    assert_eq!(vectors.row(1), [3.0, 4.0]);
}

#[test]
fn faults_are_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        read_entities(&path, Side::Item).unwrap_err().to_string()
    };
    assert_says(
        &error("a.csv", b"item_id,title\n1,Caf\xe9\n"),
        &["a.csv: line 2", "not UTF-8", "iconv"],
    );
    assert_says(&error("a.csv", b"item_id,title\n1,a,b\n"), &["line 2", "3 fields, expected 2"]);
    assert_says(&error("a.csv", b"title\na\n"), &["line 2", "no value for `item_id`"]);
    assert_says(&error("a.csv", b"item_id\n1\n1\n"), &["duplicate id 1 in rows 0 and 1"]);
    assert_says(&error("a.csv", b"item_id\n"), &["a.csv", "no rows"]);
    assert_says(&error("a.csv", b""), &["a.csv", "the file is empty"]);
    assert_says(&error("a.csv", b"item_id,x,x\n1,2,3\n"), &["`x` occurs twice"]);
    assert_says(&error("a.jsonl", b"{\"item_id\": 1}\n{\"item_id\"\n"), &["line 2", "not JSON"]);
    assert_says(
        &error("a.jsonl", b"{\"item_id\": 1}\n[1]\n"),
        &["line 2", "expected a JSON object"],
    );
    assert_says(&error("a.jsonl", b"\xff\n"), &["line 1", "not UTF-8"]);
    assert_says(&error("a.jsonl", b""), &["the file is empty"]);
    assert_says(&error("a.csv.gz", b"item_id\n1\n"), &["a.csv.gz", "cannot read CSV"]);
    assert_says(&error("a.xlsx", b""), &["a.xlsx", "extension `xlsx`", ".jsonl"]);
}
