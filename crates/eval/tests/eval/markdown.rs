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

/// The repeats of a seed are one value of it, in the table and in pairs.
#[test]
fn repeats_of_a_seed_are_averaged_first() {
    let mut records = Vec::new();
    let mut runs = Vec::new();
    for (method, seed, repeat, recall) in
        [("das", 0, 0, 0.1), ("das", 0, 1, 0.3), ("das", 1, 0, 0.4), ("sasrec", 0, 0, 0.1)]
    {
        let mut record = record(method, seed, &[("recall@10", recall)]);
        record.run.repeat = repeat;
        let columns = [("recall@10".to_owned(), vec![recall; 3])].into();
        runs.push((record.run.clone(), PerUser { users: vec![1, 2, 5], columns }));
        records.push(record);
    }
    let found = pairs(&runs, 1);
    let pair = found[0].difference;
    // (0.2 + 0.4)/2 − 0.1, and one seed is drawn: 0.1 or 0.3.
    assert!((pair.difference - 0.2).abs() < 1e-12, "{pair:?}");
    assert!((pair.low - 0.1).abs() < 1e-12 && (pair.high - 0.3).abs() < 1e-12, "{pair:?}");
    assert_eq!((pair.seeds, pair.users), ([2, 1], 3));
    // t(0.975; 1) = 12.7062; s/√n = 0.1.
    let text = summary(&records, &found);
    assert_says(&text, &["| das | 2 (3 trainings) | **0.3000** ± 1.2706 |", "| sasrec | 1 |"]);
}

#[test]
fn users_that_one_method_lacks_stay_in_the_pairs_of_others() {
    let users = |users: &[u32]| PerUser {
        users: users.to_vec(),
        columns: [("recall@10".to_owned(), users.iter().map(|&u| f64::from(u)).collect())].into(),
    };
    let run = |method: &str| record(method, 0, &[]).run;
    let whole = [(run("a"), users(&[1, 2, 3])), (run("c"), users(&[1, 2, 3]))];
    let mut with = whole.to_vec();
    with.push((run("b"), users(&[2, 3, 4])));
    let found = pairs(&with, 1);
    let users: Vec<_> =
        found.iter().map(|p| (p.a.as_str(), p.b.as_str(), p.difference.users)).collect();
    assert_eq!(users, [("a", "b", 2), ("a", "c", 3), ("b", "c", 2)]);
    assert_eq!(found[1], pairs(&whole, 1)[0]);
}

/// Files of earlier versions have users with both labels alone, and no share in the pooled AUC.
#[test]
fn figures_of_click_prediction_from_earlier_versions_are_read() {
    let columns = |columns: &[(&str, [f64; 3])], users: usize| {
        columns.iter().map(|(name, values)| (name.to_string(), values[..users].to_vec())).collect()
    };
    let old = [("auc", [0.5, 0.75, 0.0]), ("rows", [3.0, 1.0, 0.0])];
    let new = [
        ("pooled_auc", [0.7, 0.6, 0.5]),
        ("auc", [0.25, 0.75, 0.0]),
        ("both", [1.0, 1.0, 0.0]),
        ("rows", [3.0, 1.0, 0.0]),
    ];
    let mut runs = Vec::new();
    for (method, own) in [
        ("a", PerUser { users: vec![3, 4], columns: columns(&old, 2) }),
        ("b", PerUser { users: vec![3, 4, 9], columns: columns(&new, 3) }),
        ("c", PerUser { users: vec![3, 4, 9], columns: columns(&new, 3) }),
    ] {
        let mut run = record(method, 0, &[]).run;
        run.task = Task::Ctr;
        runs.push((run, own));
    }
    let found = pairs(&runs, 1);
    let of = |metric: &str| -> Vec<(&str, &str, usize, f64)> {
        let own = found.iter().filter(|pair| pair.metric == metric);
        own.map(|p| (p.a.as_str(), p.b.as_str(), p.difference.users, p.difference.difference))
            .collect()
    };
    assert_eq!(of("auc"), [("b", "c", 3, 0.0)]);
    assert_eq!(of("uauc"), [("a", "b", 2, 0.125), ("a", "c", 2, 0.125), ("b", "c", 2, 0.0)]);
    assert_eq!(of("gauc")[0], ("a", "b", 2, 0.1875));
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
