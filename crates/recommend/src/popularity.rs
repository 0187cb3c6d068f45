//! Most clicked first: the floor under every recommender.

use crate::sequence::check_histories;
use crate::{Error, Recommender, Result, Sequences};

/// Scores every item by the logarithm of its share of the training clicks, the same for
/// everybody. Items never clicked count as half a click, so that their score is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Popularity {
    scores: Vec<f32>,
}

impl Popularity {
    /// Counts the clicks of `train` on each of `num_items` items.
    ///
    /// # Errors
    /// If there are no items or a sequence names one outside the catalogue.
    pub fn fit(num_items: usize, train: &Sequences) -> Result<Popularity> {
        if num_items == 0 {
            return Err(Error::Invalid("a catalogue without items".into()));
        }
        train.check(num_items)?;
        let mut counts = vec![0u64; num_items];
        train.items().iter().for_each(|&item| counts[item as usize] += 1);
        let shares = counts.iter().map(|&count| (count as f64).max(0.5));
        let total: f64 = shares.clone().sum();
        Ok(Popularity { scores: shares.map(|share| (share / total).ln() as f32).collect() })
    }
}

impl Recommender for Popularity {
    fn num_items(&self) -> usize {
        self.scores.len()
    }

    fn scores(&self, histories: &[&[u32]]) -> Result<Vec<f32>> {
        check_histories(histories, self.num_items())?;
        Ok(self.scores.repeat(histories.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_clicks_in_order() {
        let train = Sequences::new(vec![0, 3, 4], vec![2, 0, 2, 2]).unwrap();
        let popularity = Popularity::fit(3, &train).unwrap();
        let scores = popularity.scores(&[&[], &[1]]).unwrap();
        let expected: Vec<f32> =
            [1.0, 0.5, 3.0].map(|count: f64| (count / 4.5).ln() as f32).repeat(2);
        assert_eq!(scores, expected);
    }

    #[test]
    fn items_outside_the_catalogue_are_refused() {
        let train = Sequences::new(vec![0, 1], vec![3]).unwrap();
        let error = Popularity::fit(3, &train).unwrap_err().to_string();
        assert!(error.contains("sequence of user 0: item 3, expected less than 3"), "{error}");
        let train = Sequences::new(vec![0, 1], vec![2]).unwrap();
        let error = Popularity::fit(3, &train).unwrap().scores(&[&[5]]).unwrap_err().to_string();
        assert!(error.contains("history 0: item 5"), "{error}");
    }
}
