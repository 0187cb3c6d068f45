//! Times of a text column: numbers or ISO 8601 dates.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

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

/// Milliseconds since 1970 of a date or a date and time; without a zone it is UTC.
fn milliseconds(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let with_time =
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .into_iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    Some(with_time.or_else(day)?.and_utc().timestamp_millis())
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
    }

    #[test]
    fn other_texts_are_refused() {
        assert!(times(&["NaN"]).unwrap_err().contains("found `NaN`"));
        for other in ["soon", "1970-13-01", "1970-01-01T25:00:00", "1970-01-01x", "", "01/02/1970"]
        {
            assert!(times(&[other]).unwrap_err().contains("expected a timestamp"), "{other}");
        }
        assert!(times(&["3", "1970-01-02"]).unwrap_err().contains("dates in others"));
        assert!(times(&["1970-01-02", "3"]).unwrap_err().contains("dates in others"));
        assert!(times(&["1e300", "0.5"]).unwrap_err().contains("out of range"));
    }
}
