//! The sections of the page, each from its part of the model; one that has nothing to show is
//! not there.

mod codes;
mod comparison;
mod contributions;
mod downstream;
mod format;
mod items;
mod pairs;
mod training;

use maud::Markup;

use super::model::Report;

/// A part of the page with a heading.
pub struct Section {
    /// The anchor.
    pub id: &'static str,
    /// The heading.
    pub title: &'static str,
    /// What is below it.
    pub body: Markup,
}

/// All sections in the order of the page.
pub fn sections(report: &Report) -> Vec<Section> {
    let comparison = report.comparison.as_ref();
    let run = report.run.as_ref();
    let parts = [
        ("comparison", "Comparison", comparison.and_then(comparison::body)),
        ("pairs", "Differences between methods", comparison.and_then(pairs::body)),
        ("popularity", "By popularity of the item", comparison.and_then(downstream::by_popularity)),
        ("time", "Time to quality", comparison.and_then(downstream::time_to_quality)),
        ("alignments", "What each alignment contributes", comparison.and_then(contributions::body)),
        ("losses", "Losses, term by term", run.and_then(training::losses)),
        ("validation", "Course of training", run.and_then(training::course)),
        ("gradients", "Do the terms pull together?", run.and_then(training::gradients)),
        ("codes", "Use of codes", run.and_then(codes::usage)),
        ("collisions", "Collisions and popularity", run.and_then(codes::collisions)),
        ("map", "Map of items", run.and_then(items::maps)),
        ("prefixes", "Items by prefix", run.and_then(items::prefixes)),
    ];
    let section =
        |(id, title, body): (_, _, Option<Markup>)| Some(Section { id, title, body: body? });
    parts.into_iter().filter_map(section).collect()
}

pub use format::{board_title, count, metric_name, percent, value};
