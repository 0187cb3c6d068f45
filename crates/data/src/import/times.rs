//! Times of a text column: numbers or ISO 8601 dates.

use chrono::{NaiveDate, NaiveTime};

use crate::interactions::scaled_times;

/// The times of a column, all numbers or all dates.
#[derive(Debug)]
pub(super) enum Times {
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    /// Milliseconds since 1970, from dates.
    Dates(Vec<i64>),
}

impl Times {
    pub(super) fn new() -> Times {
        Times::Integers(Vec::new())
    }

    /// Appends a time; the error is the message.
    pub(super) fn push(&mut self, text: &str) -> Result<(), String> {
        if let Ok(time) = text.parse::<i64>() {
            match self {
                Times::Integers(times) => times.push(time),
                Times::Floats(times) => times.push(time as f64),
                Times::Dates(_) => return Err(mixed(text)),
            }
        } else if let Some(time) = text.parse::<f64>().ok().filter(|time| time.is_finite()) {
            match self {
                Times::Integers(times) => {
                    *self = Times::Floats(times.iter().map(|&t| t as f64).chain([time]).collect());
                }
                Times::Floats(times) => times.push(time),
                Times::Dates(_) => return Err(mixed(text)),
            }
        } else if let Some(time) = milliseconds(text) {
            match self {
                Times::Dates(times) => times.push(time),
                Times::Integers(times) if times.is_empty() => *self = Times::Dates(vec![time]),
                _ => return Err(mixed(text)),
            }
        } else {
            return Err(format!(
                "expected a timestamp (a number or an ISO 8601 date), found `{text}`"
            ));
        }
        Ok(())
    }

    /// The times as integers that keep every order.
    pub(super) fn finish(self) -> Result<Vec<i64>, String> {
        match self {
            Times::Integers(times) | Times::Dates(times) => Ok(times),
            Times::Floats(times) => scaled_times(&times),
        }
    }

    pub(super) fn retain(&mut self, keep: &[bool]) {
        match self {
            Times::Integers(times) | Times::Dates(times) => super::log::retain(times, keep),
            Times::Floats(times) => super::log::retain(times, keep),
        }
    }
}

/// Milliseconds since 1970 of a date, `2023-01-31`, or a date and time in ISO 8601 or as databases print it; without
/// an offset it is UTC.
fn milliseconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    // Four digits of a year, so that no other order of day, month and year is taken for this one.
    let is_digit = |(at, byte): (usize, u8)| matches!(at, 4 | 7) || byte.is_ascii_digit();
    if !date.bytes().enumerate().all(is_digit) {
        return None;
    }
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    if rest.is_empty() {
        return Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    }
    let (time, offset) = split_offset(rest.strip_prefix(['T', 't', ' '])?)?;
    let formats = ["%H:%M:%S%.f", "%H:%M", "%H%M%S"];
    let time = formats.into_iter().find_map(|form| NaiveTime::parse_from_str(time, form).ok())?;
    Some(date.and_time(time).and_utc().timestamp_millis() - offset * 60_000)
}

/// The time before an offset, and the offset in minutes east of UTC: `Z`, `+01`, `+0130` or `+01:30`.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time.trim_end(), 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let (time, offset) = text.split_at(at);
    let (sign, offset) = offset.split_at(1);
    let (hours, minutes) = offset.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let number = |digits: &str, most: i64| {
        let number: i64 = digits.parse().ok()?;
        (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()) && number <= most)
            .then_some(number)
    };
    let minutes = if minutes.is_empty() { 0 } else { number(minutes, 59)? };
    let offset = number(hours, 23)? * 60 + minutes;
    Some((time.trim_end(), if sign == "-" { -offset } else { offset }))
}

fn mixed(text: &str) -> String {
    format!("timestamps are numbers in some rows and dates in others, here `{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(texts: &[&str]) -> Result<Vec<i64>, String> {
        let mut times = Times::new();
        texts.iter().try_for_each(|text| times.push(text))?;
        times.finish()
    }

    #[test]
    fn numbers_and_dates_become_integers() {
        assert_eq!(times(&["3", "1"]), Ok(vec![3, 1]));
        assert_eq!(times(&["3", "2.0"]), Ok(vec![3, 2]));
        assert_eq!(times(&["3", "2.5"]), Ok(vec![3_000_000, 2_500_000]));
        assert_eq!(times(&["1970-01-02", "1970-01-01 00:00:01.5"]), Ok(vec![86_400_000, 1_500]));
        assert_eq!(times(&["1970-01-01T01:00:00+01:00", "1970-01-01 00:00:00Z"]), Ok(vec![0, 0]));
        assert_eq!(times(&["1970-01-01T00:01", "1970-01-01 00:00:02"]), Ok(vec![60_000, 2_000]));
        assert_eq!(times(&["1969-12-31T23:59:59.9999"]), Ok(vec![-1]));
        // As PostgreSQL prints it, and others.
        let hour = 3_600_000;
        for (text, expected) in [
            ("1970-01-01 02:00:00+00", 2 * hour),
            ("1970-01-01 02:00:00+0130", hour / 2),
            ("1970-01-01 02:00:00 -08:00", 10 * hour),
            ("1970-01-01t02:00:00.5z", 2 * hour + 500),
            ("1970-01-01 020000", 2 * hour),
        ] {
            assert_eq!(times(&[text]), Ok(vec![expected]), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        assert!(times(&["NaN"]).unwrap_err().contains("found `NaN`"));
        for other in [
            "soon",
            "1970-13-01",
            "01-02-1970",
            "31-12-19",
            "1970-1-1",
            "1970-01-01 1:2:3+9",
            "1970-01-01 02:00:00+25",
            "1970-01-01T25:00:00",
            "1970-01-01x",
            "",
            "01/02/1970",
        ] {
            assert!(times(&[other]).unwrap_err().contains("expected a timestamp"), "{other}");
        }
        assert!(times(&["3", "1970-01-02"]).unwrap_err().contains("dates in others"));
        assert!(times(&["1970-01-02", "3"]).unwrap_err().contains("dates in others"));
        assert!(times(&["1e300", "0.5"]).unwrap_err().contains("out of range"));
    }
}
