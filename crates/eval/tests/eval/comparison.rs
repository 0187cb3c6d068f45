//! Whole comparisons with tokenizers that draw their codes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use das_core::progress::{Cancel, Silent};
use das_core::sid::{SidLayout, SidTable};
use das_core::streams::stream;
use das_core::{DenseMatrix, RowMatrix};
use das_data::DataSet;
use das_eval::Error;
use das_eval::compare::{
    Folder, Jobs, Plan, Question, RESULTS_FILE, SUMMARY_FILE, TaskSplit, Tokens, Workbench,
    compare, remaining_seconds,
};
use das_eval::presets::Preset;
use das_eval::records::{Record, Seconds, Task, read_records};
use das_nn::Device;
use rand::Rng;

use crate::common::*;
use crate::records::record;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Draws codes; stops the comparison after some calls. No two calls for the same IDs may meet.
struct Drawn {
    at_work: Mutex<BTreeSet<(String, TaskSplit, u64)>>,
    calls: AtomicUsize,
    stop_after: usize,
    /// How long a call takes.
    pause: Duration,
    cancel: Cancel,
}

const USERS: u32 = 40;
const ITEMS: u32 = 60;

impl Jobs for Drawn {
    fn tokens(
        &self,
        method: &str,
        split: TaskSplit,
        seed: u64,
        _cancel: &Cancel,
    ) -> Result<Tokens, Fault> {
        if method == "broken beside another" {
            while self.at_work.lock().unwrap().is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if method.starts_with("broken") {
            return Err("no such file".into());
        }
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 >= self.stop_after {
            self.cancel.request();
        }
        let ids = (method.to_owned(), split, seed);
        assert!(self.at_work.lock().unwrap().insert(ids.clone()), "{ids:?} twice at once");
        std::thread::sleep(self.pause);
        let table = |rows: u32| {
            let mut rng = stream(seed, &format!("{method} {}", split.name()), 0);
            let codes = (0..rows * 2).map(|_| rng.random_range(0..6)).collect();
            SidTable::new(SidLayout::learned(vec![6, 6]).unwrap(), codes).unwrap()
        };
        let user = (method == "two-sided").then(|| table(USERS));
        self.at_work.lock().unwrap().remove(&ids);
        Ok(Tokens { item: table(ITEMS), user, item_bag: None, seconds: 1.5, notes: vec![] })
    }

    fn item_content(&self, _split: TaskSplit) -> Result<Option<Box<dyn RowMatrix>>, Fault> {
        let mut rng = stream(0, "content", 0);
        let values = (0..ITEMS * 4).map(|_| rng.random_range(-1.0..1.0)).collect();
        Ok(Some(Box::new(DenseMatrix::new(4, values).unwrap())))
    }
}

fn jobs(stop_after: usize) -> Drawn {
    Drawn {
        at_work: Mutex::default(),
        calls: AtomicUsize::new(0),
        stop_after,
        pause: Duration::from_millis(20),
        cancel: Cancel::default(),
    }
}

/// Every user with clicks and exposures in each part of every split.
fn market() -> (tempfile::TempDir, DataSet) {
    let mut rng = stream(4, "market", 0);
    let rows: Vec<Row> = (0..USERS * 20)
        .map(|at| {
            let (user, item) = (at % USERS, rng.random_range(0..ITEMS));
            Row(user, item, NEW_YEAR + i64::from(at) * 60, rng.random_bool(0.6))
        })
        .collect();
    data_set(USERS, ITEMS, &rows, true)
}

fn run(data: &DataSet, folder: &Folder, plan: &Plan, jobs: &Drawn) -> das_eval::Result<usize> {
    run_beside(data, folder, plan, jobs, 1)
}

fn run_beside(
    data: &DataSet,
    folder: &Folder,
    plan: &Plan,
    jobs: &Drawn,
    workers: usize,
) -> das_eval::Result<usize> {
    let device = Device::cpu();
    let bench = Workbench::new(data, (Preset::Quick, Preset::Quick.budget()), &device, jobs);
    compare(plan, folder, &bench, workers, (&Silent, &jobs.cancel))
}

/// All of a record that does not depend on the clock.
fn figures(records: &[Record]) -> Vec<(String, BTreeMap<String, f64>)> {
    records.iter().map(|record| (record.run.to_string(), record.metrics.clone())).collect()
}

#[test]
fn an_interrupted_comparison_goes_on_where_it_stopped_to_the_same_figures() {
    let (_market, data) = market();
    let methods = ["one-sided".to_owned(), "two-sided".to_owned()];
    let plan = Plan::new(&methods, &[], &Task::ALL.map(Question::from), 1, 1);
    plan.check(&data).unwrap();
    // Intrinsic 2; generative and cold 4 each; ctr on two splits: 3 beside IDs, 2 instead; 3 on
    // the split with cold items.
    assert_eq!(plan.runs().len(), 2 + 4 + 4 + 2 * (3 + 2) + 3);
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = |at: &tempfile::TempDir| Folder::open(at.path(), &serde_json::json!({})).unwrap();

    let (whole, parts) = (open(&whole), open(&parts));
    assert_eq!(run(&data, &whole, &plan, &jobs(usize::MAX)).unwrap(), plan.runs().len());
    let error = run(&data, &parts, &plan, &jobs(4)).unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
    let done = parts.records().unwrap().len();
    assert!(done > 0 && done < plan.runs().len(), "{done}");
    assert_eq!(read_records(&parts.path().join(RESULTS_FILE)).unwrap().len(), done);
    assert_eq!(run(&data, &parts, &plan, &jobs(usize::MAX)).unwrap(), plan.runs().len() - done);
    assert_eq!(run(&data, &parts, &plan, &jobs(usize::MAX)).unwrap(), 0);

    let records = whole.records().unwrap();
    assert_eq!(figures(&records), figures(&parts.records().unwrap()));
    let intrinsic = |method: &str| {
        let found =
            records.iter().find(|r| r.run.task == Task::Intrinsic && r.run.method == method);
        &found.unwrap().metrics
    };
    assert!(intrinsic("two-sided").contains_key("dual_information"));
    assert!(!intrinsic("one-sided").contains_key("dual_information"));
    assert!(intrinsic("one-sided").contains_key("neighbour_content@10"));
    let summary = std::fs::read_to_string(whole.path().join(SUMMARY_FILE)).unwrap();
    let tables = [
        "## generative",
        "## cold",
        "## ctr, global-time/sid-only",
        "| no-sid |",
        "## ctr, per-user-time-cold",
    ];
    assert_says(&summary, &tables);
}

#[test]
fn workers_side_by_side_get_the_figures_of_one() {
    let (_market, data) = market();
    let methods = ["one-sided".to_owned(), "two-sided".to_owned()];
    let questions = [Task::Intrinsic, Task::Generative, Task::Ctr].map(Question::from);
    let plan = Plan::new(&methods, &[], &questions, 2, 1);
    let records_of = |workers| {
        let out = tempfile::tempdir().unwrap();
        let folder = Folder::open(out.path(), &serde_json::json!({})).unwrap();
        let done = run_beside(&data, &folder, &plan, &jobs(usize::MAX), workers).unwrap();
        assert_eq!(done, plan.runs().len());
        let listed = read_records(&out.path().join(RESULTS_FILE)).unwrap();
        assert_eq!(figures(&listed), figures(&folder.records().unwrap()));
        figures(&listed)
    };
    assert_eq!(records_of(1), records_of(3));
}

#[test]
fn no_two_workers_are_at_the_same_ids() {
    let (_market, data) = market();
    let questions = [Task::Intrinsic, Task::Generative].map(Question::from);
    let plan = Plan::new(&["one-sided".to_owned()], &[], &questions, 1, 3);
    let out = tempfile::tempdir().unwrap();
    let folder = Folder::open(out.path(), &serde_json::json!({})).unwrap();
    let jobs = jobs(usize::MAX);
    // Four runs have the same IDs; `Drawn` panics where two ask for them at once.
    assert_eq!(run_beside(&data, &folder, &plan, &jobs, 4).unwrap(), plan.runs().len());
    assert_eq!(jobs.calls.load(Ordering::SeqCst), 4);
}

/// What pairs are made of says of all users what the metric says.
#[test]
fn figures_of_users_average_to_the_metric() {
    let (_market, data) = market();
    let plan = Plan::new(&["one-sided".into()], &[], &[Task::Ctr.into()], 1, 1);
    let out = tempfile::tempdir().unwrap();
    let folder = Folder::open(out.path(), &serde_json::json!({})).unwrap();
    run(&data, &folder, &plan, &jobs(usize::MAX)).unwrap();
    for record in folder.records().unwrap() {
        let users = folder.per_user(&record).unwrap().unwrap();
        let mean = |values: &str, weights: Option<&str>| {
            let ones = vec![1.0; users.users.len()];
            let weights = weights.map_or(&ones, |weights| &users.columns[weights]);
            let pairs = users.columns[values].iter().zip(weights);
            pairs.map(|(value, weight)| value * weight).sum::<f64>() / weights.iter().sum::<f64>()
        };
        for (metric, found) in [
            ("auc", mean("pooled_auc", None)),
            ("uauc", mean("auc", Some("both"))),
            ("gauc", mean("auc", Some("rows"))),
        ] {
            // Figures of users are kept as f32.
            let expected = record.metrics[metric];
            assert!((found - expected).abs() < 1e-5, "{}: {metric}: {found}", record.run);
        }
    }
}

#[test]
fn a_repeat_trains_the_recommender_anew_on_the_same_ids() {
    let (_market, data) = market();
    let plan =
        |repeats| Plan::new(&["one-sided".into()], &[], &[Task::Generative.into()], 1, repeats);
    let out = tempfile::tempdir().unwrap();
    let folder = Folder::open(out.path(), &serde_json::json!({})).unwrap();
    assert_eq!(run(&data, &folder, &plan(1), &jobs(usize::MAX)).unwrap(), 3);
    let first = folder.records().unwrap();
    assert_eq!(run(&data, &folder, &plan(2), &jobs(usize::MAX)).unwrap(), 2);
    let records = folder.records().unwrap();
    for (method, repeats) in [("one-sided", 2), ("sasrec", 2), ("popularity", 1)] {
        let own: Vec<&Record> = records.iter().filter(|r| r.run.method == method).collect();
        assert_eq!(own.len(), repeats, "{method}");
        assert!(first.contains(own[0]), "repeat 0 is what it was");
        if let [first, second] = own[..] {
            let losses =
                |record: &Record| record.curve.iter().map(|at| at.loss).collect::<Vec<_>>();
            assert_ne!(losses(first), losses(second), "{method}");
        }
    }
}

#[test]
fn a_failing_method_is_named_and_what_was_done_is_kept() {
    let (_market, data) = market();
    let plan =
        Plan::new(&["one-sided".into(), "broken".into()], &[], &[Task::Intrinsic.into()], 1, 1);
    let out = tempfile::tempdir().unwrap();
    let folder = Folder::open(out.path(), &serde_json::json!({})).unwrap();
    let error = run(&data, &folder, &plan, &jobs(usize::MAX)).unwrap_err();
    assert!(matches!(error, Error::Tokenizer { .. }));
    assert_says(&error.to_string(), &["method `broken`", "no such file"]);
    assert_eq!(folder.records().unwrap().len(), 1);

    // What was at work beside it, for long after, is kept as well, and nothing new is begun.
    let jobs = Drawn { pause: Duration::from_millis(500), ..jobs(usize::MAX) };
    let methods = ["broken beside another", "one-sided", "two-sided"].map(str::to_owned);
    let plan = Plan::new(&methods, &[], &[Task::Intrinsic.into()], 3, 1);
    let out = tempfile::tempdir().unwrap();
    let folder = Folder::open(out.path(), &serde_json::json!({})).unwrap();
    let error = run_beside(&data, &folder, &plan, &jobs, 2).unwrap_err();
    assert!(matches!(error, Error::Tokenizer { .. }));
    let kept = folder.records().unwrap();
    let kept: Vec<_> = kept.iter().map(|r| (r.run.method.as_str(), r.run.seed)).collect();
    assert_eq!(kept, [("one-sided", 0)]);
}

#[test]
fn a_data_set_without_labels_is_refused_before_anything_runs() {
    let rows: Vec<Row> = (0..20).map(|at| Row(at % 2, at, i64::from(at), true)).collect();
    let (_folder, data) = data_set(2, 20, &rows, false);
    let error = Plan::new(&["das".into()], &[], &[Task::Ctr.into()], 1, 1)
        .check(&data)
        .unwrap_err()
        .to_string();
    assert_says(&error, &["no column `label`"]);
}

#[test]
fn what_is_left_is_estimated_from_the_runs_most_alike() {
    let plan = Plan::new(&["das".into()], &[], &[Task::Generative.into()], 2, 1);
    assert_eq!(remaining_seconds(&[], plan.runs()), None);
    let timed = |method: &str, train: f64| Record {
        seconds: Seconds { train, ..Seconds::default() },
        ..record(method, 0, &[])
    };
    let done = [timed("das", 100.0), timed("popularity", 2.0)];
    let missing = plan.missing(&done);
    let names: Vec<&str> = missing.iter().map(|run| run.method.as_str()).collect();
    assert_eq!(names, ["sasrec", "das", "sasrec"]);
    // SASRec was never run: the mean of its task.
    assert_eq!(remaining_seconds(&done, &missing), Some(51.0 + 100.0 + 51.0));
}
