//! How often checkpoints may be written.

use std::time::{Duration, Instant};

/// Training goes on for this many times what the last checkpoint took before the next one.
const SPACING: u32 = 10;
/// What a checkpoint may take without holding up the next.
const FREE: Duration = Duration::from_millis(250);

/// Keeps checkpoints of large tables, which are written whole, to a tenth of the time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    last: Option<Written>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    at: Instant,
    took: Duration,
}

impl Pace {
    /// A checkpoint that was begun at `start` is written.
    pub(super) fn written(&mut self, start: Instant) {
        let at = Instant::now();
        self.last = Some(Written { at, took: at - start });
    }

    /// Whether the next may be written by now.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.last.is_none_or(|Written { at, took }| {
            now.saturating_duration_since(at) >= SPACING * took.saturating_sub(FREE)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_waits_ten_times_what_the_last_one_took() {
        let at = Instant::now();
        let after = |took, seconds| {
            let pace = Pace { last: Some(Written { at, took }) };
            pace.allows(at + Duration::from_secs_f64(seconds))
        };
        assert!(Pace::default().allows(at));
        assert!(after(Duration::from_millis(200), 0.0));
        assert!(!after(Duration::from_millis(8250), 79.9));
        assert!(after(Duration::from_millis(8250), 80.0));
    }
}
