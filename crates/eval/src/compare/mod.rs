//! Comparisons of methods: what is to be run, what is already there, and running the rest.

mod crew;
mod folder;
mod plan;
mod task_split;
mod workbench;

use std::collections::BTreeMap;

pub use crew::compare;
pub use folder::{Folder, PAIRS_FILE, RESULTS_FILE, SUMMARY_FILE};
pub use plan::{NO_SID, POPULARITY, Plan, Question, SASREC};
pub use task_split::TaskSplit;
pub use workbench::{Jobs, Tokens, Workbench};

use crate::records::{Record, Run};

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
