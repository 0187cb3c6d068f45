//! Charts as inline SVG. One kind a file; each takes plain numbers and a description for readers
//! who cannot see it.
//!
//! Colours are CSS variables of `style.css`, so charts follow the page into dark mode and onto
//! paper. Every chart stands beside a table or values in text: none is the only way to a number.

mod bars;
mod forest;
mod heatmap;
mod lines;
mod scale;
mod scatter;

pub use bars::{Bar, Contribution, contributions, histogram};
pub use forest::{Estimate, Forest, forest};
pub use heatmap::heatmap;
pub use lines::{Line, Plot, legend, lines};
pub use scatter::{Cluster, scatter};

use maud::{Markup, html};

/// Categorical colours; `style.css` defines `--c0` and so on.
pub const COLORS: usize = 7;

/// The colour of category `index`.
pub fn color(index: usize) -> String {
    format!("var(--c{})", index % COLORS)
}

/// An `<svg>` of `width` × `height` CSS pixels, which shrinks with the page.
fn svg(label: &str, width: f64, height: f64, body: &Markup) -> Markup {
    let (width, height) = (px(width), px(height));
    html! {
        svg.chart role="img" aria-label=(label) viewBox=(format!("0 0 {width} {height}"))
            width=(width) height=(height) { (body) }
    }
}

/// A coordinate: a tenth of a pixel is finer than any screen shows.
fn px(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // No `-0`, and no `.0`.
    if rounded == 0.0 { "0".to_string() } else { format!("{rounded}") }
}

/// `text` cut to about `most` characters.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
