//! Progress bars on the terminal; nothing where standard error is not one.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use das_core::progress::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One bar at a time, for the phase at hand.
pub struct Bars {
    current: Slot,
    /// The bar that warnings must not be written over.
    shown: Slot,
    drawn: bool,
}

type Slot = Arc<Mutex<Option<ProgressBar>>>;

impl Bars {
    /// Draws to standard error if it is a terminal.
    pub fn new() -> Bars {
        let current = Slot::default();
        Bars { shown: Arc::clone(&current), current, drawn: true }
    }

    /// Draws nothing, and warns above the bar of `self`: for work of which several run at once.
    pub fn warnings_only(&self) -> Bars {
        Bars { current: Slot::default(), shown: Arc::clone(&self.shown), drawn: false }
    }

    /// Begins a phase that already stands at `done`.
    pub fn start(&self, phase: &str, total: Option<u64>, done: u64) {
        if !self.drawn {
            return;
        }
        self.end();
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => "{prefix:>18} {bar:32} {pos}/{len} {per_sec} {msg} eta {eta}",
            None => "{prefix:>18} {spinner} {pos} {per_sec} {msg}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        bar.set_prefix(phase.to_string());
        bar.set_position(done);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        *lock(&self.current) = Some(bar);
    }

    /// The phase stands at `done`.
    pub fn advance(&self, done: u64, note: &str) {
        if let Some(bar) = &*lock(&self.current) {
            bar.set_position(done);
            if !note.is_empty() {
                bar.set_message(note.to_string());
            }
        }
    }

    /// A warning: always on standard error.
    pub fn warn(&self, message: &str) {
        let line = format!("warning: {message}");
        match &*lock(&self.shown) {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<ProgressBar>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress for Bars {
    fn begin(&self, phase: &str, total: Option<u64>) {
        self.start(phase, total, 0);
    }

    fn update(&self, done: u64, note: &str) {
        self.advance(done, note);
    }

    fn end(&self) {
        if let Some(bar) = lock(&self.current).take() {
            bar.finish_and_clear();
        }
    }

    /// Above the bar, where there is one; only on a terminal.
    fn note(&self, line: &str) {
        match &*lock(&self.current) {
            Some(bar) => bar.println(line),
            None if self.drawn && std::io::stderr().is_terminal() => eprintln!("{line}"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_warns_leaves_the_bar_alone() {
        let bars = Bars::new();
        bars.start("comparing", Some(10), 3);
        let within = bars.warnings_only();
        within.start("training", Some(500), 0);
        within.advance(400, "loss 1.0");
        within.warn("a row is short");
        within.end();
        let left =
            lock(&bars.shown).as_ref().map(|bar| (bar.position(), bar.length(), bar.prefix()));
        assert_eq!(left, Some((3, Some(10), "comparing".to_string())));
    }
}
