//! `das inspect` and `das export`: one set of figures, whatever form the IDs come in.

use std::path::{Path, PathBuf};

use das_core::Side;
use das_core::metrics::intrinsic;
use das_core::sid::files::{read_index_json, read_parquet};
use serde_json::Value;

use crate::common::*;

fn inspect(target: &Path, data: Option<&Path>) -> Value {
    let mut command = das(["inspect"]);
    command.arg(target);
    data.iter().for_each(|data| {
        command.arg("--data").arg(data);
    });
    succeed_json(&mut command)
}

fn export(bench: &Bench, run: &str, format: &str, side: Side, name: &str) -> PathBuf {
    let out = bench.path(name);
    let mut export = das(["export", "--format", format, "--side", side.name(), "--run"]);
    succeed(export.arg(bench.path(run)).arg("--out").arg(&out));
    out
}

#[test]
fn a_run_its_artifact_and_its_exports_have_equal_figures() {
    let bench = Bench::new();
    let artifact = bench.train("data", "run", &["collision.policy=none"]);
    let data = bench.path("data");
    let of_run = inspect(&bench.path("run"), Some(&data));
    assert_eq!(of_run, inspect(&artifact, Some(&data)));
    for (format, name) in [("index-json", "ids.index.json"), ("parquet", "ids.parquet")] {
        let file = export(&bench, "run", format, Side::Item, name);
        let of_file = inspect(&file, Some(&data));
        assert_eq!(of_run["item"], of_file["item"], "{format}");
        assert!(of_file.get("user").is_none());
    }
    let users = export(&bench, "run", "parquet", Side::User, "users.parquet");
    assert_eq!(of_run["user"], inspect(&users, Some(&data))["user"]);
    // Without the data set only what the IDs tell by themselves is left.
    let alone = inspect(&bench.path("run"), None);
    for key in ["items", "unique", "collision_rate", "largest_bucket", "levels"] {
        assert_eq!(alone["item"][key], of_run["item"][key], "{key}");
    }
    assert!(alone["item"].get("agreement").is_none());
}

#[test]
fn exports_hold_the_ids_of_the_artifact() {
    let bench = Bench::new();
    let artifact = bench.train("data", "run", &[]);
    for side in Side::BOTH {
        let known = sids(&artifact, side);
        let parquet = export(&bench, "run", "parquet", side, "ids.parquet");
        assert_eq!(read_parquet(&parquet, None).unwrap(), known);
        let json = export(&bench, "run", "index-json", side, "ids.index.json");
        let json = read_index_json(&json, None).unwrap();
        assert_eq!(json.ids, known.ids);
        assert_eq!(json.table.codes(), known.table.codes());
    }
}

#[test]
fn the_json_has_the_promised_keys_with_the_figures_of_the_ids() {
    let bench = Bench::new();
    let artifact = bench.train("data", "run", &[]);
    let report = inspect(&bench.path("run"), Some(&bench.path("data")));
    for (side, count) in [(Side::Item, ITEMS), (Side::User, USERS)] {
        let found = &report[side.name()];
        let table = sids(&artifact, side).table;
        let expected = intrinsic(&table, None).unwrap();
        assert_eq!(found["items"], count);
        assert_eq!(found["unique"], expected.unique);
        assert_eq!(found["collision_rate"], expected.collision_rate);
        assert_eq!(found["largest_bucket"], expected.largest_bucket);
        assert_eq!(found["collision_rate_resolved"], 0.0);
        assert_eq!(found["popularity_deciles"].as_array().unwrap().len(), 10);
        let levels = found["levels"].as_array().unwrap();
        assert_eq!(levels.len(), 3);
        for (level, expected) in levels.iter().zip(&expected.levels) {
            assert_eq!(level["codebook_size"], 8);
            assert_eq!(level["used"], expected.used);
            assert_eq!(level["perplexity"], expected.perplexity);
            assert_eq!(level["gini"], expected.gini);
        }
    }
    let parts = report["item"]["agreement"].as_array().unwrap();
    assert_eq!(parts.iter().map(|part| &part["part"]).collect::<Vec<_>>(), ["validation", "test"]);
    for part in parts {
        let prefixes = part["prefixes"].as_array().unwrap();
        assert_eq!(prefixes.len(), 3);
        for key in ["prefix", "pairs", "agreeing", "observed", "expected", "lift"] {
            assert!(prefixes[0].get(key).is_some(), "{key}");
        }
    }
    assert!(report["dual"]["mi"].is_number());
    // The manifest keeps the figures of the run, on validation clicks.
    let kept = &manifest(&artifact)["metrics"]["intrinsic"]["item"];
    assert_eq!(kept["levels"], report["item"]["levels"]);
    assert_eq!(kept["agreement"][0], parts[0]);
    assert!(kept["reconstruction_error"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_table_for_people_names_sides_and_levels() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    let mut command = das(["inspect"]);
    let text = succeed(command.arg(bench.path("run")).arg("--data").arg(bench.path("data")));
    for part in ["collisions", "items, level 1", "users, level 3", "test clicks, first 1 equal"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    // A category column that is not there is the caller's mistake.
    fail(command.args(["--category", "genre"]), 2, &["genre", "title, description"]);
    let mut split = das(["inspect", "--split", "random"]);
    split.arg(bench.path("run")).arg("--data").arg(bench.path("data"));
    fail(&mut split, 2, &["random", "leave-last-out"]);
}

/// LETTER's published IDs of Amazon Beauty, counted before by its own repository's format.
#[test]
fn published_ids_of_another_tokenizer() {
    let root = std::env::var_os("DAS_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let beauty = root.join("data/beauty");
    let ids = beauty.join("peers/letter.index.json");
    if !ids.is_file() {
        eprintln!("SKIPPED: no real data at {}", ids.display());
        return;
    }
    let report = inspect(&ids, Some(&beauty));
    let item = &report["item"];
    assert_eq!((&item["items"], &item["unique"]), (&12_101.into(), &12_088.into()));
    assert_eq!(item["levels"].as_array().unwrap().len(), 4);
    assert!(item["categories"][0]["purity"].as_f64().unwrap() > 0.0);
    for part in item["agreement"].as_array().unwrap() {
        assert!(part["prefixes"][0]["lift"].as_f64().unwrap() > 1.0);
    }
}
