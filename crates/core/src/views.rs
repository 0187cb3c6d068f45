//! Views: the vectors of several sources that stand side by side in a content vector.

use std::ops::Range;

use crate::{Error, Result};

/// Widths of the views that a content vector consists of, in order; at least one, usually just one.
///
/// Where there are several, an entity may lack some: all values of a view that is missing are 0, and
/// none that is there is all zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Views(Vec<usize>);

impl Views {
    /// One view of width `dim`.
    pub fn one(dim: usize) -> Views {
        Views(vec![dim])
    }

    /// Views of these widths; at least one, each at least 1.
    pub fn new(widths: Vec<usize>) -> Result<Views> {
        if widths.is_empty() || widths.contains(&0) {
            let message =
                format!("views of widths {widths:?}, expected at least one, each above 0");
            return Err(Error::Invalid(message));
        }
        Ok(Views(widths))
    }

    /// Width of the whole content vector.
    pub fn dim(&self) -> usize {
        self.0.iter().sum()
    }

    /// Width of each view.
    pub fn widths(&self) -> &[usize] {
        &self.0
    }

    /// Number of views.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Where each view stands in a content vector.
    pub fn spans(&self) -> impl Iterator<Item = Range<usize>> {
        self.0.iter().scan(0, |end, &width| {
            let start = *end;
            *end += width;
            Some(start..*end)
        })
    }

    /// For content `rows` `[n, dim]`: 1 for every value of a view that is there, 0 for those of a
    /// missing one. `None` where nothing is missing.
    pub fn present(&self, rows: &[f32]) -> Option<Vec<f32>> {
        if self.count() == 1 {
            return None;
        }
        let mut mask: Option<Vec<f32>> = None;
        for (at, row) in rows.chunks_exact(self.dim()).enumerate() {
            for span in self.spans().filter(|span| !self.is_present(&row[span.clone()])) {
                let start = at * self.dim();
                let mask = mask.get_or_insert_with(|| vec![1.0; rows.len()]);
                mask[start + span.start..start + span.end].fill(0.0);
            }
        }
        mask
    }

    /// Whether an entity has the view whose values are these; where there is but one, it has.
    pub fn is_present(&self, view: &[f32]) -> bool {
        self.count() == 1 || view.iter().any(|&x| x != 0.0)
    }

    /// Σ (x − x̂)² over `rows` `[n, dim]` and what was made of them, missing views left out.
    pub fn squared_error(&self, rows: &[f32], made: &[f32]) -> f64 {
        let squares = rows.iter().zip(made).map(|(x, y)| f64::from(x - y).powi(2));
        match self.present(rows) {
            None => squares.sum(),
            Some(mask) => squares.zip(mask).map(|(square, there)| square * f64::from(there)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_each_other() {
        let views = Views::new(vec![2, 1, 3]).unwrap();
        assert_eq!((views.dim(), views.count()), (6, 3));
        assert_eq!(views.spans().collect::<Vec<_>>(), [0..2, 2..3, 3..6]);
        assert!(Views::one(4).spans().eq(std::iter::once(0..4)));
        assert!(Views::new(vec![]).is_err() && Views::new(vec![2, 0]).is_err());
    }

    #[test]
    fn missing_views_are_masked_and_cost_nothing() {
        let views = Views::new(vec![2, 1]).unwrap();
        let rows = [1.0, 0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 4.0, 0.0];
        let mask = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        assert_eq!(views.present(&rows), Some(mask.to_vec()));
        assert_eq!(views.present(&rows[..3]), None);
        // Each value is off by 1: six of the nine count.
        let made = rows.map(|x| x + 1.0);
        assert_eq!(views.squared_error(&rows, &made), 6.0);
        // A single view is never missing.
        assert_eq!(Views::one(3).squared_error(&rows, &made), 9.0);
    }
}
