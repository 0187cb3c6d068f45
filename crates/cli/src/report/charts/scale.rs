//! From values to pixels, and round numbers along the way.

/// A linear map from values to pixels.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    domain: (f64, f64),
    range: (f64, f64),
}

impl Scale {
    /// Maps `domain` onto `range`; an empty domain goes to the middle of the range.
    pub fn new(domain: (f64, f64), range: (f64, f64)) -> Scale {
        Scale { domain, range }
    }

    /// Where `value` is drawn.
    pub fn at(&self, value: f64) -> f64 {
        let ((low, high), (from, to)) = (self.domain, self.range);
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        from + share * (to - from)
    }
}

/// Round values on an axis, and how many decimals they need.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticks {
    /// Ascending, inside the interval they were made for.
    pub values: Vec<f64>,
    decimals: usize,
}

impl Ticks {
    /// About `count` multiples of 1, 2 or 5 times a power of ten within `[low, high]`.
    pub fn within(low: f64, high: f64, count: usize) -> Ticks {
        let span = high - low;
        if !span.is_finite() || span <= f64::EPSILON * low.abs().max(high.abs()) {
            return Ticks { values: vec![low], decimals: decimals_of(low) };
        }
        let raw = span / count.max(1) as f64;
        let magnitude = 10f64.powf(raw.log10().floor());
        let step = match raw / magnitude {
            about if about < 1.5 => 1.0,
            about if about < 3.5 => 2.0,
            about if about < 7.5 => 5.0,
            _ => 10.0,
        } * magnitude;
        let slack = step * 1e-9;
        let (first, last) = (((low - slack) / step).ceil(), ((high + slack) / step).floor());
        let values =
            (0..=(last - first).max(0.0) as usize).map(|at| (first + at as f64) * step).collect();
        // The rounding guards against 0.1 whose logarithm is a hair below −1.
        let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        Ticks { values, decimals }
    }

    /// A tick as written at the axis.
    pub fn label(&self, value: f64) -> String {
        match value.abs() {
            large if large >= 1e6 => format!("{}M", trim(value / 1e6)),
            large if large >= 1e4 => format!("{}k", trim(value / 1e3)),
            _ => {
                let text = format!("{value:.*}", self.decimals);
                let zero = text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.');
                if zero { "0".to_string() } else { text.replace('-', "−") }
            }
        }
    }
}

fn trim(value: f64) -> String {
    format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Decimals for a value that stands alone: three significant digits.
fn decimals_of(value: f64) -> usize {
    if value == 0.0 || !value.is_finite() {
        return 0;
    }
    (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize
}

/// The smallest interval that holds all finite values, widened by `margin` of its length.
pub fn extent(values: impl IntoIterator<Item = f64>, margin: f64) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let room = if high > low { (high - low) * margin } else { low.abs().max(1e-9) * 0.1 };
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let labels = |low, high, count| -> Vec<String> {
            let ticks = Ticks::within(low, high, count);
            ticks.values.iter().map(|&value| ticks.label(value)).collect()
        };
        assert_eq!(labels(0.0, 10.0, 5), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(0.053, 0.0712, 4), ["0.055", "0.060", "0.065", "0.070"]);
        assert_eq!(labels(-0.021, 0.04, 3), ["−0.02", "0", "0.02", "0.04"]);
        assert_eq!(labels(0.0, 0.3, 3), ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(0.0, 60_000.0, 3), ["0", "20k", "40k", "60k"]);
        assert_eq!(labels(0.0, 2.5e6, 2), ["0", "1M", "2M"]);
        assert_eq!(labels(3.0, 3.0, 4), ["3.00"]);
        for (low, high) in [(1e-9, 3e-9), (-1e12, 1e12), (0.999, 1.001), (5.0, 6e5)] {
            let ticks = Ticks::within(low, high, 5);
            assert!((2..=11).contains(&ticks.values.len()), "{ticks:?}");
            let slack = (high - low) * 1e-6;
            let inside = |v: &f64| (low - slack..=high + slack).contains(v);
            assert!(ticks.values.iter().all(inside), "{ticks:?}");
        }
    }

    #[test]
    fn scales_map_ends_to_ends_and_survive_an_empty_domain() {
        let scale = Scale::new((2.0, 4.0), (100.0, 0.0));
        assert_eq!([2.0, 3.0, 4.0].map(|v| scale.at(v)), [100.0, 50.0, 0.0]);
        assert_eq!(Scale::new((2.0, 2.0), (0.0, 10.0)).at(2.0), 5.0);
    }

    #[test]
    fn extents_ignore_what_is_not_finite() {
        assert_eq!(extent([1.0, f64::NAN, 3.0, f64::INFINITY], 0.5), (0.0, 4.0));
        assert_eq!(extent([f64::NAN], 0.1), (0.0, 1.0));
        let (low, high) = extent([5.0], 0.1);
        assert!(low < 5.0 && high > 5.0);
    }
}
