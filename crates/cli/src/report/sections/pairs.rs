//! Differences between methods, by paired bootstrap over users and seeds.

use das_eval::metric::headlines;
use das_eval::pairs::Pair;
use maud::{Markup, html};

use super::format::{board_title, difference, metric_name, title};
use crate::report::charts::{Estimate, Forest, forest};
use crate::report::model::{Board, Comparison, REFERENCE, difference_of};

/// Charts against the reference, and all pairs in a table.
pub(super) fn body(comparison: &Comparison) -> Option<Markup> {
    if comparison.pairs.is_empty() {
        return None;
    }
    Some(html! {
        p.lead {
            "Each user’s results under both methods are compared; intervals are the middle "
            "95\u{a0}% of a bootstrap over users and over the seeds of each method. An interval "
            "that does not reach 0 is a difference that neither the choice of users nor that of "
            "seeds explains."
        }
        div.charts {
            @for board in &comparison.boards {
                @for metric in headlines(board.task) { (chart(comparison, board, metric)) }
            }
        }
        details {
            summary { "All " (comparison.pairs.len()) " differences" }
            (table(comparison))
        }
    })
}

/// The reference minus each other method.
fn chart(comparison: &Comparison, board: &Board, metric: &str) -> Markup {
    let rows: Vec<Estimate> = comparison
        .methods
        .iter()
        .enumerate()
        .filter_map(|(color, method)| {
            let (value, interval) = difference_of(comparison, board, metric, method)?;
            Some(Estimate {
                label: method.clone(),
                value,
                interval: Some(interval),
                color,
                text: difference(metric, value),
            })
        })
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    let axis = format!("difference in {}", metric_name(metric));
    html! {
        figure {
            figcaption { (REFERENCE) " minus … " small { (board_title(board)) } }
            (forest(&rows, Forest { axis: &axis, reference: Some(0.0) }))
        }
    }
}

fn table(comparison: &Comparison) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "Task" }
                th scope="col" { "Metric" }
                th scope="col" { "Methods" }
                th.number scope="col" { "Difference" }
                th.number scope="col" { "95 % interval" }
                th.number scope="col" { "p" }
                th.number scope="col" { "Users" }
                th.number scope="col" { "Seeds" }
            } }
            tbody {
                @for pair in &comparison.pairs { (row(pair)) }
            }
        } }
    }
}

fn row(pair: &Pair) -> Markup {
    let found = &pair.difference;
    let written = |value: f64| difference(&pair.metric, value);
    html! {
        tr {
            td { (title(pair.task, &pair.variant)) }
            td { (metric_name(&pair.metric)) }
            td { (pair.a) " − " (pair.b) }
            td.number.best[found.low > 0.0 || found.high < 0.0] { (written(found.difference)) }
            td.number { (written(found.low)) " to " (written(found.high)) }
            td.number { (p_value(found.p)) }
            td.number { (found.users) }
            td.number { (seeds(found.seeds)) }
        }
    }
}

/// Of both methods; none are named by earlier versions, which resampled users alone.
fn seeds(seeds: [usize; 2]) -> String {
    match seeds {
        [0, 0] => "–".to_string(),
        [a, b] if a == b => a.to_string(),
        [a, b] => format!("{a}, {b}"),
    }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< .001".to_string() } else { format!("{p:.3}") }
}
