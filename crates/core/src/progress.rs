//! How long work reports what it does and learns that it should stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// Where long work reports. The binary draws bars; libraries and tests pass [`Silent`].
pub trait Progress: Send + Sync {
    /// A phase begins: its name and its length in steps, where known.
    fn begin(&self, phase: &str, total: Option<u64>);

    /// `done` steps of the phase are complete; `note` is a short state such as a loss.
    fn update(&self, done: u64, note: &str);

    /// The phase is over.
    fn end(&self);

    /// A line that stays, such as which of many runs begins; dropped where nothing is shown.
    fn note(&self, _line: &str) {}
}

/// Reports nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _phase: &str, _total: Option<u64>) {}

    fn update(&self, _done: u64, _note: &str) {}

    fn end(&self) {}
}

/// A request to stop, shared between a signal handler and the work.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the work to stop at its next safe point.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether a stop was asked for.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// [`Error::Interrupted`] once a stop was asked for.
    pub fn check(&self) -> Result<()> {
        if self.requested() { Err(Error::Interrupted) } else { Ok(()) }
    }
}
