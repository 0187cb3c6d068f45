//! `das contrasts`: plans, what came of them, and plans that ask for what is not there.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::*;
use crate::compare::compare;

const PLAN: &str = r#"
[[contrast]]
comparison = "shop"
task = "generative"
metric = "recall@10"
a = "das"
b = "rqvae"
by_relative = 5.0

[[contrast]]
comparison = "shop"
task = "generative"
metric = "ndcg@10"
a = "sasrec"
b = "popularity"
claim = "not-worse"
margin_relative = 0.9
"#;

/// `das contrasts` of `plan` against the bench's comparison, not yet run.
fn contrasts(bench: &Bench, plan: &str) -> Command {
    fs::write(bench.path("plan.toml"), plan).unwrap();
    let mut command = das(["contrasts", "--plan"]);
    command.arg(bench.path("plan.toml"));
    command.arg(format!("shop={}", bench.path("comparison").display()));
    command
}

#[test]
fn claims_are_held_against_the_records_of_a_comparison() {
    let bench = Bench::new();
    let methods = ["--methods", "das,rqvae", "--tasks", "generative", "--repeats", "2"];
    let records = succeed_json(&mut compare(&bench, "comparison", &methods));
    // Three recommenders that are trained, twice each, and one that is not.
    assert_eq!(records.as_array().unwrap().len(), 7);
    let tokenizers = fs::read_dir(bench.path("comparison/runs/leave-last-out/das")).unwrap();
    assert_eq!(tokenizers.count(), 1, "a tokenizer is trained once a seed");

    let out = bench.path("contrasts.jsonl");
    let table = succeed(contrasts(&bench, PLAN).arg("--out").arg(&out));
    assert!(table.contains("| shop, generative | das | rqvae | recall@10 |"), "{table}");
    let lines = fs::read_to_string(&out).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::from(lines.clone()), succeed_json(&mut contrasts(&bench, PLAN)));
    assert_eq!((&lines[0]["claim"], &lines[1]["claim"]), (&"ahead".into(), &"not-worse".into()));
    assert_eq!(lines[0]["reaches_by"], false);
    let pairs = fs::read_to_string(bench.path("comparison/pairs.jsonl")).unwrap();
    let pairs = pairs.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pair = pairs.into_iter().find(|p| p["b"] == "rqvae" && p["metric"] == "recall@10").unwrap();
    for key in ["difference", "users", "seeds"] {
        assert_eq!(lines[0][key], pair[key], "{key}");
    }
    let missing = PLAN.replace("\"rqvae\"", "\"letter\"");
    let parts = ["plan.toml: contrast 1:", "no record of `letter` in generative", "it has das"];
    fail(&mut contrasts(&bench, &missing), 1, &parts);
}

#[test]
fn a_plan_that_cannot_be_read_is_refused_by_file_and_entry() {
    let bench = Bench::new();
    let refuse = |from: &str, to: &str, code: i32, parts: &[&str]| {
        fail(&mut contrasts(&bench, &PLAN.replace(from, to)), code, parts);
    };
    refuse("margin_relative", "margin", 2, &["plan.toml: contrast 2:", "unknown field `margin`"]);
    refuse("by_relative = 5.0", "by = 0", 2, &["contrast 1:", "`by`: expected a number above 0"]);
    refuse("[[contrast]]", "[[contrasts]]", 2, &["plan.toml:", "unknown field `contrasts`"]);
    refuse(PLAN, "contrast = []", 2, &["plan.toml: expected a [[contrast]], found none"]);
    refuse("", "", 1, &["comparison", "not the folder of a comparison"]);
    let mut command = das(["contrasts", "--plan"]);
    command.arg(bench.path("plan.toml")).arg("shop");
    fail(&mut command, 2, &["`shop`: expected NAME=FOLDER"]);
}
