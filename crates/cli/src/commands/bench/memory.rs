//! Resident memory of this process, where Linux tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

/// Between two looks at the private memory, whose peak the kernel does not keep.
const INTERVAL: Duration = Duration::from_millis(10);

/// Resident memory in MB (10⁶ bytes).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Resident {
    /// All of it now (VmRSS).
    pub resident_mb: f64,
    /// The most that it has been (VmHWM).
    pub peak_mb: f64,
    /// What is no file now (RssAnon): without mapped content vectors and the program itself.
    pub private_mb: f64,
    /// The most that was no file, by looking every few milliseconds.
    pub private_peak_mb: f64,
}

/// Watches private memory in a thread of its own, until dropped.
pub struct Meter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The most private memory so far, kB.
    peak: AtomicU64,
    stop: AtomicBool,
}

impl Meter {
    /// Begins to watch.
    pub fn start() -> Meter {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !watched.stop.load(Ordering::Relaxed) {
                let Some(private) = status().and_then(|text| field(&text, "RssAnon")) else {
                    break;
                };
                watched.peak.fetch_max(private, Ordering::Relaxed);
                std::thread::sleep(INTERVAL);
            }
        });
        Meter { shared, thread: Some(thread) }
    }

    /// The memory now and its peaks so far; none where the system does not tell.
    pub fn read(&self) -> Option<Resident> {
        let text = status()?;
        let [resident, peak, private] =
            ["VmRSS", "VmHWM", "RssAnon"].map(|name| field(&text, name));
        let private = private?;
        let private_peak = self.shared.peak.fetch_max(private, Ordering::Relaxed).max(private);
        let mb = |kilobytes: u64| kilobytes as f64 * 1024.0 / 1e6;
        Some(Resident {
            resident_mb: mb(resident?),
            peak_mb: mb(peak?),
            private_mb: mb(private),
            private_peak_mb: mb(private_peak),
        })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A watcher that failed has nothing left to say.
            let _ = thread.join();
        }
    }
}

fn status() -> Option<String> {
    std::fs::read_to_string("/proc/self/status").ok()
}

/// The value of `NAME:   123 kB`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmHWM:\t    1864 kB\nVmRSSx:\t 5 kB\nVmRSS:\t    17 kB\nThreads:\t1\n";
        assert_eq!(field(text, "VmRSS"), Some(17));
        assert_eq!(field(text, "VmHWM"), Some(1864));
        assert_eq!(field(text, "RssAnon"), None);
        assert_eq!(field(text, "Threads"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_was_given_back_stays_in_the_peak() {
        let meter = Meter::start();
        let block = std::hint::black_box(vec![1u8; 64_000_000]);
        let full = meter.read().unwrap();
        drop(block);
        let after = meter.read().unwrap();
        assert!(full.private_mb > 60.0, "{full:?}");
        assert!(after.private_peak_mb >= full.private_mb, "{after:?}");
        // The kernel adds up what each core has counted now and then only.
        assert!(after.peak_mb > full.resident_mb - 1.0, "{after:?}");
    }
}
