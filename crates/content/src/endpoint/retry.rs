//! How long to wait before a request is repeated.

use std::time::{Duration, Instant, SystemTime};

use rand::Rng;

use super::pool::Stop;
use crate::Result;

/// No drawn wait is longer than this.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// A server that asks for more patience than this is asked again earlier.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);
/// Time between two looks at whether to stop.
const SLICE: Duration = Duration::from_millis(20);

/// The wait before repetition `attempt` (0 is the first): drawn evenly from 0 to a bound that
/// doubles each time from `base` ("full jitter", so that clients do not come back all at once),
/// on top of what the server asked for.
pub(super) fn backoff(
    attempt: u32,
    base: Duration,
    asked: Option<Duration>,
    rng: &mut impl Rng,
) -> Duration {
    let bound = base.saturating_mul(1 << attempt.min(20)).min(MAX_BACKOFF);
    let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
    asked + bound.mul_f64(rng.random::<f64>())
}

/// Sleeps in slices.
///
/// # Errors
/// `Interrupted` as soon as work should stop.
pub(super) fn wait(duration: Duration, stop: Stop<'_>) -> Result<()> {
    let started = Instant::now();
    loop {
        stop.check()?;
        let left = duration.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(SLICE));
    }
}

/// What a `Retry-After` header asks for: a number of seconds, or a date, which has come where it
/// lies before `now`. None where it is neither.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use das_core::streams::stream;
    use proptest::prelude::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110, section 5.6.7.
    const THEN: Duration = Duration::from_secs(784_111_777);

    #[test]
    fn retry_after_is_seconds_or_any_of_three_forms_of_a_date() {
        let earlier = SystemTime::UNIX_EPOCH + THEN - Duration::from_secs(5);
        let dates = [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ];
        for value in dates.into_iter().chain([" 5 "]) {
            assert_eq!(retry_after(value, earlier), Some(Duration::from_secs(5)), "{value}");
        }
        assert_eq!(retry_after(dates[0], SystemTime::now()), Some(Duration::ZERO));
        for value in ["", "-1", "1.5", "soon", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(retry_after(value, earlier), None, "{value}");
        }
    }

    #[test]
    fn waits_double_up_to_a_bound_and_add_to_what_was_asked() {
        let base = Duration::from_millis(100);
        let longest = |attempt, asked| {
            let mut rng = stream(1, "test", 0);
            (0..200).map(|_| backoff(attempt, base, asked, &mut rng)).max().unwrap()
        };
        for (attempt, bound) in [(0, 100), (1, 200), (3, 800), (9, 30_000), (100, 30_000)] {
            let (longest, bound) = (longest(attempt, None), Duration::from_millis(bound));
            assert!(longest <= bound && longest > bound.mul_f64(0.9), "{attempt}: {longest:?}");
        }
        let patience = Some(Duration::from_secs(86_400));
        assert!((120.0..120.2).contains(&longest(0, patience).as_secs_f64()));
    }

    proptest! {
        #[test]
        fn no_retry_after_panics(value in prop_oneof![
            "[0-9]{0,25}",
            ".{0,40}",
            "[A-Z][a-z]{2}, [0-9]{2} (Jan|Feb|Nov) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
        ]) {
            let asked = retry_after(&value, SystemTime::now());
            let mut rng = stream(1, "test", 0);
            prop_assert!(backoff(3, Duration::from_secs(1), asked, &mut rng).as_secs() <= 150);
        }
    }
}
