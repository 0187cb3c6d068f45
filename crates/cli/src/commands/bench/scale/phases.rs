//! Where time and memory went, phase after phase.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::commands::bench::memory::{Meter, Resident};

/// One part of the work.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// Wall time.
    pub seconds: f64,
    /// Memory at its end; none where the system does not tell.
    pub memory: Option<Resident>,
}

/// Phases that follow each other without gaps, told from wherever one ends.
pub struct Phases {
    meter: Meter,
    done: Mutex<(Instant, Vec<Phase>)>,
}

impl Phases {
    /// The first phase begins.
    pub fn start() -> Phases {
        Phases { meter: Meter::start(), done: Mutex::new((Instant::now(), Vec::new())) }
    }

    /// The phase that has lasted since the one before it was `name`; the next one begins.
    pub fn end(&self, name: &'static str) {
        let seconds = self.lock().0.elapsed().as_secs_f64();
        let memory = self.meter.read();
        let mut done = self.lock();
        done.1.push(Phase { name, seconds, memory });
        done.0 = Instant::now();
    }

    /// The phases so far.
    pub fn done(&self) -> Vec<Phase> {
        self.lock().1.clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Instant, Vec<Phase>)> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
