//! Drawing from simple distributions.

use rand::Rng;

/// A discrete distribution by its running sums.
#[derive(Clone, Debug)]
pub(super) struct Discrete {
    sums: Vec<f64>,
}

impl Discrete {
    /// Weights need not sum to 1; at least one is positive.
    pub(super) fn new(weights: impl IntoIterator<Item = f64>) -> Discrete {
        let mut total = 0.0;
        let sums = weights.into_iter().map(|weight| {
            total += weight;
            total
        });
        Discrete { sums: sums.collect() }
    }

    /// Zipf-like over `size` ranks: weight `1 / (rank + 2)`, rank from 0.
    pub(super) fn zipf(size: usize) -> Discrete {
        Discrete::new((0..size).map(|rank| 1.0 / (rank as f64 + 2.0)))
    }

    pub(super) fn draw(&self, rng: &mut impl Rng) -> usize {
        let total = self.sums.last().copied().unwrap_or_default();
        let at = rng.random::<f64>() * total;
        self.sums.partition_point(|&sum| sum <= at).min(self.sums.len() - 1)
    }
}

/// A standard normal value (Box and Muller 1958).
pub(super) fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use das_core::streams::stream;

    #[test]
    fn frequencies_follow_the_weights() {
        let distribution = Discrete::new([1.0, 0.0, 3.0]);
        let mut rng = stream(1, "test", 0);
        let mut counts = [0; 3];
        (0..40_000).for_each(|_| counts[distribution.draw(&mut rng)] += 1);
        assert_eq!(counts[1], 0);
        assert!((counts[0] as f64 / 40_000.0 - 0.25).abs() < 0.01, "{counts:?}");
    }

    #[test]
    fn normal_values_have_unit_moments() {
        let mut rng = stream(2, "test", 0);
        let values: Vec<f64> = (0..40_000).map(|_| normal(&mut rng)).collect();
        let mean = values.iter().sum::<f64>() / 40_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 40_000.0;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
