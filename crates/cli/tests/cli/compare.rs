//! `das compare`, `das train-retriever` and `das train-ranker`: records, resuming, bad calls.

use std::fs;
use std::process::Command;

use das_core::Side;
use das_core::sid::files::write_index_json;
use serde_json::Value;

use crate::common::*;

/// Recommenders that train in a moment.
const SMALL: [&str; 8] = [
    "retriever.dim=16",
    "retriever.hidden=16",
    "retriever.depth_hidden=16",
    "sasrec.dim=16",
    "sasrec.hidden=16",
    "ranker.dim=4",
    "ranker.hidden=[8]",
    "rqvae.epochs=3",
];

/// `das compare` of small recommenders under one seed, not yet run.
pub(crate) fn compare(bench: &Bench, out: &str, more: &[&str]) -> Command {
    let mut command = das(["compare", "--preset", "quick", "--seeds", "1", "--data"]);
    command.arg(bench.path("data")).arg("--out").arg(bench.path(out));
    command.arg("--config").arg(bench.path("small.toml"));
    command.args(SMALL.iter().flat_map(|setting| ["--set", setting])).args(more);
    command
}

/// `method task/variant` of every record.
fn rows(records: &Value) -> Vec<String> {
    let records = records.as_array().unwrap();
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_string();
    let row =
        |r: &Value| format!("{} {}/{}", text(r, "method"), text(r, "task"), text(r, "variant"));
    records.iter().map(row).collect()
}

#[test]
fn a_comparison_grows_and_does_nothing_twice() {
    let bench = Bench::new();
    let artifact = bench.train("data", "run", &[]);
    let own = sids(&artifact, Side::Item);
    let file = bench.path("peer.index.json");
    write_index_json(&file, &own.ids, &own.table).unwrap();
    let methods = format!("das,rqvae,{}", file.display());
    let first = ["--tasks", "intrinsic,generative", "--methods", &methods];
    let records = succeed_json(&mut compare(&bench, "comparison", &first));
    let expected = [
        "das intrinsic/",
        "peer intrinsic/",
        "rqvae intrinsic/",
        "das generative/",
        "peer generative/",
        "popularity generative/",
        "rqvae generative/",
        "sasrec generative/",
    ];
    assert_eq!(rows(&records), expected);
    for record in records.as_array().unwrap() {
        let metrics = record["metrics"].as_object().unwrap();
        assert!(metrics.values().all(|value| value.as_f64().unwrap().is_finite()), "{record}");
    }
    let summary = fs::read_to_string(bench.path("comparison/summary.md")).unwrap();
    assert!(summary.contains("peer") && summary.contains("R@10"), "{summary}");
    let pairs = fs::read_to_string(bench.path("comparison/pairs.jsonl")).unwrap();
    assert!(pairs.lines().count() > 0);

    // Nothing is done again, and a wider call adds what is missing.
    let before = files_below(&bench.path("comparison/records"));
    let wider = ["--tasks", "generative,ctr", "--methods", "das"];
    let records = succeed_json(&mut compare(&bench, "comparison", &wider));
    let after = files_below(&bench.path("comparison/records"));
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes));
    for row in ["das ctr/global-time", "das ctr/per-user-time/sid-only", "no-sid ctr/global-time"] {
        assert!(rows(&records).contains(&row.to_string()), "{row}");
    }
    fail(
        &mut compare(&bench, "comparison", &["--preset", "full", "--methods", "das"]),
        2,
        &["--preset"],
    );
    let other = ["--set", "train.epochs=5", "--methods", "das"];
    fail(&mut compare(&bench, "comparison", &other), 1, &["another comparison", "settings.train"]);

    let report = bench.path("page.html");
    succeed(das(["report"]).arg(bench.path("comparison")).arg("--out").arg(&report));
    assert!(fs::read_to_string(report).unwrap().contains("rqvae"));
}

/// Content vectors are made by one of the workers, tokenizers by one each.
#[test]
fn runs_side_by_side_give_the_records_of_one_after_another() {
    let bench = Bench::new();
    let figures = |out: &str, jobs: &str| -> Vec<(Value, Value, Value)> {
        let call = ["--tasks", "intrinsic,generative", "--methods", "das,rqvae", "--jobs", jobs];
        let records = succeed_json(&mut compare(&bench, out, &call));
        let of = |r: &Value| (r["method"].clone(), r["task"].clone(), r["metrics"].clone());
        records.as_array().unwrap().iter().map(of).collect()
    };
    let alone = figures("alone", "1");
    assert_eq!(alone.len(), 6);
    assert_eq!(alone, figures("beside", "3"));
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_runs() {
    let bench = Bench::new();
    let refuse = |more: &[&str], code: i32, parts: &[&str]| {
        fail(&mut compare(&bench, "comparison", more), code, parts);
        assert!(!bench.path("comparison").exists());
    };
    refuse(&["--methods", "lettre"], 2, &["lettre", "rqkmeans"]);
    refuse(&["--jobs", "0"], 2, &["--jobs", "1..=1024"]);
    refuse(&["--methods", "das,das"], 2, &["two rows named `das`"]);
    refuse(&["--tasks", "ranking"], 2, &["ranking", "generative"]);
    refuse(&["--set", "retriever.dims=3"], 2, &["dims"]);

    let written = |text: &str| {
        let path = bench.path("bad.index.json");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let codes = |items: std::ops::Range<usize>| -> String {
        let rows: Vec<String> =
            items.map(|item| format!(r#""{item}": ["<a_{}>", "<b_1>"]"#, item % 7)).collect();
        rows.join(", ")
    };
    let all = codes(0..ITEMS);
    let missing = written(&format!("{{{}}}", codes(1..ITEMS)));
    refuse(&["--methods", &missing], 1, &["bad.index.json", "no codes for id 0"]);
    let unknown = written(&format!(r#"{{{all}, "9999": ["<a_1>", "<b_1>"]}}"#));
    refuse(&["--methods", &unknown], 1, &["bad.index.json", "9999"]);
    let repeated = written(&format!(r#"{{{all}, "3": ["<a_1>", "<b_1>"]}}"#));
    refuse(&["--methods", &repeated], 1, &["bad.index.json", "3"]);
    let ragged = written(&format!(r#"{{{}, "0": ["<a_1>"]}}"#, codes(1..ITEMS)));
    refuse(&["--methods", &ragged], 1, &["bad.index.json"]);
    let wild = written(&format!(r#"{{{}, "0": ["<a_99999999999>", "<b_1>"]}}"#, codes(1..ITEMS)));
    refuse(&["--methods", &wild], 1, &["bad.index.json"]);
}

#[test]
fn a_log_without_labels_has_no_click_prediction() {
    let bench = Bench::new();
    let log = &bench.market.log;
    let labels = log.labels.as_ref().unwrap();
    let clicked = |values: &[u32]| -> Vec<i64> {
        let rows = values.iter().zip(labels).filter(|(_, clicked)| **clicked);
        rows.map(|(value, _)| i64::from(*value)).collect()
    };
    let times: Vec<i64> =
        log.order.iter().zip(labels).filter(|(_, clicked)| **clicked).map(|(t, _)| *t).collect();
    write_parquet(
        &bench.path("data/interactions.parquet"),
        [
            ("user_id", ints(&clicked(&log.users))),
            ("item_id", ints(&clicked(&log.items))),
            ("timestamp", ints(&times)),
        ],
    );
    let call = ["--methods", "das", "--tasks", "ctr"];
    fail(&mut compare(&bench, "comparison", &call), 1, &["label"]);
    assert!(!bench.path("comparison").exists());
}

#[test]
fn recommenders_are_attached_to_a_run() {
    let bench = Bench::new();
    let artifact = bench.train("data", "run", &[]);
    let space = manifest(&artifact)["id_space"].clone();
    let recommend = |command: &str, run: &str, data: &str| {
        let mut call = das([command, "--preset", "quick", "--run"]);
        call.arg(bench.path(run)).arg("--data").arg(bench.path(data));
        call.args(SMALL[..7].iter().flat_map(|setting| ["--set", setting]));
        call
    };
    let found = succeed_json(&mut recommend("train-retriever", "run", "data"));
    assert!(found["metrics"]["recall@10"].as_f64().unwrap() > 0.0);
    let first = fs::read(artifact.join("retriever/model.safetensors")).unwrap();
    let found = succeed_json(&mut recommend("train-ranker", "run", "data"));
    // A market this small teaches a ranker nothing: only that it was measured can be asked.
    let auc = found["metrics"]["auc"].clone();
    assert!((0.3..0.8).contains(&auc.as_f64().unwrap()), "{auc}");

    // Both are there, the IDs mean what they meant, and the same call gives the same bytes.
    succeed(&mut recommend("train-retriever", "run", "data"));
    assert_eq!(fs::read(artifact.join("retriever/model.safetensors")).unwrap(), first);
    let manifest = manifest(&artifact);
    assert_eq!(manifest["id_space"], space);
    assert!(manifest["files"]["ranker/model.safetensors"].is_object());
    assert_eq!(manifest["metrics"]["ranker"]["auc"], auc);
    das_core::artifact::Artifact::open(&artifact).unwrap().verify().unwrap();

    // QARM's VQ codes are a feature of its ranker.
    let qarm = bench.train("data", "qarm", &["method=\"qarm\""]);
    succeed(&mut recommend("train-ranker", "qarm", "data"));
    let header = fs::read(qarm.join("ranker/model.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&header).contains("vq_code"));

    // Other data than the run was trained on is refused.
    let other = Bench::new();
    other.give_embeddings("data");
    let mut call = das(["train-retriever", "--run"]);
    call.arg(bench.path("run")).arg("--data").arg(other.path("data"));
    fail(&mut call, 1, &["is not what", "was trained on"]);
}
