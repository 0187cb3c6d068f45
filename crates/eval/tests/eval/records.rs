//! Records survive the way to the file and back.

use das_eval::records::{
    CurvePoint, Decile, PerUser, Record, Run, Seconds, Task, read_records, write_lines,
};

use crate::common::assert_says;

pub(crate) fn record(method: &str, seed: u64, metrics: &[(&str, f64)]) -> Record {
    let task = Task::Generative;
    Record {
        run: Run { method: method.into(), task, variant: String::new(), seed, repeat: 0 },
        preset: "quick".into(),
        metrics: metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        deciles: vec![],
        seconds: Seconds::default(),
        curve: vec![],
        per_user: vec![],
        notes: vec![],
    }
}

#[test]
fn records_round_trip_as_flat_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let mut full = record("das -co_i", 3, &[("recall@10", 0.0625)]);
    let metrics = full.metrics.clone();
    full.deciles.push(Decile { decile: 9, queries: 7, metrics });
    full.curve.push(CurvePoint { epoch: 1, seconds: 0.5, loss: 2.5, validation: None });
    let records = [full, record("sasrec", 0, &[])];
    write_lines(&path, &records).unwrap();
    assert_eq!(read_records(&path).unwrap(), records);
    let text = std::fs::read_to_string(&path).unwrap();
    let expected = r#"{"method":"das -co_i","task":"generative","variant":"","seed":3,"preset":"quick","metrics":{"recall@10":0.0625},"#;
    assert!(text.starts_with(expected), "{text}");
}

/// Records of earlier versions say nothing of repeats.
#[test]
fn only_a_repeat_is_written_and_named() {
    let first = record("das", 3, &[]);
    assert!(!serde_json::to_string(&first).unwrap().contains("repeat"));
    assert_eq!(first.run.to_string(), "das, generative, seed 3");
    let mut second = first.clone();
    second.run.repeat = 1;
    let line = serde_json::to_string(&second).unwrap();
    assert!(line.contains(r#""seed":3,"repeat":1"#), "{line}");
    assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), second);
    assert_eq!(second.run.to_string(), "das, generative, seed 3, repeat 1");
    assert_eq!(first.run.recommender_seed(), 3);
    assert_ne!(second.run.recommender_seed(), 3);
}

#[test]
fn a_bad_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    write_lines(&path, &[record("das", 0, &[])]).unwrap();
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{good}\n{{\"method\": 1}}\n")).unwrap();
    let error = read_records(&path).unwrap_err().to_string();
    assert!(!error.contains("line 1"), "the decoder's own line is not the file's: {error}");
    assert_says(&error, &["results.jsonl: line 3: missing field `preset`"]);
}

#[test]
fn figures_of_users_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.npy");
    let columns = [("auc", vec![0.5, 0.75]), ("rows", vec![3.0, 4.0])];
    let columns = columns.map(|(name, values)| (name.to_owned(), values)).into();
    let per_user = PerUser { users: vec![4, 900], columns };
    per_user.write(&path).unwrap();
    let names = per_user.column_names();
    assert_eq!(names, ["user", "auc", "rows"]);
    assert_eq!(PerUser::read(&path, &names).unwrap(), per_user);
    assert!(PerUser::read(&path, &names[..2]).unwrap_err().to_string().contains("3 columns"));
}

#[test]
fn names_of_tasks_round_trip() {
    for task in Task::ALL {
        assert_eq!(task.name().parse::<Task>().unwrap(), task);
        assert_eq!(serde_json::to_string(&task).unwrap(), format!("\"{task}\""));
    }
    assert_says(&"x".parse::<Task>().unwrap_err().to_string(), &["`x`", "intrinsic"]);
}
