//! Learning-rate schedule.

use serde::{Deserialize, Serialize};

/// Linear warm-up, then a half cosine down to a share of the peak.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Steps of warm-up; 0 starts at the peak.
    pub warmup_steps: u64,
    /// Steps after which the factor stays at `min_factor`.
    pub total_steps: u64,
    /// The factor at the end, 0 to 1.
    pub min_factor: f32,
}

impl Schedule {
    /// The factor on the peak learning rate of the step with this index, the first being 0:
    /// `(step + 1) / (warmup + 1)` during warm-up, so that no step is wasted on a rate of 0.
    pub fn factor(&self, step: u64) -> f32 {
        if step < self.warmup_steps {
            return ((step + 1) as f64 / (self.warmup_steps + 1) as f64) as f32;
        }
        if step >= self.total_steps {
            return self.min_factor;
        }
        let span = self.total_steps - self.warmup_steps;
        let progress = (step - self.warmup_steps) as f64 / span as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        let floor = f64::from(self.min_factor);
        (floor + (1.0 - floor) * cosine) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let schedule = Schedule { warmup_steps: 4, total_steps: 104, min_factor: 0.1 };
        assert_eq!(schedule.factor(0), 0.2);
        assert_eq!(schedule.factor(3), 0.8);
        assert_eq!(schedule.factor(4), 1.0);
        assert!((schedule.factor(54) - 0.55).abs() < 1e-6, "half way down");
        assert_eq!(schedule.factor(104), 0.1);
        assert_eq!(schedule.factor(u64::MAX), 0.1);
        for step in 4..104 {
            assert!(schedule.factor(step + 1) < schedule.factor(step));
        }
    }

    #[test]
    fn degenerate_spans_stay_finite() {
        let none = Schedule { warmup_steps: 0, total_steps: 0, min_factor: 0.0 };
        assert_eq!(none.factor(0), 0.0);
        let only_warmup = Schedule { warmup_steps: 10, total_steps: 5, min_factor: 0.5 };
        assert!(only_warmup.factor(9) < 1.0);
        assert_eq!(only_warmup.factor(10), 0.5);
    }
}
