//! The methods on each task: charts of the first metrics, a table of all.

use std::collections::BTreeSet;

use das_eval::metric::{Best, best, headlines};
use maud::{Markup, html};

use super::format::{board_title, ends, is_detail, metric_name, metric_order, summary, value};
use crate::report::charts::{Estimate, Forest, forest};
use crate::report::model::{Board, Comparison, MethodResults, REFERENCE};

/// Every task that some method took part in.
pub(super) fn body(comparison: &Comparison) -> Option<Markup> {
    let boards = || comparison.boards.iter().filter(|board| !board.rows.is_empty());
    boards().next()?;
    Some(html! {
        p.lead {
            "Dots are means over seeds, the trainings of a seed averaged, whiskers their "
            "95\u{a0}% confidence intervals (Student’s t). A method with one seed has no whiskers. "
            "The dotted line marks "
            code { (REFERENCE) } "."
        }
        @for board in boards() { (task(board, comparison)) }
    })
}

fn task(board: &Board, comparison: &Comparison) -> Markup {
    let metrics = metrics(board);
    let shown = headlines(board.task).iter().filter(|name| metrics.iter().any(|m| m == *name));
    html! {
        h3 { (board_title(board)) }
        p.note { (runs(board)) }
        div.charts {
            @for metric in shown {
                figure {
                    figcaption {
                        (metric_name(metric))
                        @if best(metric) == Best::Lowest { small { " less is better" } }
                    }
                    (chart(board, metric, comparison))
                }
            }
        }
        @let (details, main) = metrics.iter().partition::<Vec<&str>, _>(|m| is_detail(board.task, m));
        (table(board, &main))
        @if !details.is_empty() {
            details {
                summary { "Further metrics (" (details.len()) ")" }
                (table(board, &details))
            }
        }
    }
}

/// All metrics of a board, in the order of its table.
fn metrics(board: &Board) -> Vec<&str> {
    let mut names: Vec<&str> =
        board.rows.iter().flat_map(|row| row.metrics.keys()).map(String::as_str).collect();
    names.sort_by_cached_key(|metric| metric_order(board.task, metric));
    names.dedup();
    names
}

/// How much stands behind the numbers.
fn runs(board: &Board) -> String {
    let range = |count: fn(&MethodResults) -> usize| {
        let fewest = board.rows.iter().map(count).min().unwrap_or(0);
        let most = board.rows.iter().map(count).max().unwrap_or(0);
        if fewest == most { most.to_string() } else { format!("{fewest} to {most}") }
    };
    let (seeds, trainings) = (range(seeds), range(|row| row.records.len()));
    let mut presets: Vec<&str> =
        board.rows.iter().flat_map(|row| &row.records).map(|r| r.preset.as_str()).collect();
    presets.retain(|preset| !preset.is_empty());
    presets.sort_unstable();
    presets.dedup();
    let preset = match presets.as_slice() {
        [] => String::new(),
        [one] => format!(", preset {one}"),
        several => format!(", presets {}: not all comparable", several.join(" and ")),
    };
    let plural = if seeds == "1" { "" } else { "s" };
    let repeated = match board.rows.iter().any(|row| row.records.iter().any(|r| r.run.repeat > 0)) {
        true => format!(", {trainings} trainings"),
        false => String::new(),
    };
    format!("{seeds} seed{plural}{repeated} a method{preset}.")
}

fn seeds(row: &MethodResults) -> usize {
    row.records.iter().map(|record| record.run.seed).collect::<BTreeSet<_>>().len()
}

fn chart(board: &Board, metric: &str, comparison: &Comparison) -> Markup {
    let estimate = |row: &MethodResults| {
        let found = row.metrics.get(metric)?;
        Some(Estimate {
            label: row.method.clone(),
            value: found.mean,
            interval: ends(found),
            color: comparison.methods.iter().position(|name| *name == row.method).unwrap_or(0),
            text: summary(metric, found),
        })
    };
    let rows: Vec<Estimate> = board.rows.iter().filter_map(estimate).collect();
    let reference = rows.iter().find(|row| row.label == REFERENCE).map(|row| row.value);
    forest(&rows, Forest { axis: &metric_name(metric), reference })
}

/// Metrics down, methods across; the best mean of a row is bold.
fn table(board: &Board, metrics: &[&str]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "Metric" }
                @for row in &board.rows { th.number scope="col" { (row.method) } }
            } }
            tbody {
                @for metric in metrics {
                    @let best = best_mean(board, metric);
                    tr {
                        th scope="row" { (metric_name(metric)) }
                        @for row in &board.rows {
                            td.number.best[best.is_some() && best == mean(row, metric)] {
                                @if let Some(found) = row.metrics.get(*metric) {
                                    (value(metric, found.mean))
                                    @if let Some(half) = found.half_width {
                                        " " small { "± " (value(metric, half)) }
                                    }
                                } @else { "–" }
                            }
                        }
                    }
                }
            }
        } }
    }
}

fn mean(row: &MethodResults, metric: &str) -> Option<f64> {
    row.metrics.get(metric).map(|summary| summary.mean)
}

/// The best mean, where it is clear which direction is better and there is a choice.
fn best_mean(board: &Board, metric: &str) -> Option<f64> {
    let means: Vec<f64> = board.rows.iter().filter_map(|row| mean(row, metric)).collect();
    if means.iter().all(|&mean| mean == means[0]) {
        return None;
    }
    match best(metric) {
        Best::Highest => means.into_iter().reduce(f64::max),
        Best::Lowest => means.into_iter().reduce(f64::min),
        Best::Neither => None,
    }
}
