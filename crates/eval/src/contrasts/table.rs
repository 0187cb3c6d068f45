//! Findings in Markdown.

use std::fmt::Write;

use super::{By, Claim, Finding};
use crate::markdown::escape;

const COLUMNS: [&str; 12] = [
    "comparison",
    "a",
    "b",
    "metric",
    "mean a",
    "mean b",
    "a − b, 95 %",
    "relative",
    "p",
    "p, Holm",
    "detectable",
    "verdict",
];

/// One row a finding, in the order of the plan.
pub fn table(findings: &[Finding]) -> String {
    let mut text = format!("| {} |\n|{}\n", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
    for finding in findings {
        let _ = writeln!(text, "| {} |", row(finding).join(" | "));
    }
    text
}

fn row(finding: &Finding) -> [String; COLUMNS.len()] {
    let contrast = &finding.contrast;
    let slash = if contrast.variant.is_empty() { "" } else { "/" };
    let task = format!("{}{slash}{}", contrast.task, contrast.variant);
    let relative =
        finding.relative.map_or("–".to_owned(), |found| signed_percent(found.difference));
    let detectable = match finding.mde_relative {
        Some(relative) => format!("{:.4} ({})", finding.mde, percent(relative)),
        None => format!("{:.4}", finding.mde),
    };
    [
        format!("{}, {}", escape(&contrast.comparison), escape(&task)),
        escape(&contrast.a),
        escape(&contrast.b),
        escape(&contrast.metric),
        format!("{:.4}", finding.mean_a),
        format!("{:.4}", finding.mean_b),
        format!("{:+.4} [{:+.4}, {:+.4}]", finding.difference, finding.low, finding.high),
        relative,
        p_value(finding.p),
        p_value(finding.p_holm),
        detectable,
        verdict(finding),
    ]
}

/// The verdict, and what it says of a difference that was named.
fn verdict(finding: &Finding) -> String {
    let verdict = finding.verdict;
    match finding.contrast.claim {
        Claim::Ahead { by: None } => verdict.to_string(),
        Claim::Ahead { by: Some(by) } => {
            let by = match by {
                By::Absolute(by) => by.to_string(),
                By::Relative(by) => percent(by),
            };
            let beyond = match (finding.reaches_by, finding.clears_by) {
                (_, Some(true)) => "cleared",
                (Some(true), _) => "reached, not cleared",
                _ => "not reached",
            };
            format!("{verdict}; {by} {beyond}")
        }
        Claim::NotWorse { margin_relative } => {
            let low = finding.relative_low.map_or(String::new(), signed_percent);
            format!("{verdict}; from {low}, margin {}", percent(margin_relative))
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn signed_percent(share: f64) -> String {
    format!("{:+.1} %", 100.0 * share)
}

fn p_value(p: f64) -> String {
    format!("{p:.4}")
}
