//! Content vectors in requests: a list of lists of numbers, read into one block.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use crate::error::Refusal;

/// Widest vector of a request.
pub const MAX_DIM: usize = 1 << 16;

/// Rows of one width, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    rows: usize,
    values: Vec<f32>,
}

impl Vectors {
    /// Takes rows of width `dim`; refused where `values` are not.
    pub fn new(dim: usize, values: Vec<f32>) -> Result<Vectors, Refusal> {
        if dim == 0 || dim > MAX_DIM || !values.len().is_multiple_of(dim) {
            let found = values.len();
            return Err(Refusal::invalid(format!("{found} values are not rows of width {dim}")));
        }
        Ok(Vectors { rows: values.len() / dim, values })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The values, if rows are `dim` wide and every value is finite.
    pub fn of_width(self, dim: usize) -> Result<Vec<f32>, Refusal> {
        if self.values.len() != self.rows * dim {
            let found = self.values.len() / self.rows.max(1);
            return Err(Refusal::invalid(format!(
                "`vectors`: expected vectors of width {dim}, got {found}"
            )));
        }
        match self.values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Refusal::invalid(format!(
                "`vectors` row {}, value {}: expected a finite number, got {}",
                at / dim,
                at % dim,
                self.values[at]
            ))),
            None => Ok(self.values),
        }
    }
}

impl<'de> Deserialize<'de> for Vectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vectors, D::Error> {
        deserializer.deserialize_seq(Rows)
    }
}

struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = Vectors;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of vectors, each a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Vectors, A::Error> {
        let mut vectors = Vectors::default();
        let mut dim = None;
        loop {
            let before = vectors.values.len();
            if rows.next_element_seed(Row(&mut vectors.values))?.is_none() {
                return Ok(vectors);
            }
            let found = vectors.values.len() - before;
            let expected = *dim.get_or_insert(found);
            if found != expected || found == 0 {
                return Err(A::Error::custom(format!(
                    "vector {}: expected {} numbers, got {found}",
                    vectors.rows,
                    if expected == 0 { "some".to_string() } else { expected.to_string() }
                )));
            }
            vectors.rows += 1;
        }
    }
}

/// One row, to be added to the values.
struct Row<'a>(&'a mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector: a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<(), A::Error> {
        let start = self.0.len();
        while let Some(value) = row.next_element::<f32>()? {
            if self.0.len() - start == MAX_DIM {
                return Err(A::Error::custom(format!("a vector of more than {MAX_DIM} numbers")));
            }
            self.0.push(value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vectors, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_are_read_end_to_end() {
        let vectors = read("[[1, -2.5], [3e2, 0]]").unwrap();
        assert_eq!((vectors.rows(), vectors.of_width(2)), (2, Ok(vec![1.0, -2.5, 300.0, 0.0])));
        assert_eq!(read("[]").unwrap().rows(), 0);
    }

    #[test]
    fn what_is_no_matrix_is_refused_by_row() {
        for (json, expected) in [
            ("[[1, 2], [3]]", "vector 1: expected 2 numbers, got 1"),
            ("[[]]", "vector 0: expected some numbers, got 0"),
            ("[1]", "a vector: a list of numbers"),
            ("[[\"a\"]]", "invalid type"),
            ("[[NaN]]", "expected"),
            ("[[1e60]]", "out of range"),
            ("{}", "a list of vectors"),
        ] {
            let message = read(json).unwrap_err();
            assert!(message.contains(expected), "{json}: {message}");
        }
    }

    #[test]
    fn width_and_values_are_checked() {
        let message = |json: &str| read(json).unwrap().of_width(2).unwrap_err().message;
        assert_eq!(message("[[1, 2, 3]]"), "`vectors`: expected vectors of width 2, got 3");
        let infinite = Vectors::new(2, vec![1.0, 2.0, f32::INFINITY, 2.0]).unwrap();
        let message = infinite.of_width(2).unwrap_err().message;
        assert_eq!(message, "`vectors` row 1, value 0: expected a finite number, got inf");
    }
}
