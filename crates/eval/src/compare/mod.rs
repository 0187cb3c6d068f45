//! Comparisons of methods: what is to be run, what is already there, and running the rest.

mod folder;
mod plan;
mod workbench;

use std::collections::BTreeMap;

use das_core::progress::{Cancel, Progress};

pub use folder::{Folder, PAIRS_FILE, RESULTS_FILE, SUMMARY_FILE};
pub use plan::{NO_SID, POPULARITY, Plan, Question, SASREC, TaskSplit};
pub use workbench::{Jobs, Tokens, Workbench};

use crate::Result;
use crate::records::{Record, Run};

/// Runs what of `plan` has no record in `folder`, each run kept as soon as it is done, and
/// brings pairs and summary up to date at the end. Returns the runs done now.
///
/// # Errors
/// Of the first run that fails, or [`das_core::Error::Interrupted`]; what was done before is kept.
pub fn compare(
    plan: &Plan,
    folder: &Folder,
    bench: &mut Workbench<'_>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<usize> {
    let done = run_missing(plan, folder, bench, progress, cancel)?;
    folder.summarize()?;
    Ok(done)
}

fn run_missing(
    plan: &Plan,
    folder: &Folder,
    bench: &mut Workbench<'_>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<usize> {
    let mut records = folder.records()?;
    let missing = plan.missing(&records);
    for (at, run) in missing.iter().enumerate() {
        cancel.check()?;
        let left = remaining_seconds(&records, &missing[at..]);
        let left = left.map_or(String::new(), |left| format!(", {} left", minutes(left)));
        progress.note(&format!("run {} of {}{left}: {run}", at + 1, missing.len()));
        let store = folder.checkpoints(run)?;
        let outcome = bench.run(run, Some(&store), progress, cancel)?;
        records.push(folder.keep(run, bench.preset(), &outcome)?);
    }
    Ok(missing.len())
}

/// Seconds that `missing` runs will take, each as long as the mean of the done runs most like it:
/// of its task and method, else of its task, else of all. None before any is done.
pub fn remaining_seconds(done: &[Record], missing: &[Run]) -> Option<f64> {
    /// Task and method, where they matter.
    type Like<'a> = (Option<&'a str>, Option<&'a str>);
    let mut times: BTreeMap<Like<'_>, (f64, f64)> = BTreeMap::new();
    for record in done {
        let seconds = &record.seconds;
        let total = seconds.tokenizer + seconds.train + seconds.evaluate;
        let (task, method) = (record.run.task.name(), record.run.method.as_str());
        for key in [(Some(task), Some(method)), (Some(task), None), (None, None)] {
            let (sum, count) = times.entry(key).or_default();
            *sum += total;
            *count += 1.0;
        }
    }
    let of = |run: &Run| {
        let (task, method) = (run.task.name(), run.method.as_str());
        let keys = [(Some(task), Some(method)), (Some(task), None), (None, None)];
        keys.iter().find_map(|key| times.get(key)).map(|(sum, count)| sum / count)
    };
    missing.iter().map(of).sum()
}

/// `45 s`, `12 min`, `2 h 05 min`.
fn minutes(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{} s", seconds.round()),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}
