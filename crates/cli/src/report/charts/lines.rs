//! Lines over a common axis, large or as small multiples.

use maud::{Markup, html};

use super::scale::{Scale, Ticks, extent};
use super::{color, px, svg};

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub label: String,
    /// Category of the colour.
    pub color: usize,
    /// Points by ascending x.
    pub points: Vec<(f64, f64)>,
}

/// How the lines are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Plot<'a> {
    /// The chart in words.
    pub label: &'a str,
    /// What the horizontal axis measures; empty leaves the axis title out.
    pub x: &'a str,
    /// What the vertical axis measures.
    pub y: &'a str,
    /// Size in CSS pixels.
    pub size: (f64, f64),
    /// Whether the vertical axis begins at 0.
    pub from_zero: bool,
    /// Whether the area under each line is tinted.
    pub filled: bool,
    /// Whether each point is marked.
    pub dots: bool,
}

/// Draws `lines` with axes.
pub fn lines(lines: &[Line], plot: Plot<'_>) -> Markup {
    let (width, height) = plot.size;
    let (left, right, top) = (46.0, 10.0, 8.0);
    let bottom = if plot.x.is_empty() { 20.0 } else { 36.0 };
    let points = || lines.iter().flat_map(|line| &line.points);
    let x_domain = extent(points().map(|p| p.0), 0.0);
    let (low, high) = extent(points().map(|p| p.1), 0.05);
    let y_domain = if plot.from_zero { (0.0, high.max(f64::MIN_POSITIVE)) } else { (low, high) };
    let x = Scale::new(x_domain, (left, width - right));
    let y = Scale::new(y_domain, (height - bottom, top));
    // Half an epoch is no place for a tick.
    let whole = points().all(|p| p.0.fract() == 0.0);
    let most = if whole { (x_domain.1 - x_domain.0) as usize } else { usize::MAX };
    let x_ticks =
        Ticks::within(x_domain.0, x_domain.1, ((width / 60.0) as usize).min(10).min(most));
    let y_ticks = Ticks::within(y_domain.0, y_domain.1, ((height / 32.0) as usize).min(6));
    let floor = height - bottom;
    let body = html! {
        @for &tick in &y_ticks.values {
            @let up = y.at(tick);
            line.grid x1=(px(left)) x2=(px(width - right)) y1=(px(up)) y2=(px(up)) {}
            text.tick x=(px(left - 6.0)) y=(px(up + 3.5)) text-anchor="end" {
                (y_ticks.label(tick))
            }
        }
        @for &tick in &x_ticks.values {
            text.tick x=(px(x.at(tick))) y=(px(floor + 14.0)) text-anchor="middle" {
                (x_ticks.label(tick))
            }
        }
        @if !plot.x.is_empty() {
            text.axis x=(px((left + width - right) / 2.0)) y=(px(floor + 30.0))
                text-anchor="middle" { (plot.x) }
        }
        @for line in lines {
            @if plot.filled {
                path.area fill=(color(line.color)) d=(area(line, &x, &y, floor)) {}
            }
            path.line stroke=(color(line.color)) stroke-dasharray=[dashes(line)]
                d=(trace(line, &x, &y)) { title { (line.label) } }
            @if plot.dots {
                @for &(across, up) in &line.points {
                    circle cx=(px(x.at(across))) cy=(px(y.at(up))) r="2.6"
                        fill=(color(line.color)) {
                        title { (line.label) ": " (plot.y) " " (format!("{up:.4}")) }
                    }
                }
            }
        }
    };
    svg(plot.label, width, height, &body)
}

/// The colours of `lines` in words, for above a chart.
pub fn legend<'a>(entries: impl IntoIterator<Item = (&'a str, usize)>) -> Markup {
    html! {
        ul.legend {
            @for (label, index) in entries {
                li { span.swatch style=(format!("background:{}", color(index))) {} (label) }
            }
        }
    }
}

/// Lines after the last colour repeat colours with dashes.
fn dashes(line: &Line) -> Option<&'static str> {
    (line.color >= super::COLORS).then_some("5 3")
}

fn trace(line: &Line, x: &Scale, y: &Scale) -> String {
    let mut path = String::new();
    for (at, &(across, up)) in line.points.iter().filter(|p| p.1.is_finite()).enumerate() {
        path.push(if at == 0 { 'M' } else { 'L' });
        path.push_str(&format!("{} {}", px(x.at(across)), px(y.at(up))));
    }
    path
}

fn area(line: &Line, x: &Scale, y: &Scale, floor: f64) -> String {
    match line.points.first() {
        Some(first) => format!("{}V{}H{}Z", trace(line, x, y), px(floor), px(x.at(first.0))),
        None => String::new(),
    }
}
