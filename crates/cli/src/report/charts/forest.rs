//! Dots with whiskers, one row a method.

use maud::{Markup, html};

use super::scale::{Scale, Ticks, extent};
use super::{color, px, shorten, svg};

/// A value with its interval.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// What the row is about.
    pub label: String,
    /// The dot.
    pub value: f64,
    /// Ends of the whiskers, where known.
    pub interval: Option<(f64, f64)>,
    /// Category of the colour.
    pub color: usize,
    /// The value as written beside the row.
    pub text: String,
}

/// How a forest is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Forest<'a> {
    /// What the axis measures.
    pub axis: &'a str,
    /// A vertical line to compare with, which the axis then includes.
    pub reference: Option<f64>,
}

const WIDTH: f64 = 500.0;
const ROW: f64 = 24.0;
const LEFT: f64 = 132.0;
const RIGHT: f64 = 128.0;
const TOP: f64 = 6.0;
const BOTTOM: f64 = 38.0;

/// Draws the rows in the order given.
pub fn forest(rows: &[Estimate], how: Forest<'_>) -> Markup {
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let ends = rows.iter().flat_map(|row| {
        let (low, high) = row.interval.unwrap_or((row.value, row.value));
        [low, row.value, high]
    });
    let domain = extent(ends.chain(how.reference), 0.06);
    let x = Scale::new(domain, (LEFT, WIDTH - RIGHT));
    let ticks = Ticks::within(domain.0, domain.1, 3);
    let floor = height - BOTTOM;
    let values: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row.label, row.text)).collect();
    let label = format!("{} by row: {}", how.axis, values.join("; "));
    let body = html! {
        @for &tick in &ticks.values {
            line.grid x1=(px(x.at(tick))) x2=(px(x.at(tick))) y1=(px(TOP)) y2=(px(floor)) {}
            text.tick x=(px(x.at(tick))) y=(px(floor + 15.0)) text-anchor="middle" {
                (ticks.label(tick))
            }
        }
        text.axis x=(px((LEFT + WIDTH - RIGHT) / 2.0)) y=(px(floor + 31.0)) text-anchor="middle" {
            (how.axis)
        }
        @if let Some(reference) = how.reference {
            line.reference x1=(px(x.at(reference))) x2=(px(x.at(reference)))
                y1=(px(TOP)) y2=(px(floor)) {}
        }
        @for (at, row) in rows.iter().enumerate() { (draw(row, at, &x)) }
    };
    svg(&label, WIDTH, height, &body)
}

fn draw(row: &Estimate, at: usize, x: &Scale) -> Markup {
    let y = TOP + ROW * (at as f64 + 0.5);
    let baseline = px(y + 4.0);
    let (dot, paint) = (x.at(row.value), color(row.color));
    html! {
        text.name x=(px(LEFT - 10.0)) y=(baseline) text-anchor="end" {
            (shorten(&row.label, 20))
        }
        @if let Some((low, high)) = row.interval {
            path.whisker stroke=(paint) d=(format!(
                "M{0} {2}H{1}M{0} {3}v8M{1} {3}v8",
                px(x.at(low)), px(x.at(high)), px(y), px(y - 4.0)
            )) {}
        }
        circle cx=(px(dot)) cy=(px(y)) r="4.5" fill=(paint) {
            title { (row.label) ": " (row.text) }
        }
        text.value x=(px(WIDTH - 2.0)) y=(baseline) text-anchor="end" { (row.text) }
    }
}
