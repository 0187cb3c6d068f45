//! `das encode`: IDs of new items and users from their content, beside those that there are.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use das_core::sid::files::SidFile;
use das_core::{DenseMatrix, EntityIds, Side, npy};

use crate::common::*;

/// Encodes `table` with the run at `run`.
fn encode(bench: &Bench, run: &str, side: Side, table: &Path) -> SidFile {
    let out = bench.path("encoded.parquet");
    let mut encode = das(["encode", &format!("--{side}s")]);
    encode.arg(table).arg("--run").arg(bench.path(run)).arg("--out").arg(&out);
    let report = succeed_json(&mut encode);
    let encoded = das_core::sid::files::read_parquet(&out, None).unwrap();
    assert_eq!(report["rows"], encoded.table.len());
    assert_eq!(report["id_space"], manifest(&bench.path(run).join("artifact"))["id_space"]);
    assert_eq!(encoded.side, Some(side));
    encoded
}

/// The titles and descriptions of the bench's items.
fn item_texts(bench: &Bench) -> [Vec<String>; 2] {
    ["title", "description"].map(|name| {
        let column = bench.market.items.column(name).unwrap();
        (0..ITEMS).map(|row| column.parts(row).collect::<String>()).collect()
    })
}

/// A table of items under `ids` with the texts of the first ones there are.
fn write_items(bench: &Bench, ids: &[i64]) -> PathBuf {
    let path = bench.path("new.parquet");
    let [titles, descriptions] = item_texts(bench);
    let columns = [
        ("item_id", ints(ids)),
        ("title", texts(&titles[..ids.len()])),
        ("description", texts(&descriptions[..ids.len()])),
    ];
    write_parquet(&path, columns);
    path
}

/// The learned codes of each row.
fn learned(file: &SidFile) -> Vec<&[u32]> {
    let levels = file.table.layout().num_levels();
    (0..file.table.len()).map(|row| file.table.prefix(row, levels)).collect()
}

#[test]
fn known_items_keep_their_id_and_new_ones_share_codes_but_no_id() {
    let bench = Bench::new();
    let artifact = bench.train("data", "run", &[]);
    let known = sids(&artifact, Side::Item);
    let again = encode(&bench, "run", Side::Item, &bench.path("data/items.parquet"));
    assert_eq!((&again.ids, &again.table), (&known.ids, &known.table));

    // The same texts under new ids: the codes of the content, told apart from every known ID.
    let new_ids: Vec<i64> = (1000..1040).collect();
    let new = encode(&bench, "run", Side::Item, &write_items(&bench, &new_ids));
    assert_eq!(new.ids, EntityIds::Int(new_ids));
    assert_eq!(learned(&new), learned(&known)[..40]);
    let mut seen: HashSet<&[u32]> = known.table.rows().collect();
    assert!(new.table.rows().all(|id| seen.insert(id)), "an ID came twice");
    assert_eq!(seen.len(), ITEMS + 40);

    // A known id with other content is a new item.
    let swapped = encode(&bench, "run", Side::Item, &write_items(&bench, &[2, 1, 0]));
    assert_eq!(learned(&swapped), learned(&known)[..3]);
    assert_eq!(swapped.table.row(1), known.table.row(1));
}

#[test]
fn text_tables_come_in_any_format() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    let table = write_items(&bench, &[900]);
    let from_parquet = encode(&bench, "run", Side::Item, &table);
    let [titles, descriptions] = item_texts(&bench);
    let csv = bench.path("new.csv");
    fs::write(&csv, format!("item_id,title,description\n900,{},{}\n", titles[0], descriptions[0]))
        .unwrap();
    assert_eq!(encode(&bench, "run", Side::Item, &csv).table, from_parquet.table);
    let jsonl = bench.path("new.jsonl");
    let line = serde_json::json!({
        "item_id": 900, "title": titles[0], "description": descriptions[0],
    });
    fs::write(&jsonl, format!("{line}\n")).unwrap();
    assert_eq!(encode(&bench, "run", Side::Item, &jsonl).table, from_parquet.table);
}

#[test]
fn new_users_are_encoded_from_their_profile() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    let table = bench.path("new_users.csv");
    let header = "user_id,age,region,interests";
    fs::write(&table, format!("{header}\nann,33,north,\nbob,64,south-west,\nann2,33,north,\n"))
        .unwrap();
    let users = encode(&bench, "run", Side::User, &table);
    assert_eq!(users.ids, EntityIds::Text(["ann", "bob", "ann2"].map(String::from).to_vec()));
    let codes = learned(&users);
    assert_eq!(codes[0], codes[2]);
    assert_ne!(users.table.row(0), users.table.row(2));
}

#[test]
fn vectors_are_encoded_as_they_are() {
    let bench = Bench::new();
    bench.give_embeddings("data");
    for (side, dim, rows) in [(Side::Item, 6, ITEMS), (Side::User, 10, USERS)] {
        let run = format!("run-{side}");
        let artifact = bench.train("data", &run, &["collision.policy=none"]);
        let known = sids(&artifact, side);
        let table = bench.path("new.parquet");
        let ids: Vec<i64> = (0..rows as i64).map(|id| id + 5000).collect();
        let vectors = ("any_name", vectors(dim, &wave(rows, dim)));
        write_parquet(&table, [(side.id_column(), ints(&ids)), vectors]);
        assert_eq!(encode(&bench, &run, side, &table).table, known.table);
    }
}

#[test]
fn vectors_of_a_npy_file_stand_in_the_order_of_the_table_or_are_named() {
    let bench = Bench::new();
    bench.give_embeddings("data");
    let artifact = bench.train("data", "run", &["collision.policy=none"]);
    let known = sids(&artifact, Side::Item);
    let (table, vectors) = (bench.path("new.parquet"), bench.path("new.npy"));
    let ids: Vec<i64> = (5000..5000 + ITEMS as i64).collect();
    write_parquet(&table, [("item_id", ints(&ids))]);
    let write = |values: Vec<f32>, dim: usize| {
        npy::write(&vectors, &DenseMatrix::new(dim, values).unwrap()).unwrap();
    };
    let encode = || {
        let mut encode = das(["encode", "--items"]);
        encode.arg(&table).arg("--vectors").arg(&vectors).arg("--run").arg(bench.path("run"));
        encode.arg("--out").arg(bench.path("ids.parquet"));
        encode
    };
    let found = || {
        succeed(&mut encode());
        das_core::sid::files::read_parquet(&bench.path("ids.parquet"), None).unwrap().table
    };
    let values = wave(ITEMS, 6);
    write(values.clone(), 6);
    assert_eq!(found(), known.table);

    let backwards = values.chunks(6).rev().flatten().copied().collect();
    write(backwards, 6);
    let named: Vec<i64> = ids.iter().rev().copied().collect();
    write_parquet(&bench.path("new_ids.parquet"), [("item_id", ints(&named))]);
    assert_eq!(found(), known.table);
    fs::remove_file(bench.path("new_ids.parquet")).unwrap();

    let refused = |values: Vec<f32>, dim: usize, expected: &str| {
        fs::remove_file(bench.path("ids.parquet")).ok();
        write(values, dim);
        let failed = call(&mut encode());
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(
            failed.stderr.contains("new.npy") && failed.stderr.contains(expected),
            "{failed:?}"
        );
        assert!(!bench.path("ids.parquet").exists());
    };
    let mut spoilt = values.clone();
    spoilt[6 * 7 + 2] = f32::NAN;
    refused(spoilt, 6, "row 7: value 2 of the vector is NaN");
    refused(values[..12].to_vec(), 6, "2 rows, expected");
    refused(wave(ITEMS, 4), 4, "expected vectors of width 6, found 4");
}

#[test]
fn greedy_ids_of_new_items_take_free_codes() {
    let bench = Bench::new();
    let sizes = "model.item.codebook_sizes=[8,8,32]";
    let artifact = bench.train("data", "run", &["collision.policy=greedy", sizes]);
    let known = sids(&artifact, Side::Item);
    let ids: Vec<i64> = (1000..1010).collect();
    let new = encode(&bench, "run", Side::Item, &write_items(&bench, &ids));
    let mut seen: HashSet<&[u32]> = known.table.rows().collect();
    assert_eq!(seen.len(), ITEMS);
    assert!(new.table.rows().all(|id| seen.insert(id)));
    assert_eq!(new.table.layout(), known.table.layout());
}
