//! The folder of a comparison.

use std::path::{Path, PathBuf};

use das_core::checkpoints::CheckpointStore;
use das_core::files;
use serde_json::Value;

use crate::Result;
use crate::markdown;
use crate::pairs::pairs;
use crate::records::{PerUser, Record, Run, Task, read_records, write_lines};
use crate::stats::BOOTSTRAP_SEED;
use crate::tasks::Outcome;

/// One record a line.
pub const RESULTS_FILE: &str = "results.jsonl";
/// One pair of methods a line.
pub const PAIRS_FILE: &str = "pairs.jsonl";
/// The tables.
pub const SUMMARY_FILE: &str = "summary.md";

const IDENTITY_FILE: &str = "comparison.json";
const RECORDS_FOLDER: &str = "records";

/// Where a comparison keeps its records: `records/` has one file a run, written when the run is
/// done, and each user's figures beside it; `results.jsonl`, `pairs.jsonl` and `summary.md` are
/// made of them.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens `path`, or begins a comparison there. `identity` says what must not change between
    /// the runs of one comparison: the data, the budget, the settings.
    ///
    /// # Errors
    /// If the folder holds a comparison of another identity; the message names the first key
    /// that differs.
    pub fn open(path: &Path, identity: &Value) -> Result<Folder> {
        let folder = Folder { path: path.to_path_buf() };
        files::create_folder(&folder.path.join(RECORDS_FOLDER))?;
        files::remove_unfinished(&folder.path)?;
        let file = folder.path.join(IDENTITY_FILE);
        if !file.exists() {
            let text = format!("{identity:#}\n");
            files::write_bytes_atomic(&file, text.as_bytes())?;
            return Ok(folder);
        }
        let found: Value = serde_json::from_str(&files::read_text(&file)?)
            .map_err(|error| das_core::Error::format(&file, error.to_string()))?;
        match difference("", &found, identity) {
            None => Ok(folder),
            Some(message) => Err(das_core::Error::format(
                &file,
                format!("the folder holds another comparison: {message}; choose a new folder"),
            )
            .into()),
        }
    }

    /// Opens the comparison at `path` to read it, whatever it is of.
    ///
    /// # Errors
    /// If there is none.
    pub fn existing(path: &Path) -> Result<Folder> {
        if !path.join(RECORDS_FOLDER).is_dir() {
            let message = format!("not the folder of a comparison: no folder `{RECORDS_FOLDER}`");
            return Err(das_core::Error::format(path, message).into());
        }
        Ok(Folder { path: path.to_path_buf() })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All records, by task, variant, method, seed and repeat.
    pub fn records(&self) -> Result<Vec<Record>> {
        let folder = self.path.join(RECORDS_FOLDER);
        let unreadable = || das_core::Error::io(&folder, "cannot list");
        let mut records = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable())? {
            let path = entry.map_err(unreadable())?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                records.extend(read_records(&path)?);
            }
        }
        records.sort_by(|a, b| order(&a.run).cmp(&order(&b.run)));
        Ok(records)
    }

    /// Where the training of a run's recommender is kept until the run is done.
    pub fn checkpoints(&self, run: &Run) -> Result<CheckpointStore> {
        Ok(CheckpointStore::open(&self.file(run, "checkpoints"))?)
    }

    /// Keeps the outcome of a run: first each user's figures, then the record, so that a record
    /// never lacks what it names.
    pub fn keep(&self, run: &Run, preset: &str, outcome: &Outcome) -> Result<Record> {
        let record = Record {
            run: run.clone(),
            preset: preset.to_owned(),
            metrics: outcome.metrics.clone(),
            deciles: outcome.deciles.clone(),
            seconds: outcome.seconds,
            curve: outcome.curve.clone(),
            per_user: outcome.per_user.column_names(),
            notes: outcome.notes.clone(),
        };
        if !record.per_user.is_empty() {
            outcome.per_user.write(&self.file(run, "users.npy"))?;
        }
        write_lines(&self.file(run, "json"), std::slice::from_ref(&record))?;
        write_lines(&self.path.join(RESULTS_FILE), &self.records()?)?;
        let checkpoints = self.file(run, "checkpoints");
        match std::fs::remove_dir_all(&checkpoints) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(das_core::Error::io(&checkpoints, "cannot remove")(error).into())
            }
            _ => Ok(record),
        }
    }

    /// Writes `results.jsonl`, `pairs.jsonl` and `summary.md` anew.
    pub fn summarize(&self) -> Result<()> {
        let records = self.records()?;
        let mut per_user = Vec::new();
        for record in &records {
            per_user.extend(self.per_user(record)?.map(|users| (record.run.clone(), users)));
        }
        let pairs = pairs(&per_user, BOOTSTRAP_SEED);
        write_lines(&self.path.join(RESULTS_FILE), &records)?;
        write_lines(&self.path.join(PAIRS_FILE), &pairs)?;
        let summary = markdown::summary(&records, &pairs);
        files::write_bytes_atomic(&self.path.join(SUMMARY_FILE), summary.as_bytes())?;
        Ok(())
    }

    /// Each user's figures of a record; none where it has none.
    ///
    /// # Errors
    /// If the file is not what the record says.
    pub fn per_user(&self, record: &Record) -> Result<Option<PerUser>> {
        if record.per_user.is_empty() {
            return Ok(None);
        }
        let file = self.file(&record.run, "users.npy");
        Ok(Some(PerUser::read(&file, &record.per_user)?))
    }

    /// The file of a run: its name in plain letters, and a hash that tells apart what these do
    /// not.
    fn file(&self, run: &Run, extension: &str) -> PathBuf {
        let plain = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(48).collect()
        };
        // Repeat 0 has the name that it had before there were repeats.
        let (mut seed, mut exact) = (
            run.seed.to_string(),
            format!("{}\0{}\0{}\0{}", run.method, run.task, run.variant, run.seed),
        );
        if run.repeat > 0 {
            seed.push_str(&format!("-repeat-{}", run.repeat));
            exact.push_str(&format!("\0{}", run.repeat));
        }
        let hash = &files::sha256_bytes(exact.as_bytes())[..8];
        let variant = if run.variant.is_empty() { "" } else { "-" };
        let name = format!(
            "{}{variant}{}-{}-{seed}-{hash}.{extension}",
            run.task,
            plain(&run.variant),
            plain(&run.method),
        );
        self.path.join(RECORDS_FOLDER).join(name)
    }
}

fn order(run: &Run) -> (Task, &str, &str, u64, u64) {
    (run.task, &run.variant, &run.method, run.seed, run.repeat)
}

/// The first place at which two values differ.
fn difference(place: &str, found: &Value, expected: &Value) -> Option<String> {
    if let (Value::Object(left), Value::Object(right)) = (found, expected) {
        let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
        let null = Value::Null;
        return keys.into_iter().find_map(|key| {
            let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            difference(&place, left.get(key).unwrap_or(&null), right.get(key).unwrap_or(&null))
        });
    }
    (found != expected).then(|| format!("`{place}` is {found} there, now {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use serde_json::json;

    /// Folders of earlier versions go on being read and added to.
    #[test]
    fn the_files_of_repeat_0_keep_their_names() {
        let folder = Folder { path: PathBuf::new() };
        let (method, variant) = ("das -co_i".to_owned(), "global-time/sid-only".to_owned());
        let run = |repeat| Run {
            method: method.clone(),
            task: Task::Ctr,
            variant: variant.clone(),
            seed: 3,
            repeat,
        };
        let name = |repeat| folder.file(&run(repeat), "json").display().to_string();
        assert_eq!(name(0), "records/ctr-global-time-sid-only-das--co-i-3-75abb3ac.json");
        assert!(name(1).starts_with("records/ctr-global-time-sid-only-das--co-i-3-repeat-1-"));
    }

    #[test]
    fn another_identity_is_refused_by_the_key_that_differs() {
        let folder = tempfile::tempdir().unwrap();
        let identity = |preset| json!({"preset": preset, "data": {"items": "ab"}});
        Folder::open(folder.path(), &identity("quick")).unwrap();
        Folder::open(folder.path(), &identity("quick")).unwrap();
        let error = Folder::open(folder.path(), &identity("full")).unwrap_err().to_string();
        assert!(error.contains(r#"`preset` is "quick" there, now "full""#), "{error}");
        let mut other = identity("quick");
        other["data"]["items"] = json!("cd");
        let error = Folder::open(folder.path(), &other).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Core(_)) && error.to_string().contains("`data.items`"));
    }
}
