//! Downstream models over time and over popularity.

use std::collections::BTreeMap;

use das_eval::metric::headlines;
use das_eval::records::Seconds;
use maud::{Markup, html};

use super::format::{board_title, metric_name};
use crate::report::charts::{Line, Plot, legend, lines};
use crate::report::model::{Board, Comparison, MethodResults};

/// Sizes of a chart beside another and alone, in CSS pixels.
const HALF: (f64, f64) = (500.0, 260.0);
const WIDE: (f64, f64) = (1040.0, 320.0);

/// Validation quality by training seconds, one line a method: its first training.
pub(super) fn time_to_quality(comparison: &Comparison) -> Option<Markup> {
    let curve = |row: &MethodResults| {
        let record = row.records.iter().find(|record| !record.curve.is_empty())?;
        let points = record.curve.iter().filter_map(|at| Some((at.seconds, at.validation?)));
        Some(points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect())
    };
    let intro = "Validation metric of the downstream model by its training time, first training of \
                 each method. A line that still rises at its end was stopped by its budget.";
    let curves = charts(comparison, intro, |board| {
        let label = format!("validation quality by seconds of training, {}", board_title(board));
        Some((label, "seconds of training", "validation", lines_of(comparison, board, &curve)))
    })?;
    Some(html! { (curves) (costs(comparison)) })
}

/// Mean seconds of every phase.
fn costs(comparison: &Comparison) -> Markup {
    const PHASES: [fn(&Seconds) -> f64; 3] = [|s| s.tokenizer, |s| s.train, |s| s.evaluate];
    let mean = |row: &MethodResults, phase: fn(&Seconds) -> f64| {
        let sum: f64 = row.records.iter().map(|record| phase(&record.seconds)).sum();
        format!("{:.1}", sum / row.records.len() as f64)
    };
    html! {
        details {
            summary { "What a run cost" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Task" }
                    th scope="col" { "Method" }
                    @for name in ["Tokenizer, s", "Recommender, s", "Evaluation, s"] {
                        th.number scope="col" { (name) }
                    }
                } }
                tbody {
                    @for board in comparison.boards.iter() {
                        @for row in &board.rows {
                            tr {
                                td { (board_title(board)) }
                                td { (row.method) }
                                @for phase in PHASES {
                                    td.number { (mean(row, phase)) }
                                }
                            }
                        }
                    }
                }
            } }
        }
    }
}

/// The first metric of a task by decile of popularity.
pub(super) fn by_popularity(comparison: &Comparison) -> Option<Markup> {
    let intro = "Test results by training popularity of the target item, from the least clicked \
                 tenth (1) to the most clicked (10); means over trainings.";
    charts(comparison, intro, |board| {
        let metric = *headlines(board.task).iter().find(|metric| {
            let records = board.rows.iter().flat_map(|row| &row.records);
            records.flat_map(|r| &r.deciles).any(|d| d.metrics.contains_key(**metric))
        })?;
        let label = format!("{} by popularity, {}", metric_name(metric), board_title(board));
        let rows = lines_of(comparison, board, &|row| Some(deciles(row, metric)));
        Some((label, "tenth of the items by popularity", metric, rows))
    })
}

/// One chart for each board that has lines; none where no board has.
fn charts<'a>(
    comparison: &'a Comparison,
    intro: &str,
    content: impl Fn(&'a Board) -> Option<(String, &'static str, &'static str, Vec<Line>)>,
) -> Option<Markup> {
    let boards: Vec<_> = comparison
        .boards
        .iter()
        .filter_map(|board| Some((board, content(board)?)))
        .filter(|(_, (_, _, _, rows))| !rows.is_empty())
        .collect();
    if boards.is_empty() {
        return None;
    }
    let alone = boards.len() == 1;
    let drawn = |name: &String| boards.iter().any(|(_, c)| c.3.iter().any(|l| l.label == *name));
    let named = comparison.methods.iter().enumerate().filter(|(_, name)| drawn(name));
    Some(html! {
        p.lead { (intro) }
        (legend(named.map(|(color, name)| (name.as_str(), color))))
        div.charts {
            @for (board, (label, x, y, rows)) in &boards {
                figure.wide[alone] {
                    figcaption { (board_title(board)) " " small { (metric_name(y)) } }
                    (lines(rows, Plot {
                        label, x, y: &metric_name(y), size: if alone { WIDE } else { HALF },
                        from_zero: *y != "validation", filled: false, dots: true,
                    }))
                }
            }
        }
    })
}

fn lines_of(
    comparison: &Comparison,
    board: &Board,
    points: &impl Fn(&MethodResults) -> Option<Vec<(f64, f64)>>,
) -> Vec<Line> {
    let line = |row: &MethodResults| {
        let color = comparison.methods.iter().position(|name| *name == row.method)?;
        let points = points(row).filter(|points| !points.is_empty())?;
        Some(Line { label: row.method.clone(), color, points })
    };
    board.rows.iter().filter_map(line).collect()
}

/// (decile from 1, mean over trainings).
fn deciles(row: &MethodResults, metric: &str) -> Vec<(f64, f64)> {
    let mut values: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
    for decile in row.records.iter().flat_map(|record| &record.deciles) {
        if let Some(value) = decile.metrics.get(metric).copied() {
            values.entry(decile.decile).or_default().push(value);
        }
    }
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    values.into_iter().map(|(decile, values)| (f64::from(decile) + 1.0, mean(values))).collect()
}
