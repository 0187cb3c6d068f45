//! The record of one run, as a line of JSON, and each user's figures beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use das_core::streams::stream;
use das_core::{DenseMatrix, RowMatrix, files, npy};
pub use das_recommend::fit::CurvePoint;
use rand::RngCore;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// The IDs by themselves.
    Intrinsic,
    /// Click prediction by a ranker.
    Ctr,
    /// Next-item retrieval.
    Generative,
    /// Next-item retrieval of items held out of training altogether.
    Cold,
}

impl Task {
    /// All tasks, in the order of reports.
    pub const ALL: [Task; 4] = [Task::Intrinsic, Task::Generative, Task::Cold, Task::Ctr];

    /// The name in records and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Task::Intrinsic => "intrinsic",
            Task::Ctr => "ctr",
            Task::Generative => "generative",
            Task::Cold => "cold",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Task {
    type Err = Error;

    fn from_str(name: &str) -> Result<Task> {
        Task::ALL.into_iter().find(|task| task.name() == name).ok_or_else(|| {
            let known = Task::ALL.map(Task::name).join(", ");
            Error::Invalid(format!("unknown task `{name}`, expected one of {known}"))
        })
    }
}

/// What one run is: no two runs of a comparison are alike in all of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run {
    /// `das`, `rqvae`, …, the label of an ID file, `sasrec`, `popularity` or `no-sid`.
    pub method: String,
    /// The task.
    pub task: Task,
    /// Which form of the task, as in `global-time/sid-only`; empty where there is one.
    pub variant: String,
    /// The seed of the tokenizer, and of the recommender of repeat 0.
    pub seed: u64,
    /// Which training of the recommender on the same IDs, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repeat: u64,
}

fn is_first(repeat: &u64) -> bool {
    *repeat == 0
}

impl Run {
    /// The seed of the recommender: that of the tokenizer in repeat 0, in others the first number
    /// of the stream `eval/repeat` with the repeat as its index.
    pub fn recommender_seed(&self) -> u64 {
        match self.repeat {
            0 => self.seed,
            repeat => stream(self.seed, "eval/repeat", repeat).next_u64(),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { method, task, variant, seed, repeat } = self;
        let slash = if variant.is_empty() { "" } else { "/" };
        write!(f, "{method}, {task}{slash}{variant}, seed {seed}")?;
        if *repeat > 0 { write!(f, ", repeat {repeat}") } else { Ok(()) }
    }
}

/// Metrics over the queries whose target is in one tenth of the items by training popularity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decile {
    /// 0 for the least clicked items.
    pub decile: u8,
    /// Queries or entities in it.
    pub queries: usize,
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
}

/// Wall time by phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Training of the tokenizer; 0 where there is none.
    pub tokenizer: f64,
    /// Training of the recommender.
    pub train: f64,
    /// Evaluation.
    pub evaluate: f64,
}

/// One line of `results.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was run.
    #[serde(flatten)]
    pub run: Run,
    /// The budget.
    pub preset: String,
    /// Metrics by name, e.g. `recall@10`.
    pub metrics: BTreeMap<String, f64>,
    /// The same by popularity; empty where a task has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deciles: Vec<Decile>,
    /// Wall time.
    pub seconds: Seconds,
    /// The recommender's training.
    #[serde(default)]
    pub curve: Vec<CurvePoint>,
    /// Columns of the file of each user's figures; empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_user: Vec<String>,
    /// What a reader should know.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A metric by seed, the mean over the repeats of each: trainings on the same IDs are alike, so
/// seeds, and not trainings, are what an interval counts. Values that are not finite are left out.
pub fn by_seed<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    metric: &str,
) -> BTreeMap<u64, f64> {
    let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for record in records {
        let Some(value) = record.metrics.get(metric).filter(|value| value.is_finite()) else {
            continue;
        };
        let (sum, repeats) = sums.entry(record.run.seed).or_default();
        *sum += value;
        *repeats += 1.0;
    }
    sums.into_iter().map(|(seed, (sum, repeats))| (seed, sum / repeats)).collect()
}

/// Each user's figures, for comparisons of methods user by user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerUser {
    /// Rows of users, ascending.
    pub users: Vec<u32>,
    /// Values by name, one a user.
    pub columns: BTreeMap<String, Vec<f64>>,
}

/// The column of users in a file of each user's figures.
const USER_COLUMN: &str = "user";

impl PerUser {
    /// The names of the file's columns.
    pub fn column_names(&self) -> Vec<String> {
        if self.users.is_empty() {
            return Vec::new();
        }
        [USER_COLUMN.to_owned()].into_iter().chain(self.columns.keys().cloned()).collect()
    }

    /// Writes `[users, columns]` as f32 `.npy`; user rows beyond 2^24 are refused, since an f32
    /// does not tell them apart.
    pub fn write(&self, path: &Path) -> Result<()> {
        if self.users.last().is_some_and(|&last| last > 1 << 24) {
            let message = "more than 2^24 users: their figures cannot be stored by user";
            return Err(das_core::Error::format(path, message).into());
        }
        let mut values = Vec::new();
        for (at, &user) in self.users.iter().enumerate() {
            values.push(user as f32);
            values.extend(self.columns.values().map(|column| column[at] as f32));
        }
        Ok(npy::write(path, &DenseMatrix::new(self.columns.len() + 1, values)?)?)
    }

    /// Reads what [`PerUser::write`] wrote under the names of [`Record::per_user`].
    pub fn read(path: &Path, names: &[String]) -> Result<PerUser> {
        let bad = |message: String| Error::from(das_core::Error::format(path, message));
        let npy::NpyMatrix::Mapped(matrix) = npy::open(path)? else {
            return Err(bad("expected f32 values".into()));
        };
        if names.first().is_none_or(|name| name != USER_COLUMN) || matrix.dim() != names.len() {
            return Err(bad(format!("{} columns, expected {names:?}", matrix.dim())));
        }
        let rows: Vec<&[f32]> = (0..matrix.rows()).map(|row| matrix.row(row)).collect();
        let column = |at: usize| rows.iter().map(|row| f64::from(row[at])).collect();
        let users: Vec<u32> = rows.iter().map(|row| row[0] as u32).collect();
        if !users.is_sorted_by(|a, b| a < b) {
            return Err(bad("users are not ascending".into()));
        }
        let columns = names.iter().enumerate().skip(1);
        let columns = columns.map(|(at, name)| (name.clone(), column(at))).collect();
        Ok(PerUser { users, columns })
    }
}

/// Reads records, one a line; blank lines are passed over.
///
/// # Errors
/// A line that is no record names its number and what is wrong.
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    let text = files::read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|error| Error::Record {
                path: path.to_path_buf(),
                line: at + 1,
                message: without_place(&error.to_string()).to_owned(),
            })
        })
        .collect()
}

/// The decoder counts lines within what it was given, which is one line.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

/// Replaces `path` by `records`, one a line, in one step.
pub fn write_lines<T: Serialize>(path: &Path, records: &[T]) -> Result<()> {
    let mut text = String::new();
    for record in records {
        let line = serde_json::to_string(record)
            .map_err(|error| Error::Invalid(format!("a record cannot be written: {error}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(files::write_bytes_atomic(path, text.as_bytes())?)
}
