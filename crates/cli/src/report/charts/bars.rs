//! Bars: upright for counts, sideways with whiskers for contributions.

use maud::{Markup, html};

use super::scale::{Scale, Ticks, extent};
use super::{px, shorten, svg};

/// One upright bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Below the bar.
    pub label: String,
    /// Its height.
    pub value: f64,
    /// Above the bar.
    pub text: String,
}

/// Upright bars from 0. `size` is in CSS pixels.
pub fn histogram(label: &str, axis: &str, bars: &[Bar], size: (f64, f64)) -> Markup {
    let (width, height) = size;
    let (top, bottom) = (18.0, 36.0);
    let floor = height - bottom;
    let highest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let y = Scale::new((0.0, highest), (floor, top));
    let slot = width / bars.len().max(1) as f64;
    let breadth = (slot * 0.74).min(64.0);
    let body = html! {
        line.base x1="0" x2=(px(width)) y1=(px(floor)) y2=(px(floor)) {}
        @for (at, bar) in bars.iter().enumerate() {
            @let middle = slot * (at as f64 + 0.5);
            // What is there shows, however little it is.
            @let rise = if bar.value > 0.0 { (floor - y.at(bar.value)).max(1.0) } else { 0.0 };
            rect.bar x=(px(middle - breadth / 2.0)) y=(px(floor - rise)) width=(px(breadth))
                height=(px(rise)) { title { (bar.label) ": " (bar.text) } }
            text.tick x=(px(middle)) y=(px(floor - rise - 5.0)) text-anchor="middle" { (bar.text) }
            text.tick x=(px(middle)) y=(px(floor + 14.0)) text-anchor="middle" { (bar.label) }
        }
        text.axis x=(px(width / 2.0)) y=(px(floor + 30.0)) text-anchor="middle" { (axis) }
    };
    svg(label, width, height, &body)
}

/// What one part adds.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// The part.
    pub label: String,
    /// What is lost without it; below 0 where leaving it out helps.
    pub value: f64,
    /// Ends of the whiskers, where known.
    pub interval: Option<(f64, f64)>,
    /// The value as written beside the bar.
    pub text: String,
}

/// Sideways bars from 0 with whiskers, in the order given.
pub fn contributions(axis: &str, rows: &[Contribution]) -> Markup {
    const WIDTH: f64 = 680.0;
    const ROW: f64 = 26.0;
    let (left, right, top, bottom) = (170.0, 190.0, 6.0, 38.0);
    let height = top + ROW * rows.len() as f64 + bottom;
    let floor = height - bottom;
    let ends = rows.iter().flat_map(|row| {
        let (low, high) = row.interval.unwrap_or((row.value, row.value));
        [low, high, row.value]
    });
    let domain = extent(ends.chain([0.0]), 0.04);
    let x = Scale::new(domain, (left, WIDTH - right));
    let ticks = Ticks::within(domain.0, domain.1, 4);
    let zero = x.at(0.0);
    let values: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row.label, row.text)).collect();
    let body = html! {
        @for &tick in &ticks.values {
            line.grid x1=(px(x.at(tick))) x2=(px(x.at(tick))) y1=(px(top)) y2=(px(floor)) {}
            text.tick x=(px(x.at(tick))) y=(px(floor + 15.0)) text-anchor="middle" {
                (ticks.label(tick))
            }
        }
        @for (at, row) in rows.iter().enumerate() {
            @let y = top + ROW * (at as f64 + 0.5);
            @let end = x.at(row.value);
            text.name x=(px(left - 10.0)) y=(px(y + 4.0)) text-anchor="end" {
                (shorten(&row.label, 30))
            }
            rect.gain.loss[row.value < 0.0] x=(px(zero.min(end))) y=(px(y - 8.0))
                width=(px((end - zero).abs())) height="16" { title { (row.label) ": " (row.text) } }
            @if let Some((low, high)) = row.interval {
                path.whisker.plain d=(format!(
                    "M{0} {2}H{1}M{0} {3}v8M{1} {3}v8",
                    px(x.at(low)), px(x.at(high)), px(y), px(y - 4.0)
                )) {}
            }
            text.value x=(px(WIDTH - 2.0)) y=(px(y + 4.0)) text-anchor="end" { (row.text) }
        }
        line.base x1=(px(zero)) x2=(px(zero)) y1=(px(top)) y2=(px(floor)) {}
        text.axis x=(px((left + WIDTH - right) / 2.0)) y=(px(floor + 31.0)) text-anchor="middle" {
            (axis)
        }
    };
    svg(&format!("{axis}: {}", values.join("; ")), WIDTH, height, &body)
}
