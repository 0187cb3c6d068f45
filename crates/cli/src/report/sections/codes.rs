//! How the IDs of a run use their codes.

use das_core::Side;
use maud::{Markup, html};

use super::format::{count, percent};
use crate::report::charts::{Bar, Line, Plot, histogram, lines};
use crate::report::model::{Run, SideIds};

const CURVE: (f64, f64) = (320.0, 170.0);
const HISTOGRAM: (f64, f64) = (500.0, 190.0);
/// Bars of the histogram of shared IDs; larger buckets go together.
const BUCKETS: usize = 8;

/// Sorted usage of each level and its figures.
pub(super) fn usage(run: &Run) -> Option<Markup> {
    if run.sides.is_empty() {
        return None;
    }
    Some(html! {
        p.lead {
            "How many entities each code has, most used code first. A flat curve uses all codes "
            "alike; where it meets 0, the codes to the right are dead. Perplexity is the number of "
            "equally used codes that would be as diverse."
        }
        @for side in &run.sides {
            h3 { (plural(side.side)) }
            div.thirds {
                @for (level, counts) in side.usage.iter().enumerate() {
                    figure {
                        figcaption {
                            "Level " (level + 1)
                            small { " " (plural(side.side).to_lowercase()) " by code" }
                        }
                        (curve(side, level, counts))
                    }
                }
            }
            (table(side))
        }
    })
}

fn curve(side: &SideIds, level: usize, counts: &[u64]) -> Markup {
    // A point a pixel is enough.
    let each = counts.len().div_ceil(CURVE.0 as usize).max(1);
    let points = counts.iter().enumerate().step_by(each);
    let line = Line {
        label: format!("level {}", level + 1),
        color: level,
        points: points.map(|(at, &count)| (at as f64 + 1.0, count as f64)).collect(),
    };
    let metrics = &side.metrics.levels[level];
    let label = format!(
        "sorted use of the codes of level {}: {} of {} used, perplexity {:.1}",
        level + 1,
        metrics.used,
        metrics.codebook_size,
        metrics.perplexity
    );
    let y = plural(side.side);
    lines(
        &[line],
        Plot {
            label: &label,
            x: "codes, most used first",
            y,
            size: CURVE,
            from_zero: true,
            filled: true,
            dots: false,
        },
    )
}

fn table(side: &SideIds) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "Level" }
                @for name in ["Codes", "Used", "Dead", "Coverage", "Perplexity", "Gini"] {
                    th.number scope="col" { (name) }
                }
            } }
            tbody {
                @for (level, metrics) in side.metrics.levels.iter().enumerate() {
                    tr {
                        th scope="row" { (level + 1) }
                        td.number { (metrics.codebook_size) }
                        td.number { (metrics.used) }
                        td.number { (metrics.dead) }
                        td.number { (percent(metrics.coverage)) }
                        td.number { (format!("{:.1}", metrics.perplexity)) }
                        td.number { (format!("{:.3}", metrics.gini)) }
                    }
                }
            }
        } }
    }
}

/// Entities that share an ID, all in all and by popularity.
pub(super) fn collisions(run: &Run) -> Option<Markup> {
    if run.sides.is_empty() {
        return None;
    }
    Some(html! {
        p.lead {
            "How many entities share all learned digits, before the collision policy tells them "
            "apart; and whether popular ones fare differently from rare ones."
        }
        @for side in &run.sides {
            h3 { (plural(side.side)) }
            p.note {
                (count(side.metrics.items)) " " (plural(side.side).to_lowercase()) " on "
                (count(side.metrics.unique)) " learned IDs: "
                (percent(side.metrics.collision_rate)) " collide, "
                (percent(side.metrics.alone)) " are alone on theirs, at most "
                (side.metrics.largest_bucket) " share one; "
                (percent(side.metrics.collision_rate_resolved)) " collide after the policy."
            }
            // Without a collision there is nothing to see.
            @if side.metrics.unique < side.metrics.items {
                div.charts {
                    figure {
                        figcaption { "Entities by how many share their ID" }
                        (histogram(
                            "entities by the number that share their ID",
                            "entities on the same ID", &sharing(side), HISTOGRAM,
                        ))
                    }
                    @if side.deciles.iter().any(|decile| decile.collision_rate > 0.0) {
                        figure {
                            figcaption { "Collision rate by popularity" }
                            (histogram(
                                "collision rate by decile of popularity",
                                "tenth by training clicks, least clicked first",
                                &by_popularity(side), HISTOGRAM,
                            ))
                        }
                    }
                }
            }
            @if !side.deciles.is_empty() { (deciles(side)) }
        }
    })
}

/// Entities in buckets of 1, 2, …, and of [`BUCKETS`] or more.
fn sharing(side: &SideIds) -> Vec<Bar> {
    let largest = side.metrics.largest_bucket.max(1);
    let bars = largest.min(BUCKETS);
    (1..=bars)
        .map(|size| {
            let last = size == bars && largest > bars;
            let held = |&&(entities, _): &&(usize, usize)| {
                if last { entities >= size } else { entities == size }
            };
            let entities: usize = side.buckets.iter().filter(held).map(|(n, ids)| n * ids).sum();
            Bar {
                label: if last { format!("{size} or more") } else { size.to_string() },
                value: entities as f64,
                text: count(entities),
            }
        })
        .collect()
}

fn by_popularity(side: &SideIds) -> Vec<Bar> {
    let bar = |(at, decile): (usize, &das_core::metrics::DecileMetrics)| Bar {
        label: (at + 1).to_string(),
        value: decile.collision_rate,
        text: percent(decile.collision_rate),
    };
    side.deciles.iter().enumerate().map(bar).collect()
}

fn deciles(side: &SideIds) -> Markup {
    html! {
        details {
            summary { "Popularity in numbers" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Tenth" }
                    @for name in ["Entities", "Clicks", "Unique IDs", "Collide", "Alone"] {
                        th.number scope="col" { (name) }
                    }
                    @for level in 1..=side.usage.len() {
                        th.number scope="col" { "Perplexity " (level) }
                    }
                } }
                tbody {
                    @for (at, decile) in side.deciles.iter().enumerate() {
                        tr {
                            th scope="row" { (at + 1) }
                            td.number { (count(decile.items)) }
                            td.number { (decile.clicks) }
                            td.number { (count(decile.unique)) }
                            td.number { (percent(decile.collision_rate)) }
                            td.number { (percent(decile.alone)) }
                            @for value in &decile.perplexity {
                                td.number { (format!("{value:.1}")) }
                            }
                        }
                    }
                }
            } }
        }
    }
}

fn plural(side: Side) -> &'static str {
    match side {
        Side::User => "Users",
        Side::Item => "Items",
    }
}
