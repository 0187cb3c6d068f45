//! A square of values between −1 and 1.

use maud::{Markup, html};

use super::{px, svg};

const CELL: f64 = 34.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 70.0;

/// Draws `values` `[n, n]`, rows and columns named by `names`; orange is negative, blue positive,
/// and the number stands in each cell. What is not finite is left blank.
pub fn heatmap(label: &str, names: &[String], values: &[Vec<f64>]) -> Markup {
    let side = CELL * names.len() as f64;
    let center = |at: usize| CELL * (at as f64 + 0.5);
    let body = html! {
        @for (at, name) in names.iter().enumerate() {
            text.name x=(px(LEFT - 8.0)) y=(px(TOP + center(at) + 4.0)) text-anchor="end" { (name) }
            text.name x="0" y="0" transform=(format!(
                "translate({} {}) rotate(-50)", px(LEFT + center(at) + 2.0), px(TOP - 8.0)
            )) { (name) }
        }
        @for (row, line) in values.iter().enumerate() {
            @for (column, &value) in line.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                @let (x, y) = (LEFT + CELL * column as f64, TOP + CELL * row as f64);
                rect x=(px(x + 0.5)) y=(px(y + 0.5)) width=(px(CELL - 1.0)) height=(px(CELL - 1.0))
                    fill=(if value < 0.0 { "var(--negative)" } else { "var(--positive)" })
                    fill-opacity=(format!("{:.2}", 0.06 + 0.74 * value.abs().min(1.0))) {
                    title { (names[row]) " and " (names[column]) ": " (signed(value)) }
                }
                text.cell x=(px(x + CELL / 2.0)) y=(px(y + CELL / 2.0 + 3.5)) text-anchor="middle" {
                    (signed(value))
                }
            }
        }
    };
    svg(label, LEFT + side + 46.0, TOP + side + 4.0, &body)
}

/// Two decimals without the leading zero: narrow enough for a cell.
fn signed(value: f64) -> String {
    let digits = format!("{:.2}", value.abs());
    match digits.strip_prefix('0').unwrap_or(&digits) {
        ".00" => "0".to_string(),
        short if value < 0.0 => format!("−{short}"),
        short => short.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_narrow() {
        let written = [-1.0, -0.126, -0.001, 0.0, 0.5, 1.0].map(signed);
        assert_eq!(written, ["−1.00", "−.13", "0", "0", ".50", "1.00"]);
    }
}
