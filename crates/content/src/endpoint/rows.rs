//! How errors name what was asked for.

use std::fmt;

use crate::Error;

/// The texts of one request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows {
    /// The text that a server's width is learned from.
    Probe,
    /// Rows `first` to `first + count - 1` of the caller's texts.
    Range {
        /// The first of them.
        first: usize,
        /// How many, at least 1.
        count: usize,
    },
}

impl Rows {
    /// The row of the caller alone.
    pub(super) fn one(row: usize) -> Rows {
        Rows::Range { first: row, count: 1 }
    }

    /// Number of texts.
    pub(super) fn count(self) -> usize {
        match self {
            Rows::Probe => 1,
            Rows::Range { count, .. } => count,
        }
    }

    /// Text number `at` of the request.
    pub(super) fn at(self, at: usize) -> Rows {
        match self {
            Rows::Probe => Rows::Probe,
            Rows::Range { first, .. } => Rows::one(first + at),
        }
    }

    /// A number that tells apart the requests of one kind.
    pub(super) fn number(self) -> u64 {
        match self {
            Rows::Probe => u64::MAX,
            Rows::Range { first, .. } => first as u64,
        }
    }

    /// An error about these rows.
    pub(super) fn error(self, message: impl Into<String>) -> Error {
        Error::Endpoint { rows: self.to_string(), message: message.into() }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Rows::Probe => f.write_str("the probe text"),
            Rows::Range { first, count: 1 } => write!(f, "row {first}"),
            Rows::Range { first, count } => write!(f, "rows {first} to {}", first + count - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn one_row_and_several_are_named_as_a_reader_would() {
        let rows = Rows::Range { first: 32, count: 32 };
        assert_eq!(rows.to_string(), "rows 32 to 63");
        assert_eq!(rows.at(5).to_string(), "row 37");
        assert_eq!(Rows::Probe.at(0).to_string(), "the probe text");
    }
}
