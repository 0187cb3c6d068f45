//! Held-out rows reach no ID: not those of items, not those of users, not the ID space.

use std::path::Path;

use das_core::Side;
use das_core::streams::stream;
use das_data::{DataSet, DataSetWriter, LogColumns, Part, Split, SplitKind};
use rand::Rng;
use rand::seq::SliceRandom;

use crate::common::*;

/// How the rows of one part are changed, by their numbers.
type Change = fn(&mut LogColumns, &[usize]);

/// Other items, from anywhere in the catalogue.
fn other_items(log: &mut LogColumns, rows: &[usize]) {
    let mut rng = stream(3, "other items", 0);
    for &row in rows {
        log.items[row] = (log.items[row] + rng.random_range(1..ITEMS as u32)) % ITEMS as u32;
    }
}

/// The same items, dealt out to other users.
fn permuted(log: &mut LogColumns, rows: &[usize]) {
    let mut items: Vec<u32> = rows.iter().map(|&row| log.items[row]).collect();
    items.shuffle(&mut stream(3, "permuted", 0));
    rows.iter().zip(items).for_each(|(&row, item)| log.items[row] = item);
}

/// Exposures removed; clicks stay, so that the split of the other rows does.
fn fewer(log: &mut LogColumns, rows: &[usize]) {
    let labels = log.labels.clone().unwrap();
    let keep: Vec<bool> =
        (0..labels.len()).map(|row| labels[row] || rows.binary_search(&row).is_err()).collect();
    assert!(keep.iter().any(|keep| !keep), "nothing to remove");
    let mut kept = keep.iter();
    log.users.retain(|_| *kept.next().unwrap());
    kept = keep.iter();
    log.items.retain(|_| *kept.next().unwrap());
    kept = keep.iter();
    log.order.retain(|_| *kept.next().unwrap());
    kept = keep.iter();
    log.labels.as_mut().unwrap().retain(|_| *kept.next().unwrap());
}

/// Writes the market to `name` with the rows of `part` changed.
fn write_changed(bench: &Bench, name: &str, part: Part, change: Change) {
    let original = DataSet::open(&bench.path("data")).unwrap();
    let split = Split::new(&original, SplitKind::LeaveLastOut).unwrap();
    let mut log = bench.market.log.clone();
    let rows: Vec<usize> =
        (0..split.parts().len()).filter(|&row| split.part(row) == part).collect();
    change(&mut log, &rows);
    assert_ne!(log, bench.market.log);
    let market = &bench.market;
    let writer = DataSetWriter::create(&bench.path(name)).unwrap();
    writer.write_interactions(&log, market.users.ids(), market.items.ids()).unwrap();
    writer.write_table(&market.items).unwrap();
    writer.write_table(&market.users).unwrap();
    writer.publish().unwrap();
}

/// Trains on the original and on every change, all of which must give the same IDs.
fn assert_no_leak(prepare: impl Fn(&Bench, &str)) {
    let bench = Bench::new();
    prepare(&bench, "data");
    let learned = |data: &str| {
        let artifact = bench.train(data, &format!("run-{data}"), &[]);
        let ids = Side::BOTH.map(|side| sids(&artifact, side));
        let weights = std::fs::read(artifact.join("model.safetensors")).unwrap();
        (ids, weights, manifest(&artifact))
    };
    let (ids, weights, described) = learned("data");
    let changes: [(&str, Part, Change); 4] = [
        ("test-items", Part::Test, other_items),
        ("test-permuted", Part::Test, permuted),
        ("test-fewer", Part::Test, fewer),
        ("validation-items", Part::Validation, other_items),
    ];
    for (name, part, change) in changes {
        write_changed(&bench, name, part, change);
        prepare(&bench, name);
        let (changed_ids, changed_weights, changed) = learned(name);
        assert_eq!(ids, changed_ids, "{name}");
        assert!(weights == changed_weights, "{name}");
        assert_eq!(described["id_space"], changed["id_space"], "{name}");
        // The change did reach the program.
        let of = |manifest: &serde_json::Value| manifest["data"]["interactions.parquet"].clone();
        assert_ne!(of(&described), of(&changed), "{name}");
    }
}

#[test]
fn held_out_rows_change_no_id_with_text() {
    assert_no_leak(|_, _| {});
}

#[test]
fn held_out_rows_change_no_id_with_ready_made_vectors() {
    assert_no_leak(Bench::give_embeddings);
}

#[test]
fn held_out_rows_change_no_id_with_vectors_embedded_beforehand() {
    assert_no_leak(|bench, data| {
        let mut embed = das(["embed", "--data"]);
        embed.arg(bench.path(data)).arg("--config").arg(bench.path("small.toml"));
        succeed(&mut embed);
    });
}

/// Settings under which a baseline, or DAS in two stages, trains in a moment.
const OTHERS: [&[&str]; 5] = [
    &["method=\"rqvae\"", "rqvae.epochs=3"],
    &["method=\"rqkmeans\""],
    &["method=\"letter\"", "letter.epochs=3", "letter.clusters=4"],
    &["method=\"qarm\""],
    &["model.frozen_cf=true"],
];

#[test]
fn held_out_rows_change_no_id_of_other_methods() {
    let bench = Bench::new();
    write_changed(&bench, "test-items", Part::Test, other_items);
    write_changed(&bench, "validation-items", Part::Validation, other_items);
    for (at, settings) in OTHERS.iter().enumerate() {
        let [original, others @ ..] = ["data", "test-items", "validation-items"]
            .map(|data| bench.train(data, &format!("{data}-{at}"), settings));
        let weights = |artifact: &Path| std::fs::read(artifact.join("model.safetensors")).unwrap();
        for other in &others {
            assert_eq!(sids(&original, Side::Item), sids(other, Side::Item), "{settings:?}");
            assert!(weights(&original) == weights(other), "{settings:?}");
        }
    }
}

/// Recommenders learn the same, validation and early stopping included, whatever the test rows.
#[test]
fn test_rows_reach_no_recommender() {
    let bench = Bench::new();
    write_changed(&bench, "changed", Part::Test, permuted);
    let names = ["retriever", "ranker"];
    let learned = |data: &str| {
        let artifact = bench.train(data, &format!("run-{data}"), &[]);
        names.map(|name| {
            let mut train = das([&format!("train-{name}"), "--preset", "quick", "--run"]);
            train.arg(bench.path(&format!("run-{data}"))).arg("--data").arg(bench.path(data));
            train.args(["--set", "retriever.dim=16", "--set", "ranker.dim=4"]);
            let found = succeed_json(&mut train);
            let weights = std::fs::read(artifact.join(name).join("model.safetensors")).unwrap();
            (weights, found["metrics"].clone())
        })
    };
    for ((name, (a, measured)), (b, other)) in
        names.iter().zip(learned("data")).zip(learned("changed"))
    {
        assert!(a == b, "{name}");
        assert_ne!(measured, other, "{name}: the change did not reach the program");
    }
}

/// What the tests above would miss if nothing mattered: a training row does.
#[test]
fn training_rows_do_change_ids() {
    let bench = Bench::new();
    write_changed(&bench, "changed", Part::Train, permuted);
    let [original, changed] =
        ["data", "changed"].map(|data| bench.train(data, &format!("run-{data}"), &[]));
    assert_ne!(sids(&original, Side::Item), sids(&changed, Side::Item));
    assert_ne!(manifest(&original)["id_space"], manifest(&changed)["id_space"]);
}
