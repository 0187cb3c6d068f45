//! Results as aligned text, for people.

use comfy_table::{CellAlignment, Table, presets};
use das_core::metrics::IntrinsicMetrics;

use crate::pipeline::{InspectReport, SideReport};

/// A table with a left-aligned first column and right-aligned figures.
pub fn aligned(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

/// The report of `das inspect`.
pub fn inspection(report: &InspectReport) -> String {
    let sides = [("items", &report.item), ("users", &report.user)];
    let known: Vec<(&str, &SideReport)> =
        sides.into_iter().filter_map(|(name, side)| side.as_ref().map(|s| (name, s))).collect();
    let mut text = uniqueness(&known);
    text.push('\n');
    text.push_str(&levels(&known));
    if let Some(item) = &report.item {
        text.push_str(&agreement(item));
    }
    if let Some(dual) = &report.dual {
        text.push_str(&format!(
            "\nfirst code of user and clicked item: mutual information {:.3} nats, \
             {:.3} above shuffled pairs\n",
            dual.mi, dual.excess
        ));
    }
    text
}

fn uniqueness(sides: &[(&str, &SideReport)]) -> String {
    let row = |name: &str, i: &IntrinsicMetrics| {
        vec![
            name.to_string(),
            i.items.to_string(),
            i.unique.to_string(),
            percent(i.collision_rate),
            i.largest_bucket.to_string(),
            percent(i.collision_rate_resolved),
        ]
    };
    let rows = sides.iter().map(|(name, side)| row(name, &side.intrinsic)).collect();
    let header = ["", "count", "unique codes", "collisions", "largest bucket", "after policy"];
    aligned(&header, rows)
}

fn levels(sides: &[(&str, &SideReport)]) -> String {
    let mut rows = Vec::new();
    for (name, side) in sides {
        for (level, l) in side.intrinsic.levels.iter().enumerate() {
            rows.push(vec![
                format!("{name}, level {}", level + 1),
                l.codebook_size.to_string(),
                percent(l.coverage),
                format!("{:.1}", l.perplexity),
                format!("{:.3}", l.gini),
            ]);
        }
    }
    aligned(&["", "codes", "used", "perplexity", "gini"], rows)
}

fn agreement(item: &SideReport) -> String {
    let mut rows = Vec::new();
    for agreement in &item.agreement {
        for prefix in &agreement.prefixes {
            rows.push(vec![
                format!("{} clicks, first {} equal", agreement.part, prefix.prefix),
                percent(prefix.observed),
                percent(prefix.expected),
                prefix.lift.map_or("–".to_string(), |lift| format!("{lift:.2} ×")),
            ]);
        }
    }
    for category in &item.categories {
        rows.push(vec![
            format!("same category, first {} equal", category.prefix),
            percent(category.purity),
            String::new(),
            format!("NMI {:.3}", category.normalized),
        ]);
    }
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", aligned(&["items", "agree", "by chance", "ratio"], rows))
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
