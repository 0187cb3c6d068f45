//! Whether more arrives than can be answered, wherever it queues: places and queues count what was read, and under a
//! flood requests wait before that, in sockets and for threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How often the wait for a thread is measured in a flood,
const TICK: Duration = Duration::from_millis(2);
/// and while there is none: an idle service should cost nothing.
const IDLE_TICK: Duration = Duration::from_millis(20);
/// For how long every wait is too long before it is more than a moment's stall.
const SUSTAINED: Duration = Duration::from_millis(100);
/// Of this part of what is too long, a wait in a flood is long enough.
const RELIEVED: u32 = 5;
/// How much the refused share of requests changes by a wait that is off by as much as is allowed: for good,
const STEP: f64 = 0.02;
/// and as long as it is too long.
const GAIN: f64 = 0.3;
/// So many are refused at most: who is let in tells that others can be.
const MOST_REFUSED: f64 = 0.95;
/// A flood is over once so few were refused
const RARE: f64 = 0.05;
/// for so long, on average.
const CALM: Duration = Duration::from_secs(1);

/// In a flood, so many requests for each thread are let in between two measurements, so that those which arrive all at
/// once do not queue behind each other.
const AT_ONCE: u32 = 8;

/// Methods that cost many times their refusal. To refuse others would help nobody.
const DEAR: [&str; 5] = ["encode", "upsert", "retrieve", "infer", "modelinfer"];

/// Whether a path, of HTTP or of gRPC, is that of a method which costs many times its refusal.
pub(crate) fn is_dear(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    DEAR.iter().any(|dear| method.eq_ignore_ascii_case(dear))
}

/// Which share of the requests that cost many times their refusal is to be refused now.
#[derive(Debug, Default)]
pub struct Pressure {
    /// The share, of 2^16.
    share: AtomicU32,
    /// What the requests so far have added up to: one is refused whenever the sum passes a multiple of 2^16.
    sum: AtomicU32,
    /// How many more are let in before the next measurement, if there is a flood.
    left: AtomicU32,
}

impl Pressure {
    /// Whether the next request is to be refused.
    pub fn refuses(&self) -> bool {
        let share = self.share.load(Ordering::Relaxed);
        if share == 0 {
            return false;
        }
        let refused = (self.sum.fetch_add(share, Ordering::Relaxed) & 0xffff) + share > 0xffff;
        let one_less = |left: u32| left.checked_sub(1);
        refused || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err()
    }

    /// Measures how long a task waits for one of `threads`, for good; all the time longer than `most` is a flood.
    pub async fn watch(&self, most: Duration, threads: usize) {
        let mut gauge = Gauge::new(most);
        let at_once = AT_ONCE.saturating_mul(threads.try_into().unwrap_or(u32::MAX));
        loop {
            tokio::time::sleep(if gauge.flood.is_some() { TICK } else { IDLE_TICK }).await;
            let began = Instant::now();
            tokio::task::yield_now().await;
            let now = Instant::now();
            let share = gauge.share(now, now - began);
            self.share.store((share * 65536.0) as u32, Ordering::Relaxed);
            self.left.store(at_once, Ordering::Relaxed);
        }
    }
}

/// Waits for threads, as they are measured one after another.
#[derive(Debug)]
struct Gauge {
    most: Duration,
    /// Since when all waits were too long.
    long_since: Option<Instant>,
    flood: Option<Flood>,
}

/// More than can be answered, since it was noticed.
#[derive(Debug)]
struct Flood {
    /// The share that is refused while waits are long enough.
    steady: f64,
    /// Since when it is averaged, over how many waits, and its sum.
    since: Instant,
    waits: u32,
    sum: f64,
}

impl Flood {
    fn new(since: Instant, steady: f64) -> Flood {
        Flood { steady, since, waits: 0, sum: 0.0 }
    }
}

impl Gauge {
    fn new(most: Duration) -> Gauge {
        Gauge { most, long_since: None, flood: None }
    }

    /// The share of requests to refuse after a wait that ended `now`.
    fn share(&mut self, now: Instant, wait: Duration) -> f64 {
        let Some(flood) = &mut self.flood else {
            self.notice(now, wait);
            return 0.0;
        };
        let enough = (self.most / RELIEVED).as_secs_f64();
        let off = wait.as_secs_f64() / enough - 1.0;
        flood.steady = (flood.steady + STEP * off.min(2.0)).clamp(0.0, MOST_REFUSED);
        let share = (flood.steady + GAIN * off.max(0.0)).min(MOST_REFUSED);
        flood.waits += 1;
        flood.sum += share;
        if now - flood.since >= CALM {
            let over = flood.sum < RARE * f64::from(flood.waits);
            self.flood = (!over).then(|| Flood::new(now, flood.steady));
        }
        share
    }

    /// Takes waits for a flood that have been too long for some time.
    fn notice(&mut self, now: Instant, wait: Duration) {
        if wait <= self.most {
            self.long_since = None;
        } else if now - *self.long_since.get_or_insert(now) >= SUSTAINED {
            self.long_since = None;
            self.flood = Some(Flood::new(now, 0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_millis(5);
    const SHORT: Duration = Duration::from_micros(100);
    const LONG: Duration = Duration::from_millis(20);

    /// What a gauge says of waits that end one after another.
    fn told(
        gauge: &mut Gauge,
        now: &mut Instant,
        waits: impl IntoIterator<Item = Duration>,
    ) -> Vec<f64> {
        let one = |wait| {
            *now += TICK + wait;
            gauge.share(*now, wait)
        };
        waits.into_iter().map(one).collect()
    }

    #[test]
    fn stalls_are_no_flood() {
        let (mut gauge, mut now) = (Gauge::new(MOST), Instant::now());
        let hour = Duration::from_secs(3600);
        let waits = (0..1000).map(|number| if number % 3 == 2 { SHORT } else { LONG });
        assert!(told(&mut gauge, &mut now, waits).iter().all(|&share| share == 0.0));
        assert_eq!(told(&mut gauge, &mut now, [SHORT, hour, SHORT]), [0.0; 3]);
    }

    #[test]
    fn a_flood_is_refused_in_part_until_it_is_over() {
        let (mut gauge, mut now) = (Gauge::new(MOST), Instant::now());
        let shares = told(&mut gauge, &mut now, [LONG; 100]);
        let noticed = shares.iter().position(|&share| share > 0.0).unwrap();
        assert!(LONG * noticed as u32 >= SUSTAINED, "{shares:?}");
        assert!(LONG * noticed as u32 <= 2 * SUSTAINED, "{shares:?}");
        assert_eq!(shares[99], MOST_REFUSED);
        // Waits that are as long as they may be keep the share as it is.
        let steady = told(&mut gauge, &mut now, [MOST / RELIEVED; 10]);
        assert!(steady.iter().all(|&share| share == steady[0] && share > 0.5), "{steady:?}");
        let shares = told(&mut gauge, &mut now, [SHORT; 2000]);
        assert!(shares.is_sorted_by(|before, after| before >= after), "{shares:?}");
        assert_eq!(shares[1999], 0.0);
        assert!(gauge.flood.is_none());
        assert_eq!(told(&mut gauge, &mut now, [LONG, SHORT]), [0.0; 2]);
    }

    /// A queue in which waits grow with what is let in beyond what can be answered, and shrink below it.
    #[test]
    fn the_share_settles_where_waits_are_short_and_little_is_refused_in_vain() {
        let (mut gauge, mut now) = (Gauge::new(MOST), Instant::now());
        let (mut queue, mut share) = (0.0f64, 0.0);
        let (mut waits, mut shares) = (Vec::new(), Vec::new());
        for step in 0..5000 {
            // Twice what can be answered arrives.
            let wait = Duration::from_secs_f64(queue.max(1e-5));
            let passed = (TICK + wait).as_secs_f64();
            queue = (queue + passed * (2.0 * (1.0 - share) - 1.0)).max(0.0);
            now += TICK + wait;
            share = gauge.share(now, wait);
            if step >= 1000 {
                waits.push(wait);
                shares.push(share);
            }
        }
        let refused = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!((refused - 0.5).abs() < 0.05, "{refused}");
        assert!(waits.iter().max().unwrap() < &MOST, "{:?}", waits.iter().max());
    }

    #[test]
    fn the_share_is_refused_evenly() {
        let pressure = Pressure::default();
        assert!((0..1000).all(|_| !pressure.refuses()));
        pressure.share.store(65536 / 4, Ordering::Relaxed);
        pressure.left.store(750, Ordering::Relaxed);
        let refused: Vec<_> = (0..1000).filter(|_| pressure.refuses()).collect();
        assert_eq!(refused.len(), 250);
        assert!(refused.windows(2).all(|pair| pair[1] - pair[0] == 4));
        assert!((0..1000).all(|_| pressure.refuses()), "no more are let in at once");
    }

    #[test]
    fn dear_methods_are_known_by_either_transport() {
        for path in ["/v1/encode", "/das.v1.Das/Encode", "/v1/upsert", "/v2/models/item/infer"] {
            assert!(is_dear(path), "{path}");
        }
        for path in ["/v1/lookup", "/das.v1.Das/Lookup", "/v1/items", "/v1/encode/", "/"] {
            assert!(!is_dear(path), "{path}");
        }
        assert!(is_dear("/inference.GRPCInferenceService/ModelInfer"));
    }
}
