//! What the page looks like.

use das_core::Side;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::artifact::{Loaded, ServedSide};
use crate::error::Refusal;
use crate::rates::Rate;
use crate::service::{ArtifactInfo, Info, ItemsAnswer, RequestedSide};

const STYLE: &str = include_str!("style.css");
/// Width and height of a chart of code usage, in CSS pixels.
const CHART: (f64, f64) = (320.0, 90.0);
/// Bars of a chart at most; neighbouring codes of larger codebooks share one.
const BARS: usize = 64;

/// Everything on the page.
pub(super) struct Page<'a> {
    pub(super) info: &'a Info,
    pub(super) live: &'a Loaded,
    pub(super) rates: &'a [Rate],
    pub(super) side: RequestedSide,
    pub(super) id: &'a str,
    pub(super) prefix: &'a str,
    pub(super) result: Option<Markup>,
}

/// The page.
pub(super) fn page(page: &Page<'_>) -> Markup {
    document(&html! {
        (search(page))
        @if let Some(result) = &page.result { section.result { (result) } }
        section {
            h2 { "Artifacts" }
            (artifacts(page.info))
        }
        section {
            h2 { "Code usage" }
            @for side in page.live.sides() { (usage(side)) }
        }
        section {
            h2 { "Requests" }
            (rates(page.rates))
        }
    })
}

/// A page that says why there is none.
pub(super) fn refusal(refusal: &Refusal) -> Markup {
    document(&html! {
        section.result { p.error role="alert" { (refusal.message) } p { a href="/" { "Back" } } }
    })
}

/// One entity.
pub(super) fn entity(
    side: RequestedSide,
    id: &str,
    codes: &[u32],
    levels: &[(Vec<u32>, ItemsAnswer)],
) -> Markup {
    html! {
        h2 { (Side::from(side).name()) " " (id) }
        p { "Semantic ID " code #codes { (spelled(codes)) } }
        @for (prefix, found) in levels {
            h3 { (link(side, prefix)) " — shared by " (found.total) }
            p.ids {
                @for item in &found.items { (entity_link(side, &item.id.to_string())) " " }
                @if found.total > found.items.len() { "…" }
            }
        }
    }
}

/// The entities behind a prefix.
pub(super) fn prefix(side: RequestedSide, prefix: &[u32], found: &ItemsAnswer) -> Markup {
    html! {
        h2 { (spelled(prefix)) " — " (found.total) " " (Side::from(side).name()) "s" }
        div.wide { table {
            thead { tr { th { "id" } th { "semantic ID" } } }
            tbody {
                @for item in &found.items {
                    tr {
                        td { (entity_link(side, &item.id.to_string())) }
                        td { code { (spelled(&item.codes)) } }
                    }
                }
            }
        } }
        @if let Some(next) = &found.next {
            p { a rel="next" href=(format!("{}&page={next}", address(side, prefix))) { "Next page" } }
        }
    }
}

fn document(body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "DAS: semantic IDs" }
                style { (PreEscaped(STYLE)) }
            }
            body { header { a href="/" { "DAS" } " semantic IDs" } main { (body) } }
        }
    }
}

fn search(page: &Page<'_>) -> Markup {
    html! {
        form action="/" method="get" role="search" {
            select name="side" aria-label="side" {
                @for side in page.live.sides() {
                    @let name = side.side().name();
                    option value=(name) selected[side.side() == Side::from(page.side)] { (name) }
                }
            }
            input type="search" name="id" value=(page.id) placeholder="id" aria-label="id";
            input type="text" name="prefix" value=(page.prefix) placeholder="or codes: 17,403" aria-label="codes";
            button type="submit" { "Search" }
        }
    }
}

fn artifacts(info: &Info) -> Markup {
    let row = |role: &str, artifact: &ArtifactInfo| {
        html! {
            tr {
                td { (role) }
                td { code { (artifact.version) } }
                td { (artifact.method) }
                td { code title=(artifact.id_space) { (artifact.id_space[..12.min(artifact.id_space.len())]) "…" } }
                @for side in [Side::Item, Side::User] {
                    @let side = artifact.sides.iter().find(|found| found.side == side);
                    td.number {
                        @if let Some(side) = side {
                            (side.published)
                            @if side.later > 0 { " + " (side.later) }
                        }
                    }
                }
            }
        }
    };
    html! {
        div.wide { table #artifacts {
            thead {
                tr { th {} th { "version" } th { "method" } th { "ID space" } th { "items" } th { "users" } }
            }
            tbody {
                (row("live", &info.live))
                @if let Some(second) = &info.second { (row("second", second)) }
                @if let Some(previous) = &info.previous {
                    tr { td { "before" } td { code { (previous) } } td {} td {} td {} td {} }
                }
            }
        } }
    }
}

fn usage(side: &ServedSide) -> Markup {
    html! {
        div.levels {
            @for (level, counts) in side.usage().iter().enumerate() {
                figure {
                    figcaption {
                        (side.side().name()) ", digit " (level + 1) ": "
                        (counts.iter().filter(|&&count| count > 0).count()) " of " (counts.len())
                        " codes in use"
                    }
                    (bars(counts))
                }
            }
        }
    }
}

/// How often each code is used, in the order of codes.
fn bars(counts: &[u32]) -> Markup {
    let joined = counts.len().div_ceil(BARS).max(1);
    let sums: Vec<u64> = counts
        .chunks(joined)
        .map(|part| part.iter().map(|&count| u64::from(count)).sum())
        .collect();
    let largest = sums.iter().copied().max().unwrap_or(0).max(1) as f64;
    let (width, height) = CHART;
    let step = width / sums.len().max(1) as f64;
    html! {
        svg viewBox=(format!("0 0 {width} {height}")) role="img"
            aria-label=(format!("usage of {} codes, at most {largest} a bar", counts.len())) {
            @for (at, &sum) in sums.iter().enumerate() {
                @let tall = height * sum as f64 / largest;
                rect x=(format!("{:.1}", at as f64 * step)) y=(format!("{:.1}", height - tall))
                    width=(format!("{:.1}", (step - 0.5).max(0.5))) height=(format!("{tall:.1}")) {}
            }
        }
    }
}

fn rates(rates: &[Rate]) -> Markup {
    html! {
        div.wide { table #rates {
            thead { tr { th {} th { "a second, last 10 s" } th { "last minute" } th { "since the start" } } }
            tbody {
                @for rate in rates {
                    tr {
                        td { (rate.name) }
                        td.number { (format!("{:.1}", rate.now)) }
                        td.number { (format!("{:.1}", rate.minute)) }
                        td.number { (rate.total) }
                    }
                }
            }
        } }
        p { a href="/metrics" { "All figures" } " · " a href="/openapi.json" { "API" } }
    }
}

fn link(side: RequestedSide, prefix: &[u32]) -> Markup {
    html! { a href=(address(side, prefix)) { code { (spelled(prefix)) } } }
}

fn entity_link(side: RequestedSide, id: &str) -> Markup {
    let address = format!("/?side={}&id={}", Side::from(side).name(), encoded(id));
    html! { a href=(address) { (id) } }
}

fn address(side: RequestedSide, prefix: &[u32]) -> String {
    let codes: Vec<String> = prefix.iter().map(u32::to_string).collect();
    format!("/?side={}&prefix={}", Side::from(side).name(), codes.join(","))
}

/// Codes as people write them: (17, 403, 88).
fn spelled(codes: &[u32]) -> String {
    let codes: Vec<String> = codes.iter().map(u32::to_string).collect();
    format!("({})", codes.join(", "))
}

/// Percent-encoding of everything but unreserved characters (RFC 3986).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_escaped_in_addresses_and_in_text() {
        let markup = entity_link(RequestedSide::Item, "a&b=<ä>").into_string();
        assert_eq!(
            markup,
            "<a href=\"/?side=item&amp;id=a%26b%3D%3C%C3%A4%3E\">a&amp;b=&lt;ä&gt;</a>"
        );
    }

    #[test]
    fn large_codebooks_share_bars() {
        let bars = |codes| bars(&vec![1; codes]).into_string().matches("<rect").count();
        assert_eq!((bars(1), bars(64), bars(256), bars(1000)), (1, 64, 64, 63));
    }
}
