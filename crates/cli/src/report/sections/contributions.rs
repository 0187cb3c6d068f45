//! What the reference loses without each of its parts.

use das_eval::metric::{Best, best, headlines};
use das_eval::records::by_seed;
use das_eval::stats::confidence_interval;
use maud::{Markup, html};

use super::format::{board_title, difference, ends, metric_name};
use crate::report::charts::{Contribution, contributions};
use crate::report::model::{Board, Comparison, MethodResults, REFERENCE, difference_of};

/// A chart for each task on which the reference and some ablation were measured.
pub(super) fn body(comparison: &Comparison) -> Option<Markup> {
    let mut figures = Vec::new();
    for board in &comparison.boards {
        for &metric in headlines(board.task) {
            let rows = rows(comparison, board, metric);
            if !rows.is_empty() {
                figures.push((board, metric, rows));
            }
        }
    }
    if figures.is_empty() {
        return None;
    }
    Some(html! {
        p.lead {
            "The full model minus the model without the named part, or with the named change. A "
            "bar to the right: the full model is better. Whiskers are 95\u{a0}% intervals, by "
            "bootstrap over users and seeds where the comparison made them, otherwise over seeds; a "
            "bar whose whiskers reach 0 proves nothing."
        }
        div.charts {
            @for (board, metric, rows) in &figures {
                figure.wide {
                    figcaption { (metric_name(metric)) " " small { (board_title(board)) } }
                    (contributions(&axis(metric), rows))
                }
            }
        }
    })
}

fn axis(metric: &str) -> String {
    let sign = if Best::Lowest == best(metric) { "lowers" } else { "adds to" };
    format!("what the part {sign} {}", metric_name(metric))
}

/// Largest contribution first.
fn rows(comparison: &Comparison, board: &Board, metric: &str) -> Vec<Contribution> {
    let Some(full) = board.rows.iter().find(|row| row.method == REFERENCE) else {
        return Vec::new();
    };
    let sign = if Best::Lowest == best(metric) { -1.0 } else { 1.0 };
    let row = |ablation: &MethodResults| {
        let (value, interval) = difference_of(comparison, board, metric, &ablation.method)
            .map(|(value, interval)| (value, Some(interval)))
            .or_else(|| over_seeds(full, ablation, metric))?;
        let value = sign * value;
        let ends = interval.map(|(a, b)| (sign * a, sign * b)).map(|(a, b)| (a.min(b), a.max(b)));
        Some(Contribution {
            label: part(&ablation.method),
            text: text(metric, value, ends),
            value,
            interval: ends,
        })
    };
    let mut rows: Vec<Contribution> = board.ablations.iter().filter_map(row).collect();
    rows.sort_by(|a, b| b.value.total_cmp(&a.value));
    rows
}

/// `das -co_i` is about `co_i`.
fn part(method: &str) -> String {
    let part = method.strip_prefix(REFERENCE).unwrap_or(method).trim_start();
    part.strip_prefix('-').unwrap_or(part).to_string()
}

fn text(metric: &str, value: f64, interval: Option<(f64, f64)>) -> String {
    let value = difference(metric, value);
    match interval {
        Some((low, high)) => {
            let [low, high] = [low, high].map(|end| difference(metric, end));
            format!("{value} [{low}, {high}]")
        }
        None => value,
    }
}

/// A difference and the ends of its interval.
type Difference = (f64, Option<(f64, f64)>);

/// Paired by seed where both have the same seeds, otherwise the plain difference of means.
fn over_seeds(full: &MethodResults, ablation: &MethodResults, metric: &str) -> Option<Difference> {
    let (full_seeds, seeds) = (by_seed(&full.records, metric), by_seed(&ablation.records, metric));
    let difference = |(seed, value): (&u64, &f64)| Some(value - seeds.get(seed)?);
    let differences: Vec<f64> = full_seeds.iter().filter_map(difference).collect();
    if let Some(paired) = confidence_interval(&differences) {
        return Some((paired.mean, ends(&paired)));
    }
    let mean = |row: &MethodResults| row.metrics.get(metric).map(|summary| summary.mean);
    Some((mean(full)? - mean(ablation)?, None))
}
