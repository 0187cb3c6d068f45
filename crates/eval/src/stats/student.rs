//! Student's t: confidence intervals of a mean over few seeds.

use serde::{Deserialize, Serialize};

/// Confidence of the intervals of this crate.
const CONFIDENCE: f64 = 0.95;

/// A mean with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The interval is mean ± this; none for fewer than two values.
    pub half_width: Option<f64>,
}

/// Mean and 95 % interval t · s/√n of independent values, s² with n − 1 in the denominator and t
/// the quantile of Student's distribution with n − 1 degrees of freedom. `None` without values.
pub fn confidence_interval(values: &[f64]) -> Option<Interval> {
    let count = values.len();
    let n = count as f64;
    let mean = values.iter().sum::<f64>() / n;
    let half_width = (count > 1).then(|| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        t_quantile(0.5 + CONFIDENCE / 2.0, n - 1.0) * (squares / (n - 1.0) / n).sqrt()
    });
    (count > 0).then_some(Interval { count, mean, half_width })
}

/// The t with P(T ≤ t) = `p` for `freedom` > 0 degrees of freedom; `p` in 0.5..1.
///
/// Solves I_x(ν/2, 1/2) = 2(1 − p) for x = ν/(ν + t²), where I is the regularized incomplete beta
/// function, by bisection: to the last bits, and fast enough for tables.
pub(super) fn t_quantile(p: f64, freedom: f64) -> f64 {
    let tail = 2.0 * (1.0 - p);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if incomplete_beta(middle, freedom / 2.0, 0.5) < tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    let x = 0.5 * (low + high);
    (freedom * (1.0 - x) / x).max(0.0).sqrt()
}

/// Regularized incomplete beta function I_x(a, b), by the continued fraction of NIST DLMF 8.17.22,
/// on the side of the symmetry I_x(a, b) = 1 − I_{1−x}(b, a) where it converges fast.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    front.exp() / (a * beta_fraction(x, a, b))
}

/// 1 + d₁/(1 + d₂/(1 + …)), by the modified method of Lentz.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const LEAST: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < LEAST { LEAST } else { value };
    let (mut fraction, mut c, mut d) = (1.0, 1.0, 0.0);
    for n in 1..500u32 {
        let m = f64::from(n / 2);
        let coefficient = if n % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / away_from_zero(1.0 + coefficient * d);
        c = away_from_zero(1.0 + coefficient / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// ln Γ(x) for x > 0: Stirling's series (DLMF 5.11.1) after lifting x above 10, where five terms
/// give full precision.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut lift) = (x, 0.0);
    while x < 10.0 {
        lift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0]
            .iter()
            .rev()
            .fold(0.0, |sum, term| sum * inverse + term)
            / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - lift
}
