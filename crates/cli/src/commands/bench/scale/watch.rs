//! Training as it is, with its phases told apart and stopped after some steps.

use std::time::Instant;

use das_core::progress::Cancel;
use das_core::{ClickEpoch, Clicks};
use das_model::train::{EpochRecord, Observer, StepRecord};

use super::phases::Phases;

/// Clicks that tell when an epoch of them was drawn.
pub struct WatchedClicks<'a, C> {
    /// The clicks.
    pub clicks: &'a C,
    /// Where it is told.
    pub phases: &'a Phases,
}

impl<C: Clicks> Clicks for WatchedClicks<'_, C> {
    fn num_users(&self) -> usize {
        self.clicks.num_users()
    }

    fn num_items(&self) -> usize {
        self.clicks.num_items()
    }

    fn num_clicks(&self) -> usize {
        self.clicks.num_clicks()
    }

    fn items_of(&self, user: u32) -> &[u32] {
        self.clicks.items_of(user)
    }

    fn user_clicks(&self) -> &[u32] {
        self.clicks.user_clicks()
    }

    fn item_clicks(&self) -> &[u32] {
        self.clicks.item_clicks()
    }

    fn item_exposures(&self) -> &[u32] {
        self.clicks.item_exposures()
    }

    fn user_exposures(&self) -> &[u32] {
        self.clicks.user_exposures()
    }

    fn epoch(&self, seed: u64, epoch: u64) -> ClickEpoch {
        self.phases.end("codebooks");
        let drawn = self.clicks.epoch(seed, epoch);
        self.phases.end("epoch");
        drawn
    }
}

/// Times steps and asks for a stop after the last one that is wanted.
pub struct StepClock<'a> {
    phases: &'a Phases,
    cancel: &'a Cancel,
    wanted: usize,
    last: Instant,
    seconds: Vec<f64>,
}

impl<'a> StepClock<'a> {
    /// Stops by `cancel` after `wanted` steps.
    pub fn new(phases: &'a Phases, cancel: &'a Cancel, wanted: usize) -> StepClock<'a> {
        StepClock { phases, cancel, wanted, last: Instant::now(), seconds: Vec::new() }
    }

    /// Whether all steps that were wanted are done.
    pub fn is_done(&self) -> bool {
        self.seconds.len() == self.wanted
    }

    /// Wall time between the end of a step and that of the one before it; the first counts from
    /// the start of the training.
    pub fn seconds(&self) -> &[f64] {
        &self.seconds
    }
}

impl Observer for StepClock<'_> {
    fn start(&mut self, _step: u64, _total: u64) -> std::io::Result<()> {
        self.phases.end("init");
        self.last = Instant::now();
        Ok(())
    }

    fn step(&mut self, _record: &StepRecord) -> std::io::Result<()> {
        self.seconds.push(self.last.elapsed().as_secs_f64());
        self.last = Instant::now();
        if self.is_done() {
            self.phases.end("steps");
            self.cancel.request();
        }
        Ok(())
    }

    fn epoch(&mut self, _record: &EpochRecord) -> std::io::Result<()> {
        Ok(())
    }

    fn warn(&mut self, message: &str) {
        eprintln!("warning: {message}");
    }
}
