//! How many requests a second there are at the moment.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is counted, in this order.
pub const COUNTED: [&str; 8] =
    ["lookup", "encode", "upsert", "items", "neighbours", "retrieve", "refused", "failed"];

/// Samples that are kept: those of a minute.
const SAMPLES: usize = 61;

/// Counts since the start, and what they were in each of the last seconds.
#[derive(Debug, Default)]
pub struct Rates {
    counts: [AtomicU64; COUNTED.len()],
    samples: Mutex<VecDeque<(Instant, [u64; COUNTED.len()])>>,
}

/// Events a second over some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// What.
    pub name: &'static str,
    /// A second, over the last ten.
    pub now: f64,
    /// A second, over the last minute.
    pub minute: f64,
    /// Since the start.
    pub total: u64,
}

impl Rates {
    /// Counts one event; names that are not counted are passed over.
    pub fn count(&self, name: &str) {
        if let Some(at) = COUNTED.iter().position(|&counted| counted == name) {
            self.counts[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes the counts of this moment.
    pub fn sample(&self, now: Instant) {
        let counts = self.totals();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((now, counts));
        if samples.len() > SAMPLES {
            samples.pop_front();
        }
    }

    /// Rates up to the last sample.
    pub fn rates(&self) -> [Rate; COUNTED.len()] {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |span: Duration, at: usize| {
            let Some((end, last)) = samples.back() else { return 0.0 };
            let first = samples.iter().find(|(begin, _)| *end - *begin <= span);
            let Some((begin, first)) = first else { return 0.0 };
            let seconds = (*end - *begin).as_secs_f64();
            if seconds > 0.0 { (last[at] - first[at]) as f64 / seconds } else { 0.0 }
        };
        let totals = self.totals();
        std::array::from_fn(|at| Rate {
            name: COUNTED[at],
            now: over(Duration::from_secs(10), at),
            minute: over(Duration::from_secs(60), at),
            total: totals[at],
        })
    }

    fn totals(&self) -> [u64; COUNTED.len()] {
        std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let rates = Rates::default();
        let start = Instant::now();
        for second in 0..100u64 {
            rates.sample(start + Duration::from_secs(second));
            (0..if second < 89 { 1 } else { 7 }).for_each(|_| rates.count("lookup"));
            rates.count("something else");
        }
        let lookup = rates.rates()[0];
        assert_eq!((lookup.name, lookup.now), ("lookup", 7.0));
        assert_eq!(lookup.minute, (50.0 + 70.0) / 60.0);
        assert_eq!(lookup.total, 89 + 7 * 11);
        assert!(rates.rates()[1..].iter().all(|rate| rate.total == 0));
    }
}
