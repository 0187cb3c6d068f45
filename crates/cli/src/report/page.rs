//! The page as a whole.

use das_eval::metric::headlines;
use das_eval::records::Task;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::{Board, Comparison, Missing, REFERENCE, Report, Run};
use super::sections::{Section, board_title, count, metric_name, percent, sections, value};

const STYLE: &str = include_str!("style.css");

/// The HTML document.
pub fn page(report: &Report) -> Markup {
    let sections = sections(report);
    let title = format!("{} · das report", report.name);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("das ", env!("CARGO_PKG_VERSION")));
                // An icon of its own: browsers ask a server for one otherwise.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (contents(report, &sections))
                main {
                    (header(report))
                    @for section in &sections {
                        section id=(section.id) { h2 { (section.title) } (section.body) }
                    }
                    (missing(&report.missing))
                    footer {
                        "Made by das " (env!("CARGO_PKG_VERSION"))
                        ". Nothing on this page is loaded from elsewhere."
                    }
                }
            }
        }
    }
}

fn contents(report: &Report, sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Contents" {
            p.brand { "das" span { " report" } }
            p.where { (report.name) }
            ol {
                @for section in sections {
                    li { a href=(format!("#{}", section.id)) { (section.title) } }
                }
            }
        }
    }
}

fn header(report: &Report) -> Markup {
    html! {
        header {
            h1 { (report.name) }
            p.subtitle {
                @match (&report.comparison, &report.run) {
                    (Some(comparison), _) => (compared(comparison)),
                    (None, Some(run)) if run.method.is_empty() => {
                        "A training run without an artifact so far"
                    }
                    (None, Some(run)) => { "A training run of " code { (run.method) } },
                    (None, None) => "",
                }
            }
            @if let Some(comparison) = &report.comparison { (best(comparison)) }
            @if let Some(run) = &report.run {
                @if report.comparison.is_some() {
                    p.note { "The run shown in detail below: " code { (run.name) } }
                }
                (tiles(run))
                (facts(run))
            }
        }
    }
}

fn compared(comparison: &Comparison) -> String {
    let runs: usize = comparison
        .boards
        .iter()
        .flat_map(|board| board.rows.iter().chain(&board.ablations))
        .map(|row| row.records.len())
        .sum();
    let (methods, tasks) = (comparison.methods.len(), comparison.boards.len());
    format!("A comparison of {methods} methods on {tasks} tasks, {runs} results")
}

/// For each task that IDs are for: who leads its first metric, and where the reference stands.
fn best(comparison: &Comparison) -> Markup {
    html! {
        div.tiles {
            @for board in comparison.boards.iter().filter(|board| board.task != Task::Intrinsic) {
                (leader(board))
            }
        }
    }
}

fn leader(board: &Board) -> Markup {
    let metric = headlines(board.task)[0];
    let known = || board.rows.iter().filter_map(|row| Some((row, row.metrics.get(metric)?.mean)));
    let leader = known().max_by(|a, b| a.1.total_cmp(&b.1));
    let reference = known().find(|(row, _)| row.method == REFERENCE);
    html! {
        @if let Some((best, mean)) = leader {
            div.tile {
                p.label { (board_title(board)) ", best " (metric_name(metric)) }
                p.figure { (value(metric, mean)) }
                p.detail {
                    (best.method)
                    @if let Some((row, own)) = reference.filter(|_| best.method != REFERENCE) {
                        "; " (row.method) " " (value(metric, own))
                    }
                }
            }
        }
    }
}

fn tiles(run: &Run) -> Markup {
    let validation = run.training.as_ref().and_then(|training| {
        training
            .validation
            .iter()
            .find(|series| series.name == "recall@50" && !series.points.is_empty())
    });
    html! {
        div.tiles {
            @for side in &run.sides {
                @let metrics = &side.metrics;
                @let entities = format!("{}s", side.side);
                div.tile {
                    p.label { (entities) " collide" }
                    p.figure { (percent(metrics.collision_rate)) }
                    p.detail {
                        (count(metrics.unique)) " IDs for " (count(metrics.items)) " " (entities)
                    }
                }
                div.tile {
                    p.label { "codes of " (entities) " in use" }
                    p.figure { (percent(coverage(metrics))) }
                    p.detail {
                        "perplexity "
                        @for (at, level) in metrics.levels.iter().enumerate() {
                            @if at > 0 { " · " } (format!("{:.0}", level.perplexity))
                        }
                    }
                }
            }
            @if let Some(series) = validation {
                @let best = series.points.iter().map(|point| point.1).fold(f64::MIN, f64::max);
                div.tile {
                    p.label { "best validation recall@50" }
                    p.figure { (format!("{best:.3}")) }
                    p.detail { "after " (series.points.len()) " validated epochs" }
                }
            }
        }
    }
}

/// Codes in use among all codes of all levels.
fn coverage(metrics: &das_core::metrics::IntrinsicMetrics) -> f64 {
    let sum = |of: fn(&das_core::metrics::LevelMetrics) -> usize| -> f64 {
        metrics.levels.iter().map(of).sum::<usize>() as f64
    };
    sum(|level| level.used) / sum(|level| level.codebook_size).max(1.0)
}

fn facts(run: &Run) -> Markup {
    html! {
        @if !run.facts.is_empty() {
            dl.facts {
                @for (name, fact) in &run.facts { div { dt { (name) } dd { (fact) } } }
            }
        }
    }
}

fn missing(missing: &[Missing]) -> Markup {
    html! {
        @if !missing.is_empty() {
            section.missing id="missing" {
                h2 { "Not on this page" }
                ul {
                    @for part in missing { li { (part.what) ": " span { (part.how) } } }
                }
            }
        }
    }
}
