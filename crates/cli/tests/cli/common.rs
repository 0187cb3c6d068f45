//! A small market, small settings, and calls of the program.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch, StringArray};
use das_core::Side;
use das_core::sid::files::{SidFile, read_parquet};
use das_data::synthetic::{Market, MarketConfig};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const USERS: usize = 200;
pub(crate) const ITEMS: usize = 150;

/// Settings under which a run takes a second and still passes every phase: unquantized epochs,
/// k-means, a dead-code reset, settling.
const SMALL: &str = r#"
[content]
dim = 24
max_features = 2000

[train]
epochs = 4
batch_size = 64
quantize_after = 1
settle_epochs = 1
kmeans_iterations = 5
checkpoint_steps = 10

[model]
adapter_rank = 4
code_dim = 8

[model.terms]
qu_int = 1.0
qi_pro = 1.0

[model.user]
hidden = [16]
codebook_sizes = [8, 8, 8]

[model.item]
hidden = [16]
codebook_sizes = [8, 8, 8]
"#;

/// A folder with a market in `data`, its settings in `small.toml`, and room for runs.
pub(crate) struct Bench {
    folder: TempDir,
    pub(crate) market: Market,
}

impl Bench {
    /// A bench of its own for each test.
    pub(crate) fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let config = MarketConfig {
            users: USERS,
            items: ITEMS,
            super_topics: 3,
            topics: 6,
            rounds: 4,
            slots: 12,
            ..MarketConfig::default()
        };
        let market = Market::generate(&config, 7).unwrap();
        market.write(&folder.path().join("data")).unwrap();
        fs::write(folder.path().join("small.toml"), SMALL).unwrap();
        Bench { folder, market }
    }

    /// A path inside the bench's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `das train` of `data` into `out` with the small settings and `overrides`, not yet run.
    pub(crate) fn train_command(&self, data: &str, out: &str, overrides: &[&str]) -> Command {
        let mut command = das(["train", "--data"]);
        command.arg(self.path(data)).arg("--out").arg(self.path(out));
        command.arg("--config").arg(self.path("small.toml"));
        command.args(overrides.iter().flat_map(|setting| ["--set", setting]));
        command
    }

    /// Runs it to the end and returns the artifact's folder.
    pub(crate) fn train(&self, data: &str, out: &str, overrides: &[&str]) -> PathBuf {
        succeed(&mut self.train_command(data, out, overrides));
        self.path(out).join("artifact")
    }

    /// `das train --resume` of the run at `out`, not yet run.
    pub(crate) fn resume_command(&self, data: &str, out: &str) -> Command {
        let mut command = das(["train", "--resume", "--data"]);
        command.arg(self.path(data)).arg("--out").arg(self.path(out));
        command
    }

    /// Vectors that depend on the row alone, as ready-made embeddings of `data`.
    pub(crate) fn give_embeddings(&self, data: &str) {
        for (side, rows, dim) in [(Side::User, USERS, 10), (Side::Item, ITEMS, 6)] {
            let path = self.path(data).join(format!("{side}_embeddings.parquet"));
            let ids: Vec<i64> = (0..rows as i64).collect();
            write_parquet(
                &path,
                [(side.id_column(), ints(&ids)), ("vector", vectors(dim, &wave(rows, dim)))],
            );
        }
    }
}

/// Smooth values without structure: what matters is only that rows differ.
pub(crate) fn wave(rows: usize, dim: usize) -> Vec<f32> {
    (0..rows * dim).map(|at| (at as f32 * 0.7).sin() + (at as f32 * 0.031).cos()).collect()
}

/// The program with `arguments`, its output collected, outside any terminal.
pub(crate) fn das<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_das"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a call left behind.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn call(command: &mut Command) -> Called {
    let output = command.output().unwrap();
    Called {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command that must succeed without a word on standard error; returns its output.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> String {
    let called = call(command);
    assert_eq!((called.code, called.stderr.as_str()), (Some(0), ""), "{command:?}");
    called.stdout
}

/// The output of a successful command as JSON.
#[track_caller]
pub(crate) fn succeed_json(command: &mut Command) -> Value {
    serde_json::from_str(&succeed(command.arg("--json"))).unwrap()
}

/// Runs a command that must end with `code`, print no result, and say every one of `parts`.
#[track_caller]
pub(crate) fn fail(command: &mut Command, code: i32, parts: &[&str]) {
    let called = call(command);
    assert_eq!(called.code, Some(code), "{command:?}: {called:?}");
    assert_eq!(called.stdout, "", "{command:?}");
    for part in parts {
        assert!(called.stderr.contains(part), "`{part}` is not in: {}", called.stderr);
    }
    assert!(!called.stderr.contains("panicked"), "{}", called.stderr);
    for line in called.stderr.lines().filter(|line| line.starts_with("error: ")) {
        let twice = line.match_indices(": ").find(|(at, _)| line[..*at].ends_with(&line[at + 2..]));
        assert!(twice.is_none(), "says the same twice: {line}");
    }
}

/// Every file below `folder` by its relative path, hidden ones included.
pub(crate) fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(folder, folder, &mut found);
    found
}

/// Asserts that two folders hold the same files, byte for byte.
#[track_caller]
pub(crate) fn assert_same_files(left: &Path, right: &Path) {
    let [left, right] = [left, right].map(files_below);
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    let differing: Vec<_> = left.keys().filter(|&name| left[name] != right[name]).collect();
    assert!(differing.is_empty(), "these files differ: {differing:?}");
}

/// The IDs that an artifact gives to a side.
pub(crate) fn sids(artifact: &Path, side: Side) -> SidFile {
    read_parquet(&artifact.join(format!("{side}_sids.parquet")), None).unwrap()
}

/// The manifest of an artifact.
pub(crate) fn manifest(artifact: &Path) -> Value {
    read_json(&artifact.join("manifest.json"))
}

/// A JSON file.
pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The records of a run's `metrics.jsonl`.
pub(crate) fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

pub(crate) fn texts<T: AsRef<str>>(values: &[T]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Rows of equal width.
pub(crate) fn vectors(dim: usize, values: &[f32]) -> ArrayRef {
    use arrow_array::types::Float32Type;
    let rows = values.chunks(dim).map(|row| Some(row.iter().copied().map(Some)));
    let array = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, dim as i32);
    Arc::new(array)
}

/// Writes a table, replacing what stands at `path`.
pub(crate) fn write_parquet<'a>(
    path: &Path,
    columns: impl IntoIterator<Item = (&'a str, ArrayRef)>,
) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
