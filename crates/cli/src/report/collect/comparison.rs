//! `results.jsonl` and `pairs.jsonl`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use das_eval::pairs::Pair;
use das_eval::records::{Record, Task, by_seed, read_records};
use das_eval::stats::{Interval, confidence_interval};

use super::{PAIRS, RESULTS, json_lines};
use crate::report::model::{Board, Comparison, MethodResults, REFERENCE};

/// Tasks in the order of the page: what the IDs are for comes before the IDs by themselves.
const TASKS: [Task; 4] = [Task::Generative, Task::Ctr, Task::Cold, Task::Intrinsic];

/// Reads the results of a comparison's folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<Comparison> {
    let records = read_records(&folder.join(RESULTS))?;
    let pairs: Vec<Pair> = json_lines(&folder.join(PAIRS))?;
    Ok(arrange(records, pairs))
}

fn arrange(records: Vec<Record>, pairs: Vec<Pair>) -> Comparison {
    let methods = methods(&records);
    let mut boards = Vec::new();
    for task in TASKS {
        let mut variants: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for record in records.iter().filter(|record| record.run.task == task) {
            variants.entry(record.run.variant.clone()).or_default().push(record.clone());
        }
        boards.extend(variants.into_iter().map(|(variant, records)| {
            let rows = results(&methods, &records);
            let ablations = results(&names(&records, is_ablation), &records);
            Board { task, variant, rows, ablations }
        }));
    }
    Comparison { boards, methods, pairs }
}

/// The reference with something left out or changed: `das -co_i`.
fn is_ablation(method: &str) -> bool {
    method.strip_prefix(REFERENCE).is_some_and(|rest| rest.starts_with(' '))
}

/// The reference first, then the others as they come.
fn methods(records: &[Record]) -> Vec<String> {
    let mut methods = names(records, |method| !is_ablation(method));
    methods.sort_by_key(|method| method != REFERENCE);
    methods
}

/// The methods that `wanted` accepts, in order of appearance.
fn names(records: &[Record], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for method in records.iter().map(|record| &record.run.method).filter(|name| wanted(name)) {
        if !names.contains(method) {
            names.push(method.clone());
        }
    }
    names
}

fn results(methods: &[String], records: &[Record]) -> Vec<MethodResults> {
    methods
        .iter()
        .map(|method| {
            let of_method = |record: &&Record| record.run.method == *method;
            let mut records: Vec<Record> = records.iter().filter(of_method).cloned().collect();
            records.sort_by_key(|record| (record.run.seed, record.run.repeat));
            let metrics = summaries(&records);
            MethodResults { method: method.clone(), records, metrics }
        })
        .filter(|results| !results.records.is_empty())
        .collect()
}

/// Every metric over seeds, the repeats of a seed averaged.
fn summaries(records: &[Record]) -> BTreeMap<String, Interval> {
    let names: BTreeSet<&String> = records.iter().flat_map(|r| r.metrics.keys()).collect();
    let summary = |name: &String| {
        let seeds: Vec<f64> = by_seed(records, name).into_values().collect();
        Some((name.clone(), confidence_interval(&seeds)?))
    };
    names.into_iter().filter_map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(method: &str, task: &str, seed: u64, recall: f64) -> Record {
        let line = serde_json::json!({
            "method": method, "task": task, "variant": "", "seed": seed, "preset": "quick",
            "metrics": {"recall@10": recall},
            "seconds": {"tokenizer": 1.0, "train": 2.0, "evaluate": 3.0},
        });
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn records_become_boards_with_the_reference_first() {
        let comparison = arrange(
            vec![
                record("rqvae", "intrinsic", 0, 0.1),
                record("rqvae", "generative", 1, 0.3),
                record("rqvae", "generative", 0, 0.1),
                record("das -co_i", "generative", 0, 0.4),
                record("das", "generative", 0, 0.5),
            ],
            Vec::new(),
        );
        assert_eq!(comparison.methods, ["das", "rqvae"]);
        let tasks: Vec<Task> = comparison.boards.iter().map(|board| board.task).collect();
        assert_eq!(tasks, [Task::Generative, Task::Intrinsic]);
        let board = &comparison.boards[0];
        assert_eq!((board.rows.len(), board.ablations.len()), (2, 1));
        let rqvae = &board.rows[1];
        assert_eq!(rqvae.records.iter().map(|r| r.run.seed).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(rqvae.metrics["recall@10"].mean, 0.2);
        assert_eq!(rqvae.metrics["recall@10"].count, 2);
        assert_eq!(comparison.boards[1].rows.len(), 1);
    }

    #[test]
    fn intervals_are_over_seeds_and_not_over_the_repeats_of_one() {
        let mut again = record("das", "generative", 0, 0.3);
        again.run.repeat = 1;
        let records =
            vec![record("das", "generative", 1, 0.4), again, record("das", "generative", 0, 0.1)];
        let comparison = arrange(records, Vec::new());
        let row = &comparison.boards[0].rows[0];
        let runs: Vec<(u64, u64)> =
            row.records.iter().map(|r| (r.run.seed, r.run.repeat)).collect();
        assert_eq!(runs, [(0, 0), (0, 1), (1, 0)]);
        let found = row.metrics["recall@10"];
        assert_eq!(found.count, 2);
        assert!((found.mean - 0.3).abs() < 1e-12, "{}", found.mean);
    }
}
