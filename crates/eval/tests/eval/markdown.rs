//! The table of a comparison.

use das_eval::markdown::summary;
use das_eval::pairs::pairs;
use das_eval::records::{PerUser, Task};

use crate::common::assert_says;
use crate::records::record;

#[test]
fn a_table_has_means_intervals_the_best_and_marks() {
    let metrics = |recall: f64| [("recall@10", recall), ("ndcg@10", 0.03)];
    let mut records: Vec<_> =
        [0.06, 0.08].iter().zip(0..).map(|(&r, seed)| record("das", seed, &metrics(r))).collect();
    records.push(record("b|ad*", 0, &metrics(0.05)));
    // Users of `das` find twice what those of the other find.
    let users = |values: f64| PerUser {
        users: (0..200).collect(),
        columns: [("recall@10".to_owned(), (0..200).map(|u| values * f64::from(u % 2)).collect())]
            .into(),
    };
    let runs: Vec<_> = records
        .iter()
        .map(|record| {
            (record.run.clone(), users(if record.run.method == "das" { 1.0 } else { 0.5 }))
        })
        .collect();
    let pairs = pairs(&runs, 1);
    assert_eq!(pairs.len(), 1, "users have no ndcg: one pair, one metric");
    assert_eq!((pairs[0].a.as_str(), pairs[0].b.as_str()), ("b|ad*", "das"));
    assert_eq!(pairs[0].difference.difference, -0.25);
    let text = summary(&records, &pairs);
    // t(0.975; 1) = 12.7062; s/√n = 0.01.
    assert_says(
        &text,
        &[
            "## generative",
            "| method | seeds | R@10 | N@10 |",
            r"| b\|ad\* | 1 | 0.0500† | **0.0300** |",
            "| das | 2 | **0.0700** ± 0.1271 | **0.0300** ± 0.0000 |",
            "† differs from das",
        ],
    );
}

/// A user of three queries counts three times, as in the metric of the table.
#[test]
fn a_pair_is_a_difference_of_the_metric_where_users_have_several_queries() {
    let users = |values: [f64; 2]| PerUser {
        users: vec![4, 9],
        columns: [
            ("recall@10".to_owned(), values.to_vec()),
            ("queries".to_owned(), vec![3.0, 1.0]),
        ]
        .into(),
    };
    let mut runs = Vec::new();
    for (method, values) in [("a", [1.0 / 3.0, 1.0]), ("b", [0.0, 1.0]), ("c", [0.0, 0.0])] {
        let mut run = record(method, 0, &[]).run;
        run.task = Task::Cold;
        runs.push((run, users(values)));
    }
    let found = pairs(&runs, 1);
    let recall: Vec<(&str, &str, f64)> = found
        .iter()
        .map(|pair| (pair.a.as_str(), pair.b.as_str(), pair.difference.difference))
        .collect();
    // Of four queries `a` answers two, `b` one, `c` none.
    assert_eq!(recall, [("a", "b", 0.25), ("a", "c", 0.5), ("b", "c", 0.25)]);
}
