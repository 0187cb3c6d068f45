//! Some requests at a time, each answer handed over as it comes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use das_core::progress::Cancel;

use crate::{Error, Result};

/// Whether work should go on. It should not where the caller wants to stop, nor where another
/// request has failed for good.
#[derive(Clone, Copy)]
pub(super) struct Stop<'a> {
    cancel: &'a Cancel,
    failed: &'a AtomicBool,
}

impl Stop<'_> {
    /// `Interrupted` where work should not go on.
    pub(super) fn check(self) -> Result<()> {
        self.cancel.check()?;
        if self.failed.load(Ordering::SeqCst) {
            return Err(das_core::Error::Interrupted.into());
        }
        Ok(())
    }

    fn fail(self) {
        self.failed.store(true, Ordering::SeqCst);
    }
}

/// Runs `work` on the numbers below `jobs`, `workers` at a time, and gives each result to `done`
/// on this thread, in the order of arrival. A worker begins nothing new before `done` has had its
/// last result, so that a process that is killed loses what is in flight and nothing else.
///
/// After a failure no new work begins; what is in flight may arrive and is still given to `done`,
/// unless it is `done` itself that failed.
///
/// # Errors
/// The first failure of `work` or `done`, and `Interrupted` where `cancel` left work undone.
pub(super) fn run<T: Send>(
    jobs: usize,
    workers: usize,
    cancel: &Cancel,
    work: impl Fn(usize, Stop<'_>) -> Result<T> + Sync,
    done: &mut dyn FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let failed = AtomicBool::new(false);
    let stop = Stop { cancel, failed: &failed };
    let next = AtomicUsize::new(0);
    let workers = workers.min(jobs);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || serve(jobs, next, stop, work, &sender));
        }
        drop(sender);
        collect(receiver, jobs, stop, done)
    })
}

/// A result on its way to `done`.
struct Finished<T> {
    job: usize,
    result: Result<T>,
    /// Dropped once `done` has had the result, for which the worker waits.
    handed_over: Sender<()>,
}

/// One worker: takes the next number until there is none, or until work should stop.
fn serve<T>(
    jobs: usize,
    next: &AtomicUsize,
    stop: Stop<'_>,
    work: impl Fn(usize, Stop<'_>) -> Result<T>,
    sender: &Sender<Finished<T>>,
) {
    while stop.check().is_ok() {
        let job = next.fetch_add(1, Ordering::SeqCst);
        if job >= jobs {
            return;
        }
        let result = work(job, stop);
        if result.is_err() {
            stop.fail();
        }
        let (handed_over, wait) = mpsc::channel();
        if sender.send(Finished { job, result, handed_over }).is_err() {
            return;
        }
        // Nothing is ever sent: this ends when the other end is dropped.
        let _ = wait.recv();
    }
}

/// Takes results until every worker has ended.
fn collect<T>(
    receiver: Receiver<Finished<T>>,
    jobs: usize,
    stop: Stop<'_>,
    done: &mut dyn FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let mut finished = 0;
    let mut storing = true;
    let mut failure = None;
    for Finished { job, result, handed_over: _wait } in receiver {
        let result = match result {
            Ok(value) if storing => done(job, value).inspect_err(|_| storing = false),
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => finished += 1,
            Err(error) => {
                stop.fail();
                // Requests that gave way to the failure may report before it.
                if failure.as_ref().is_none_or(is_interruption) {
                    failure = Some(error);
                }
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None if finished < jobs => Err(das_core::Error::Interrupted.into()),
        None => Ok(()),
    }
}

fn is_interruption(error: &Error) -> bool {
    matches!(error, Error::Core(das_core::Error::Interrupted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::time::Duration;

    fn failure(message: &str) -> Error {
        das_core::Error::Invalid(message.into()).into()
    }

    #[test]
    fn every_result_is_handed_over_once() {
        for (jobs, workers) in [(0, 3), (1, 3), (100, 1), (100, 7)] {
            let mut seen = vec![];
            let mut done = |job, value| {
                assert_eq!(value, job * 2);
                seen.push(job);
                Ok(())
            };
            run(jobs, workers, &Cancel::default(), |job, _| Ok(job * 2), &mut done).unwrap();
            seen.sort_unstable();
            assert_eq!(seen, Vec::from_iter(0..jobs));
        }
    }

    #[test]
    fn no_worker_runs_ahead_of_what_was_handed_over() {
        for workers in [1, 3] {
            let stored = AtomicUsize::new(0);
            let work = |job: usize, _: Stop<'_>| {
                // Of the jobs before this one only those of the other workers may be missing.
                assert!(stored.load(Ordering::SeqCst) + workers > job);
                Ok(job)
            };
            let mut done = |_, _| {
                thread::sleep(Duration::from_millis(2));
                stored.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            run(20, workers, &Cancel::default(), work, &mut done).unwrap();
        }
    }

    #[test]
    fn a_failure_stops_new_work_and_keeps_what_is_in_flight() {
        let mut seen = vec![];
        let both = Barrier::new(2);
        let work = |job, stop: Stop<'_>| {
            both.wait();
            if job == 0 {
                return Err(failure("zero"));
            }
            // In flight until the failure is known.
            while stop.check().is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(job)
        };
        let mut done = |job, _| {
            seen.push(job);
            Ok(())
        };
        let error = run(100, 2, &Cancel::default(), work, &mut done).unwrap_err();
        assert_eq!(error.to_string(), "zero");
        assert_eq!(seen, [1]);
    }

    #[test]
    fn nothing_is_handed_over_after_the_receiver_has_failed() {
        let mut calls = 0;
        let mut done = |_, _| {
            calls += 1;
            Err(failure("disk full"))
        };
        let error = run(50, 4, &Cancel::default(), |job, _| Ok(job), &mut done).unwrap_err();
        assert_eq!((error.to_string().as_str(), calls), ("disk full", 1));
    }

    #[test]
    fn work_left_undone_is_an_interruption() {
        let cancel = Cancel::default();
        let mut calls = 0;
        let mut done = |_, _| {
            calls += 1;
            cancel.request();
            Ok(())
        };
        let error = run(1000, 2, &cancel, |job, _| Ok(job), &mut done).unwrap_err();
        assert!(is_interruption(&error));
        assert!((1..1000).contains(&calls));
    }
}
