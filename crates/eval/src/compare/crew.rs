//! The workers that share the runs of a comparison.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use das_core::progress::{Cancel, Progress, Silent};

use super::plan::{IdSource, Plan};
use super::{Folder, Workbench, remaining_seconds};
use crate::records::{Record, Run};
use crate::{Error, Result};

/// Runs what of `plan` has no record in `folder`, each run kept as soon as it is done, and
/// brings pairs and summary up to date at the end. Returns the runs done now.
///
/// `workers` runs are at work at a time, each on its share of the threads of the current rayon
/// pool and with inputs of its own in memory. A small model leaves most of many threads idle, so
/// several trainings side by side take less time than one after another. Figures are the same;
/// seconds in the records are not. With more than one, `progress` sees the runs and not what
/// happens within them.
///
/// # Errors
/// Of the first run that fails, or [`das_core::Error::Interrupted`]; what was done before is kept,
/// and what is at work beside a run that fails is brought to its end.
pub fn compare(
    plan: &Plan,
    folder: &Folder,
    bench: &Workbench<'_>,
    workers: usize,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<usize> {
    let records = folder.records()?;
    let missing = plan.missing(&records);
    let total = missing.len();
    let workers = workers.clamp(1, total.max(1));
    let state = State { open: missing, busy: Vec::new(), records, done: 0, failed: None };
    let crew = Crew {
        folder,
        total,
        workers,
        state: Mutex::new(state),
        freed: Condvar::new(),
        progress,
        cancel,
    };
    crew.run(bench)?;
    folder.summarize()?;
    Ok(total)
}

/// What workers share.
struct Crew<'a> {
    folder: &'a Folder,
    total: usize,
    workers: usize,
    state: Mutex<State>,
    /// A run is over.
    freed: Condvar,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

struct State {
    /// Runs that nobody has begun, in the order of the plan.
    open: Vec<Run>,
    /// The IDs that runs at work are about. Whoever is first with them trains their tokenizer.
    busy: Vec<IdSource>,
    records: Vec<Record>,
    done: usize,
    failed: Option<Error>,
}

impl Crew<'_> {
    fn run(self, bench: &Workbench<'_>) -> Result<()> {
        if self.workers == 1 {
            self.work(&mut bench.another(), self.progress);
        } else {
            self.progress.begin("runs", Some(self.total as u64));
            let threads = (rayon::current_num_threads() / self.workers).max(1);
            std::thread::scope(|scope| {
                for _ in 0..self.workers {
                    scope.spawn(|| self.work_on_own_threads(&mut bench.another(), threads));
                }
            });
            self.progress.end();
        }
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.failed {
            Some(error) => Err(error),
            None if state.open.is_empty() => Ok(()),
            None => Err(das_core::Error::Interrupted.into()),
        }
    }

    /// Parallel work that this thread starts stays among it and `threads - 1` others.
    fn work_on_own_threads(&self, bench: &mut Workbench<'_>, threads: usize) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread();
        match pool.build() {
            Ok(_pool) => self.work(bench, &Silent),
            Err(error) => {
                let message = format!("cannot start {threads} threads for a run: {error}");
                self.state().failed.get_or_insert(Error::Invalid(message));
            }
        }
    }

    fn work(&self, bench: &mut Workbench<'_>, progress: &dyn Progress) {
        while let Some(claim) = self.claim() {
            if let Err(error) = self.attempt(&claim.run, bench, progress) {
                self.state().failed.get_or_insert(error);
            }
        }
    }

    /// The next run whose IDs nobody else is at; waits for it where there is none yet.
    fn claim(&self) -> Option<Claim<'_>> {
        let mut state = self.state();
        loop {
            if state.open.is_empty() || state.failed.is_some() || self.cancel.requested() {
                return None;
            }
            let free =
                |run: &Run| IdSource::of_run(run).is_none_or(|ids| !state.busy.contains(&ids));
            if let Some(at) = state.open.iter().position(free) {
                self.announce(&state, at);
                let run = state.open.remove(at);
                state.busy.extend(IdSource::of_run(&run));
                return Some(Claim { crew: self, run });
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn announce(&self, state: &State, at: usize) {
        let seconds = remaining_seconds(&state.records, &state.open);
        let left = seconds.map(|seconds| minutes(seconds / self.workers as f64));
        let left = left.map_or(String::new(), |left| format!(", {left} left"));
        let number = self.total - state.open.len() + 1;
        self.progress.note(&format!("run {number} of {}{left}: {}", self.total, state.open[at]));
    }

    fn attempt(&self, run: &Run, bench: &mut Workbench<'_>, progress: &dyn Progress) -> Result<()> {
        let store = self.folder.checkpoints(run)?;
        let outcome = bench.run(run, Some(&store), progress, self.cancel)?;
        // Nobody else may write while the folder's list of records is made anew.
        let mut state = self.state();
        let record = self.folder.keep(run, bench.preset(), &outcome)?;
        state.records.push(record);
        state.done += 1;
        if self.workers > 1 {
            self.progress.update(state.done as u64, "");
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run at work; its IDs are free again when it ends, however it ends.
struct Claim<'a> {
    crew: &'a Crew<'a>,
    run: Run,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let ids = IdSource::of_run(&self.run);
        self.crew.state().busy.retain(|busy| Some(busy) != ids.as_ref());
        self.crew.freed.notify_all();
    }
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
