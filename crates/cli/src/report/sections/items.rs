//! The items themselves: in a plane, and by prefix.

use maud::{Markup, html};

use super::format::count;
use crate::report::charts::{Cluster, scatter};
use crate::report::model::{ItemMap, MapCode, PrefixNode, Run};

const WIDE_MAP: (f64, f64) = (1040.0, 700.0);
const HALF_MAP: (f64, f64) = (500.0, 480.0);
/// Codes whose number stands on the map.
const NAMED: usize = 14;
/// Prefixes that are laid out; the others fold.
const FEATURED: usize = 9;

/// The items, coloured by first code.
pub(super) fn maps(run: &Run) -> Option<Markup> {
    let first = run.maps.first()?;
    let shown: usize = first.codes.iter().map(|code| code.points.len()).sum();
    let sampled = if shown < first.items {
        format!("{} of {} items, a random sample", count(shown), count(first.items))
    } else {
        format!("All {} items", count(shown))
    };
    Some(html! {
        p.lead {
            (sampled) ", arranged by t-SNE: what is alike lies close together. Colour is the first "
            "code; codes that lie side by side have different colours, so equal colours far apart "
            "are different codes. Numbers mark the " (NAMED.min(first.codes.len())) " largest "
            "codes. Point at an item for its ID and title."
        }
        @if run.maps.len() > 1 {
            p.note {
                "Quantized vectors are what the IDs stand for; content vectors are what items say "
                "of themselves. Where a colour that is whole on the first map is scattered on the "
                "second, its items were brought together by behaviour."
            }
        }
        div.charts {
            @for map in &run.maps {
                figure.wide[run.maps.len() == 1] {
                    figcaption { "By " (map.source) }
                    (picture(map, &sampled, run.maps.len() == 1))
                }
            }
        }
    })
}

fn picture(map: &ItemMap, sampled: &str, alone: bool) -> Markup {
    let cluster = |(at, code): (usize, &MapCode)| Cluster {
        color: code.color,
        name: (at < NAMED).then(|| code.code.to_string()),
        points: code.points.clone(),
    };
    let clusters: Vec<Cluster> = map.codes.iter().enumerate().map(cluster).collect();
    let label = format!("{sampled} arranged by their {}, coloured by first code", map.source);
    scatter(&label, &clusters, if alone { WIDE_MAP } else { HALF_MAP })
}

/// First codes, their second codes, and titles.
pub(super) fn prefixes(run: &Run) -> Option<Markup> {
    let (featured, others) = run.prefixes.split_at(run.prefixes.len().min(FEATURED));
    if featured.is_empty() {
        return None;
    }
    Some(html! {
        p.lead {
            "Items that share a first code should have something in common; those that share two, "
            "more. The first codes with most items:"
        }
        div.prefixes { @for node in featured { (card(node)) } }
        @if !others.is_empty() {
            details.screen {
                summary { (others.len()) " more first codes" }
                div.prefixes { @for node in others { (card(node)) } }
            }
        }
    })
}

fn card(node: &PrefixNode) -> Markup {
    let listed: usize = node.children.iter().map(|child| child.items).sum();
    html! {
        article.prefix {
            h4 { span.code { (code(&node.prefix)) } small { (items(node.items)) } }
            @if node.children.is_empty() { (examples(node)) }
            @for child in &node.children {
                div.second {
                    h5 { span.code { (code(&child.prefix)) } small { (items(child.items)) } }
                    (examples(child))
                }
            }
            @if !node.children.is_empty() && listed < node.items {
                p.more { "and " (items(node.items - listed)) " under other second codes" }
            }
        }
    }
}

fn examples(node: &PrefixNode) -> Markup {
    html! {
        ul {
            @for (codes, title) in &node.examples { li title=(code(codes)) { (title) } }
            @if node.examples.len() < node.items {
                li.more { "and " (node.items - node.examples.len()) " more" }
            }
        }
    }
}

fn items(number: usize) -> String {
    if number == 1 { "1 item".to_string() } else { format!("{} items", count(number)) }
}

fn code(codes: &[u32]) -> String {
    codes.iter().map(u32::to_string).collect::<Vec<_>>().join("-")
}
