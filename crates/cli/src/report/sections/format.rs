//! Numbers and names as they are written on the page.

use das_eval::metric::headlines;
use das_eval::records::Task;
use das_eval::stats::Interval;

use crate::report::model::Board;

/// How a metric is written.
enum Unit {
    Percent,
    Whole,
    Tenths,
    Hundredths,
    TenThousandths,
}

fn unit(metric: &str) -> Unit {
    const SHARES: [&str; 6] =
        ["collision_rate", "alone", "coverage", "agreement", "neighbour", "category"];
    const COUNTS: [&str; 4] = ["largest_bucket", "dead", "rows", "queries"];
    let name = metric.strip_prefix("user_").unwrap_or(metric);
    let starts_with = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if starts_with(&COUNTS) {
        Unit::Whole
    } else if name.ends_with("/prefix") {
        Unit::Hundredths
    } else if starts_with(&SHARES) {
        Unit::Percent
    } else if starts_with(&["perplexity", "lift"]) {
        Unit::Tenths
    } else {
        Unit::TenThousandths
    }
}

/// A value of `metric`.
pub fn value(metric: &str, value: f64) -> String {
    let text = match unit(metric) {
        Unit::Percent => format!("{:.2} %", value * 100.0),
        Unit::Whole => format!("{value:.0}"),
        Unit::Tenths => format!("{value:.1}"),
        Unit::Hundredths => format!("{value:.2}"),
        Unit::TenThousandths => format!("{value:.4}"),
    };
    text.replace('-', "−")
}

/// A difference of two values of `metric`, with its sign.
pub fn difference(metric: &str, difference: f64) -> String {
    let text = value(metric, difference);
    if text.starts_with('−') { text } else { format!("+{text}") }
}

/// Mean ± half the interval.
pub fn summary(metric: &str, summary: &Interval) -> String {
    let mean = value(metric, summary.mean);
    match summary.half_width {
        Some(half) => format!("{} ± {}", mean.trim_end_matches(" %"), value(metric, half)),
        None => mean,
    }
}

/// Whether a metric is one of many alike, of a level, a slice or the other side, or a count, that a
/// reader looks up rather than reads.
pub fn is_detail(task: Task, metric: &str) -> bool {
    let of_level = metric.rsplit_once("_l").is_some_and(|(_, level)| level.parse::<u32>().is_ok());
    let of_part = metric.contains('/') || metric.starts_with("user_");
    let many = of_level || of_part || metric == "queries";
    many && !headlines(task).contains(&metric)
}

/// Sorts metrics: those a task is judged by first, `sid_` and sliced ones last, `@5` before `@10`.
pub fn metric_order(task: Task, metric: &str) -> (bool, bool, usize, String, u32) {
    let headline = headlines(task).iter().position(|&name| name == metric);
    let (name, at) = metric.split_once('@').unwrap_or((metric, "0"));
    let sliced = metric.contains('/');
    let rank = headline.unwrap_or(usize::MAX);
    (sliced, name.starts_with("sid_"), rank, name.to_string(), at.parse().unwrap_or(0))
}

/// `recall@10` as `Recall@10`, `auc` as `AUC`.
pub fn metric_name(metric: &str) -> String {
    const CAPITALS: [&str; 7] = ["auc", "uauc", "gauc", "ndcg", "mrr", "ece", "nmi"];
    let (name, rest) = metric.split_at(metric.find(['@', '/']).unwrap_or(metric.len()));
    let sid = name.strip_prefix("sid_");
    let name = sid.unwrap_or(name);
    let written = if CAPITALS.contains(&name) {
        name.to_uppercase()
    } else if name == "logloss" {
        "Log loss".to_string()
    } else {
        let words = name.replace("_l", " of level ").replace('_', " ");
        let (first, others) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
        format!("{}{others}", first.to_uppercase())
    };
    let slice = rest.replace('/', ", ").replace('-', " ");
    format!("{}{written}{slice}", if sid.is_some() { "SID-level " } else { "" })
}

/// A board as a heading.
pub fn board_title(board: &Board) -> String {
    title(board.task, &board.variant)
}

/// A task and its variant as a heading.
pub fn title(task: Task, variant: &str) -> String {
    let task = match task {
        Task::Generative => "Generative retrieval",
        Task::Ctr => "Click-through prediction",
        Task::Cold => "Retrieval of cold items",
        Task::Intrinsic => "The IDs by themselves",
    };
    let words: Vec<&str> = variant
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| match part {
            "global-time" => "split by time",
            "per-user-time" => "split by time within each user",
            "sid-only" => "SIDs instead of item IDs",
            other => other,
        })
        .collect();
    [task].into_iter().chain(words).collect::<Vec<_>>().join(", ")
}

/// Ends of the interval; none of a single value.
pub fn ends(summary: &Interval) -> Option<(f64, f64)> {
    summary.half_width.map(|half| (summary.mean - half, summary.mean + half))
}

/// A share of 1.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A count with its thousands apart.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_as_the_field_does() {
        for (metric, written) in [
            ("recall@10", "Recall@10"),
            ("ndcg@5", "NDCG@5"),
            ("sid_ndcg@5", "SID-level NDCG@5"),
            ("auc/cold-item", "AUC, cold item"),
            ("perplexity_l0", "Perplexity of level 0"),
            ("collision_rate", "Collision rate"),
            ("logloss", "Log loss"),
            ("", ""),
        ] {
            assert_eq!(metric_name(metric), written);
        }
        assert_eq!(value("recall@10", 0.06123), "0.0612");
        assert_eq!(value("collision_rate", 0.0172), "1.72 %");
        assert_eq!(value("user_dead_l0", 3.0), "3");
        assert_eq!(value("queries", 22363.0), "22363");
        assert_eq!(value("user_collision_rate", 0.0172), "1.72 %");
        assert_eq!(value("neighbour_content@10/prefix", 1.2345), "1.23");
        assert_eq!(difference("auc", -0.0012), "−0.0012");
        assert_eq!(difference("auc", 0.0012), "+0.0012");
        let known = Interval { count: 3, mean: 0.05, half_width: Some(0.01) };
        assert_eq!(summary("coverage_l0", &known), "5.00 ± 1.00 %");
        assert_eq!(
            ["7", "1,234", "1,000,000"],
            [7, 1234, 1_000_000].map(count).each_ref().map(|s| &**s)
        );
    }

    #[test]
    fn one_of_many_alike_is_a_detail() {
        for (metric, detail) in [
            ("perplexity_l0", false),
            ("perplexity_l1", true),
            ("user_alone", true),
            ("neighbour_content@10/chance", true),
            ("agreement@2", false),
        ] {
            assert_eq!(is_detail(Task::Intrinsic, metric), detail, "{metric}");
        }
        assert!(is_detail(Task::Ctr, "auc/cold-item") && is_detail(Task::Generative, "queries"));
    }

    #[test]
    fn headlines_come_first_and_numbers_in_order() {
        let mut metrics =
            ["sid_recall@5", "recall@20", "auc/cold-user", "recall@5", "ndcg@10", "recall@10"];
        metrics.sort_by_cached_key(|metric| metric_order(Task::Generative, metric));
        assert_eq!(
            metrics,
            ["recall@10", "ndcg@10", "recall@5", "recall@20", "sid_recall@5", "auc/cold-user"]
        );
    }
}
