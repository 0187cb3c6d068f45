//! Whether more arrives than can be answered, wherever it queues: places and queues count what was read, and under a
//! flood requests wait before that, in sockets and for threads.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::auth::Access;

/// How often the wait for a thread is measured: an idle service should cost nothing,
const TICK: Duration = Duration::from_millis(20);
/// and where waits were too long it should be sure soon.
const DOUBTFUL_TICK: Duration = Duration::from_millis(2);
/// So many more waits that are too long than others are more than a moment's stall.
const MANY: u32 = 8;
/// How often a flood is asked whether it is over,
const ROUND: Duration = Duration::from_secs(1);
/// which it is once no larger share than this was refused of the requests that cost many times their refusal. Well below
/// capacity so many come at a bad moment; over it, many more do.
const LITTLE: f64 = 0.25;

/// Methods that cost many times their refusal. To refuse others would help nobody.
const DEAR: [&str; 5] = ["encode", "upsert", "retrieve", "infer", "modelinfer"];

/// Whether a path, of HTTP or of gRPC, is that of a method which costs many times its refusal.
pub(crate) fn is_dear(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    DEAR.iter().any(|dear| method.eq_ignore_ascii_case(dear))
}

/// How many of the requests that cost many times their refusal are worked on, and may be.
///
/// Without a flood any number may, as far as there are places. In one, what is let in waits in line with what is
/// refused, so only so many are as keep the threads busy: the line stays short for both, and as much is answered.
#[derive(Debug, Default)]
pub struct Pressure {
    /// Those worked on that ask, and those that change something.
    working: [AtomicUsize; 2],
    /// How many of each may be, while there is a flood; any number where 0.
    most: AtomicUsize,
    /// How many asked to be let in, in this round of a flood,
    asked: AtomicU32,
    /// and were not.
    refused: AtomicU32,
}

/// A request that was let in, for as long as it is worked on.
#[derive(Debug)]
pub(crate) struct LetIn<'a>(&'a AtomicUsize);

impl Drop for LetIn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pressure {
    /// Whether a request would be refused now, said before its body is read.
    pub(crate) fn refuses(&self, access: Access) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let working = self.working[access as usize].load(Ordering::Relaxed);
        self.counted(self.is_too_many(working + 1))
    }

    /// Lets a request in once its body is there, or refuses it.
    pub(crate) fn let_in(&self, access: Access) -> Option<LetIn<'_>> {
        let working = &self.working[access as usize];
        let before = working.fetch_add(1, Ordering::Relaxed);
        let entered = LetIn(working);
        (!self.counted(self.is_too_many(before + 1))).then_some(entered)
    }

    fn is_too_many(&self, working: usize) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        most > 0 && working > most
    }

    fn counted(&self, refused: bool) -> bool {
        self.refused.fetch_add(refused.into(), Ordering::Relaxed);
        refused
    }

    /// Measures how long a task waits for one of `threads`, for good; most of the time longer than `long` is a flood.
    pub async fn watch(&self, long: Duration, threads: usize) {
        let mut gauge = Gauge { long, excess: 0 };
        loop {
            let due = Instant::now() + if gauge.excess > 0 { DOUBTFUL_TICK } else { TICK };
            // It waits until a thread looks for what has happened, be it by the clock or in a socket,
            tokio::time::sleep_until(due.into()).await;
            // and then behind all tasks that are ready.
            tokio::task::yield_now().await;
            if gauge.notices(Instant::now() - due) {
                // One for each thread, and others that are ready when it is done or computed elsewhere.
                self.most.store(threads + threads.div_ceil(2), Ordering::Relaxed);
                tracing::warn!("more requests arrive than can be answered");
                self.rounds().await;
                self.most.store(0, Ordering::Relaxed);
                tracing::info!("no more requests arrive than can be answered");
            }
        }
    }

    /// Waits until a flood is over.
    async fn rounds(&self) {
        loop {
            self.asked.store(0, Ordering::Relaxed);
            self.refused.store(0, Ordering::Relaxed);
            tokio::time::sleep(ROUND).await;
            if self.is_over() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        let [asked, refused] =
            [&self.asked, &self.refused].map(|number| number.load(Ordering::Relaxed));
        f64::from(refused) <= LITTLE * f64::from(asked)
    }
}

/// Waits for threads, as they are measured one after another.
#[derive(Debug)]
struct Gauge {
    long: Duration,
    /// How many more of them were too long than were not, since that was last so.
    excess: u32,
}

impl Gauge {
    /// Whether enough waits have been too long.
    fn notices(&mut self, wait: Duration) -> bool {
        self.excess =
            if wait > self.long { self.excess + 1 } else { self.excess.saturating_sub(1) };
        let noticed = self.excess == MANY;
        if noticed {
            self.excess = 0;
        }
        noticed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(5);
    const SHORT: Duration = Duration::from_micros(100);
    const LONGER: Duration = Duration::from_millis(10);

    /// What a gauge notices of waits that end one after another.
    fn noticed(waits: impl IntoIterator<Item = Duration>) -> Vec<bool> {
        let mut gauge = Gauge { long: LONG, excess: 0 };
        waits.into_iter().map(|wait| gauge.notices(wait)).collect()
    }

    #[test]
    fn stalls_are_no_flood() {
        let waits = (0..1000).map(|number| if number % 2 == 0 { LONGER } else { LONG });
        assert!(noticed(waits).iter().all(|&flood| !flood));
        let hour = Duration::from_secs(3600);
        assert_eq!(noticed([SHORT, hour, hour, hour, hour, SHORT, SHORT]), [false; 7]);
    }

    #[test]
    fn waits_of_which_most_are_long_are_a_flood() {
        let found = noticed([LONGER; 20]);
        let floods: Vec<_> = (1..).zip(&found).filter(|&(_, &flood)| flood).collect();
        // It is to be noticed anew, by as many.
        assert_eq!(floods, [(MANY, &true), (2 * MANY, &true)]);
        let waits = (0..100).map(|number| if number % 4 == 3 { SHORT } else { LONGER });
        assert!(noticed(waits).contains(&true));
    }

    #[test]
    fn without_a_flood_everybody_is_let_in_and_in_one_as_many_as_may_be() {
        let pressure = Pressure::default();
        let let_in: Vec<_> = (0..10).filter_map(|_| pressure.let_in(Access::Read)).collect();
        assert_eq!(let_in.len(), 10);
        // Those who are there when a flood is noticed stay.
        pressure.most.store(3, Ordering::Relaxed);
        assert!(pressure.refuses(Access::Read) && pressure.let_in(Access::Read).is_none());
        drop(let_in);
        let let_in: Vec<_> = (0..10).filter_map(|_| pressure.let_in(Access::Read)).collect();
        assert_eq!(let_in.len(), 3);
        assert!(pressure.refuses(Access::Read));
        assert!(!pressure.refuses(Access::Admin) && pressure.let_in(Access::Admin).is_some());
        drop(let_in);
        assert!(!pressure.refuses(Access::Read));
        assert!(pressure.working.iter().all(|working| working.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_flood_is_over_once_few_are_refused() {
        let pressure = Pressure::default();
        assert!(pressure.is_over(), "nobody asks");
        pressure.most.store(1, Ordering::Relaxed);
        let ask = |number: usize| (0..number).filter(|_| pressure.refuses(Access::Read)).count();
        assert_eq!(ask(30), 0);
        let let_in = pressure.let_in(Access::Read);
        assert!(let_in.is_some());
        assert_eq!(ask(10), 10);
        assert!(pressure.is_over());
        assert_eq!(ask(1), 1);
        assert!(!pressure.is_over());
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
