//! The tables of a comparison in Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::metric::{Best, REFERENCE, best};
use crate::pairs::Pair;
use crate::records::{Record, Task, by_seed};
use crate::stats::{Interval, confidence_interval};

/// Differences with a p below this are marked.
const SIGNIFICANT: f64 = 0.05;

/// The columns of a task's table: metric and title.
fn columns(task: Task) -> Vec<(&'static str, &'static str)> {
    match task {
        Task::Intrinsic => vec![
            ("collision_rate", "collisions"),
            ("alone", "alone"),
            ("perplexity_l0", "perplexity, level 0"),
            ("agreement@1", "co-click agreement, 1 code"),
            ("agreement@2", "2 codes"),
            ("neighbour_coclick@10", "co-click neighbours"),
            ("neighbour_content@10", "content neighbours"),
            ("dual_information", "user–item information"),
        ],
        Task::Generative | Task::Cold => vec![
            ("recall@5", "R@5"),
            ("recall@10", "R@10"),
            ("recall@20", "R@20"),
            ("ndcg@5", "N@5"),
            ("ndcg@10", "N@10"),
            ("ndcg@20", "N@20"),
            ("sid_recall@10", "R@10 of SIDs"),
        ],
        Task::Ctr => vec![
            ("auc", "AUC"),
            ("uauc", "UAUC"),
            ("gauc", "GAUC"),
            ("logloss", "log loss"),
            ("ece", "ECE"),
            ("auc/cold-item", "AUC, cold items"),
            ("auc/cold-user", "AUC, cold users"),
        ],
    }
}

/// One table for each task and variant: methods by row, metrics by column, mean ± half of the
/// 95 % interval over seeds, repeats of a seed averaged, the best mean bold. † marks differences
/// from the [`REFERENCE`], or from the first method where it takes no part, with p < 0.05 where
/// `pairs` has them.
pub fn summary(records: &[Record], pairs: &[Pair]) -> String {
    let mut groups: BTreeMap<(Task, &str), BTreeMap<&str, Vec<&Record>>> = BTreeMap::new();
    for record in records {
        let group = groups.entry((record.run.task, &record.run.variant)).or_default();
        group.entry(&record.run.method).or_default().push(record);
    }
    let mut text = String::from("# Comparison\n");
    for ((task, variant), methods) in groups {
        let own = methods.keys().copied();
        let reference = reference(own);
        let title = if variant.is_empty() { String::new() } else { format!(", {variant}") };
        let _ = write!(text, "\n## {task}{title}\n\n");
        let own: Vec<&Pair> =
            pairs.iter().filter(|pair| pair.task == task && pair.variant == variant).collect();
        table(&mut text, task, &methods, &own, reference);
    }
    text
}

fn reference<'a>(mut methods: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    methods.clone().find(|&method| method == REFERENCE).or_else(|| methods.next())
}

fn table(
    text: &mut String,
    task: Task,
    methods: &BTreeMap<&str, Vec<&Record>>,
    pairs: &[&Pair],
    reference: Option<&str>,
) {
    let interval = |method: &str, metric: &str| {
        let seeds = by_seed(methods[method].iter().copied(), metric);
        confidence_interval(&seeds.into_values().collect::<Vec<_>>())
    };
    let mut columns = columns(task);
    columns.retain(|(metric, _)| methods.keys().any(|m| interval(m, metric).is_some()));
    let titles: Vec<&str> = columns.iter().map(|(_, title)| *title).collect();
    let _ = writeln!(text, "| method | seeds | {} |", titles.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(columns.len()));
    let mut marked = false;
    for (&method, records) in methods {
        let _ = write!(text, "| {} | {} |", escape(method), seeds(records));
        for (metric, _) in &columns {
            let found = interval(method, metric);
            let all = methods.keys().filter_map(|m| interval(m, metric));
            let bold = found.is_some_and(|found| Some(found.mean) == best_mean(metric, all));
            let mark = differs(pairs, metric, method, reference);
            marked |= mark;
            let _ = write!(text, " {} |", cell(found, bold, mark));
        }
        text.push('\n');
    }
    if let Some(reference) = reference.filter(|_| marked) {
        let reference = escape(reference);
        let _ = write!(
            text,
            "\n† differs from {reference}: p < {SIGNIFICANT}, paired bootstrap over users and \
             seeds, not corrected for the number of pairs.\n"
        );
    }
}

/// The seeds of a method, and its trainings where a seed has several.
fn seeds(records: &[&Record]) -> String {
    let seeds: BTreeSet<u64> = records.iter().map(|record| record.run.seed).collect();
    match (seeds.len(), records.len()) {
        (seeds, trainings) if seeds == trainings => seeds.to_string(),
        (seeds, trainings) => format!("{seeds} ({trainings} trainings)"),
    }
}

fn best_mean(metric: &str, found: impl Iterator<Item = Interval>) -> Option<f64> {
    let means = found.map(|found| found.mean);
    match best(metric) {
        Best::Highest => means.max_by(f64::total_cmp),
        Best::Lowest => means.min_by(f64::total_cmp),
        Best::Neither => None,
    }
}

/// Whether `pairs` tell `method` from the reference.
fn differs(pairs: &[&Pair], metric: &str, method: &str, reference: Option<&str>) -> bool {
    reference.is_some_and(|reference| {
        pairs.iter().any(|pair| {
            let between = [(method, reference), (reference, method)];
            pair.metric == metric
                && between.contains(&(pair.a.as_str(), pair.b.as_str()))
                && pair.difference.p < SIGNIFICANT
        })
    })
}

fn cell(found: Option<Interval>, bold: bool, mark: bool) -> String {
    let Some(found) = found else { return "–".to_owned() };
    let digits = if found.mean.abs() >= 10.0 { 1 } else { 4 };
    let mean = format!("{:.digits$}", found.mean);
    let mean = if bold { format!("**{mean}**") } else { mean };
    let half = found.half_width.map_or(String::new(), |half| format!(" ± {half:.digits$}"));
    format!("{mean}{}{half}", if mark { "†" } else { "" })
}

/// Keeps a name from ending its cell or being read as markup.
pub(crate) fn escape(name: &str) -> String {
    let special = |c: char| matches!(c, '|' | '\\' | '*' | '`' | '<' | '_' | '[');
    name.chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}
