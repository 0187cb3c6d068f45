//! `das report`: one well-formed page that needs nothing else, whatever the titles are.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::*;

/// Elements that have no end tag.
const VOID: [&str; 3] = ["meta", "link", "br"];

/// The page about `target`.
fn report(bench: &Bench, target: &str, more: &[&str]) -> String {
    let out = bench.path("report.html");
    let mut command = das(["report"]);
    command.arg(bench.path(target)).arg("--out").arg(&out).args(more);
    let answer = succeed_json(&mut command);
    let page = fs::read_to_string(&out).unwrap();
    assert_eq!(answer["bytes"], page.len());
    page
}

/// Every start tag has its end tag in the right place, attributes are quoted, text holds no stray
/// `<`, and nothing is loaded from anywhere. Style is skipped as raw text.
#[track_caller]
fn assert_sound(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>"), "{}", &page[..40]);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    let mut open: Vec<&str> = Vec::new();
    let mut rest = &page["<!DOCTYPE html>".len()..];
    while let Some(start) = rest.find('<') {
        let end = start + tag_length(&rest[start..]);
        let tag = &rest[start + 1..end - 1];
        rest = &rest[end..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before …{}", &rest[..rest.len().min(80)]);
            continue;
        }
        let name = tag.split(' ').next().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()) && !name.is_empty(), "<{tag}>");
        assert!(!["script", "iframe", "object", "img"].contains(&name), "<{tag}>");
        for attribute in ["src=", "href=\"http", "href=\"//", "xlink", "onclick", "onerror"] {
            assert!(!tag.contains(&format!(" {attribute}")), "<{tag}>");
        }
        if name == "style" {
            let raw = rest.find("</style>").unwrap();
            assert!(!rest[..raw].contains("url(") && !rest[..raw].contains("@import"));
            rest = &rest[raw..];
        }
        if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert!(!page.contains("NaN") && !page.contains("inf\""), "a coordinate is not a number");
}

/// Length of the tag that `text` begins with; `>` inside quotes is part of an attribute.
fn tag_length(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return at + 1,
            _ => {}
        }
    }
    panic!("a tag is not closed: {}", &text[..text.len().min(80)]);
}

#[track_caller]
fn assert_contains(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "`{part}` is not on the page");
    }
}

/// Titles that would break out of text, attributes and comments.
fn hostile_titles(bench: &Bench) {
    let ids: Vec<i64> = (0..ITEMS as i64).collect();
    let titles: Vec<String> = (0..ITEMS)
        .map(|row| format!("<script>alert({row})</script> \"onload='x' & --> 電影 \u{202e}{row}"))
        .collect();
    write_parquet(
        &bench.path("data/items.parquet"),
        [("item_id", ints(&ids)), ("title", texts(&titles))],
    );
}

#[test]
fn a_run_becomes_a_page_with_its_losses_codes_map_and_items() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    let data = bench.path("data");
    let page = report(&bench, "run", &["--data", data.to_str().unwrap()]);
    assert_sound(&page);
    for id in ["losses", "validation", "codes", "collisions", "map", "prefixes"] {
        let (section, link) = (format!("<section id=\"{id}\""), format!("href=\"#{id}\""));
        assert_contains(&page, &[&section, &link]);
    }
    assert_contains(&page, &["rec_u", "co_i", "Alignment of both", "Perplexity", "t-SNE"]);
    // What is not there is named with the way to get it.
    assert_contains(&page, &["das compare --data DATA --out DIR", "gradient_report_steps"]);
    assert!(!page.contains("id=\"comparison\"") && !page.contains("Titles of items"));
    // All items are on both maps, each with its title.
    assert_eq!(page.matches(" r=\"2.7\"").count(), 2 * ITEMS);
    // The same files make the same page.
    assert_eq!(page, report(&bench, "run", &["--data", data.to_str().unwrap()]));
}

#[test]
fn titles_are_text_and_nothing_else() {
    let bench = Bench::new();
    hostile_titles(&bench);
    bench.train("data", "run", &[]);
    let data = bench.path("data");
    let page = report(&bench, "run", &["--data", data.to_str().unwrap()]);
    assert_sound(&page);
    assert_contains(&page, &["&lt;script&gt;alert(", "&quot;onload='x' &amp; --&gt; 電影"]);
}

#[test]
fn an_artifact_alone_has_no_losses_and_ids_for_titles() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    let page = report(&bench, "run/artifact", &[]);
    assert_sound(&page);
    assert!(!page.contains("id=\"losses\""));
    assert_contains(&page, &["Loss curves", "Titles of items", "By quantized vectors"]);
}

#[test]
fn what_is_neither_a_run_nor_a_comparison_is_refused() {
    let bench = Bench::new();
    let out = bench.path("report.html");
    let about = |target: &str| {
        let mut command = das(["report"]);
        command.arg(bench.path(target)).arg("--out").arg(&out);
        command
    };
    fail(&mut about("absent"), 1, &["absent", "no such folder"]);
    fail(&mut about("data"), 1, &["neither a training run", "results.jsonl"]);
    comparison(&bench.path("broken"), false);
    let results = bench.path("broken/results.jsonl");
    fs::write(&results, fs::read_to_string(&results).unwrap() + "{\"method\":3}\n").unwrap();
    fail(&mut about("broken"), 1, &["results.jsonl", "line"]);
    assert!(!out.exists());
}

/// Methods and their recall; ablations after the eighth.
const METHODS: [(&str, f64); 12] = [
    ("das", 0.071),
    ("rqvae", 0.058),
    ("rqkmeans", 0.056),
    ("letter", 0.064),
    ("qarm", 0.066),
    ("sasrec", 0.07),
    ("popularity", 0.012),
    ("<script>alert(1)</script>", 0.05),
    ("das -co_i", 0.064),
    ("das -co_u", 0.07),
    ("das -u2i", 0.062),
    ("das no-icdm", 0.0715),
];

/// A comparison as `das compare` writes it, with figures made up by formula.
fn comparison(folder: &Path, gradients: bool) {
    let mut lines = String::new();
    for (at, &(method, recall)) in METHODS.iter().enumerate() {
        for seed in 0..3u64 {
            let shift = ((at as f64 + 1.0) * (seed as f64 + 0.7)).sin() * 0.001;
            let line = generative(method, seed, recall + shift, at as f64);
            writeln!(lines, "{line}").unwrap();
            for variant in ["global-time", "per-user-time/sid-only"] {
                if at < 8 {
                    let line = ctr(method, variant, seed, recall + shift);
                    writeln!(lines, "{line}").unwrap();
                }
            }
        }
    }
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("results.jsonl"), lines).unwrap();
    fs::write(folder.join("pairs.jsonl"), pairs(&METHODS)).unwrap();
    if gradients {
        let run = folder.join("runs/leave-last-out/das/seed-0");
        fs::write(run.join("gradients.jsonl"), gradient_records()).unwrap();
    }
}

fn generative(method: &str, seed: u64, recall: f64, slowness: f64) -> Value {
    let decile = |at: i32| {
        let recall = recall * (0.3 + f64::from(at) / 9.0 * 1.4);
        json!({"decile": at, "queries": 90, "metrics": {"recall@10": recall}})
    };
    let epoch = |epoch: i32| {
        let done = 1.0 - (-f64::from(epoch) / 3.0).exp();
        let validation = (epoch % 2 == 0).then_some(recall * done);
        let seconds = f64::from(epoch) * (14.0 + slowness);
        json!({"epoch": epoch, "seconds": seconds, "loss": 6.0 - done, "validation": validation})
    };
    json!({
        "method": method, "task": "generative", "variant": "", "seed": seed, "preset": "standard",
        "metrics": {
            "recall@5": recall * 0.66, "recall@10": recall, "recall@20": recall * 1.5,
            "ndcg@5": recall * 0.45, "ndcg@10": recall * 0.55, "ndcg@20": recall * 0.65,
            "mrr": recall * 0.4, "sid_recall@10": recall * 1.04, "sid_ndcg@10": recall * 0.58,
        },
        "deciles": (0..10).map(decile).collect::<Vec<_>>(),
        "curve": (1..=12).map(epoch).collect::<Vec<_>>(),
        "seconds": {"tokenizer": 60.0 + slowness, "train": 200.0, "evaluate": 12.5},
        "notes": [],
    })
}

fn ctr(method: &str, variant: &str, seed: u64, recall: f64) -> Value {
    let auc = 0.75 + recall * 0.2;
    json!({
        "method": method, "task": "ctr", "variant": variant, "seed": seed, "preset": "standard",
        "metrics": {
            "auc": auc, "uauc": auc - 0.03, "gauc": auc - 0.05, "logloss": 0.6 - recall,
            "ece": 0.02 + recall * 0.01, "auc/cold-item": auc - 0.1,
        },
        "seconds": {"tokenizer": 60.0, "train": 100.0, "evaluate": 2.5},
        "curve": [], "notes": [],
    })
}

fn pairs(methods: &[(&str, f64)]) -> String {
    let mut lines = String::new();
    for (at, (a, recall_a)) in methods.iter().enumerate() {
        for (b, recall_b) in &methods[at + 1..] {
            for (metric, factor) in [("recall@10", 1.0), ("ndcg@10", 0.55)] {
                let difference = (recall_a - recall_b) * factor;
                let line = json!({
                    "task": "generative", "variant": "", "metric": metric, "a": a, "b": b,
                    "difference": difference, "low": difference - 0.003, "high": difference + 0.003,
                    "p": 0.04, "users": 900,
                });
                writeln!(lines, "{line}").unwrap();
            }
        }
    }
    lines
}

fn gradient_records() -> String {
    let terms = ["rec_i", "rq_i", "qi_int", "qi_pro", "co_i"];
    let mut lines = String::new();
    for step in [0, 50] {
        let cosine: Vec<Vec<f64>> = (0..terms.len())
            .map(|a| {
                let value =
                    |b: usize| if a == b { 1.0 } else { ((a * b + step) as f64).cos() * 0.6 };
                (0..terms.len()).map(value).collect()
            })
            .collect();
        let line = json!({
            "step": step, "group": "item.encoder", "terms": terms,
            "norms": vec![1.0; terms.len()], "cosines": cosine,
        });
        writeln!(lines, "{line}").unwrap();
    }
    lines
}

#[test]
fn a_comparison_becomes_a_page_with_intervals_and_its_run() {
    let bench = Bench::new();
    bench.train("data", "compared/runs/leave-last-out/das/seed-0", &[]);
    comparison(&bench.path("compared"), true);
    let data = bench.path("data");
    let page = report(&bench, "compared", &["--data", data.to_str().unwrap()]);
    assert_sound(&page);
    for id in [
        "comparison",
        "pairs",
        "popularity",
        "time",
        "alignments",
        "losses",
        "gradients",
        "codes",
        "collisions",
        "map",
        "prefixes",
    ] {
        assert_contains(&page, &[&format!("<section id=\"{id}\"")]);
    }
    assert!(!page.contains("id=\"missing\""), "nothing is missing");
    assert_contains(
        &page,
        &[
            "Generative retrieval",
            "SIDs instead of item IDs",
            "Recall@10",
            "3 seeds a method",
            "&lt;script&gt;alert(1)&lt;/script&gt;",
            "das minus …",
            "co_i",
            "item.encoder",
            "runs/leave-last-out/das/seed-0",
            "less is better",
        ],
    );
    // Student's t with two degrees of freedom over the three seeds of the formula above.
    let recalls: Vec<f64> = (0..3).map(|s| 0.071 + (f64::from(s) + 0.7).sin() * 0.001).collect();
    let mean = recalls.iter().sum::<f64>() / 3.0;
    let variance = recalls.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 2.0;
    let half = 4.302_652_73 * (variance / 3.0).sqrt();
    assert_contains(&page, &[&format!("{mean:.4} ± {half:.4}")]);
    // Ablations stand in their own section, not among the methods.
    assert_contains(&page, &["A comparison of 8 methods on 3 tasks, 84 results"]);
}
