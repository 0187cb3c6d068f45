use proptest::prelude::*;
use rand::Rng;
use serde_json::Value;

use super::super::{TiedRank, ranking_metrics};
use super::*;

/// Written by scikit-learn and plain Python; the script stands beside it.
fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/metrics/metrics.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9, "{found} is not {expected}");
}

#[test]
fn click_metrics_equal_scikit_learn() {
    for case in golden()["clicks"].as_array().unwrap() {
        let logits: Vec<f32> = numbers(&case["logits"]).iter().map(|&x| x as f32).collect();
        let labels: Vec<bool> =
            case["labels"].as_array().unwrap().iter().map(|y| y.as_bool().unwrap()).collect();
        let groups: Vec<u32> = numbers(&case["groups"]).iter().map(|&g| g as u32).collect();
        let expected = |key: &str| case[key].as_f64().unwrap();
        assert_close(auc(&logits, &labels).unwrap(), expected("auc"));
        assert_close(log_loss(&logits, &labels), expected("log_loss"));
        let own = group_aucs(&groups, &logits, &labels);
        let rows = case["group_aucs"].as_array().unwrap();
        assert_eq!(own.len(), rows.len());
        for (found, row) in own.iter().zip(rows.iter().map(numbers)) {
            assert_eq!((f64::from(found.group), found.rows as f64), (row[0], row[1]));
            assert_close(found.auc, row[2]);
        }
        assert_close(uauc(&own).unwrap(), expected("uauc"));
        assert_close(gauc(&own).unwrap(), expected("gauc"));
        let found = calibration(&logits, &labels, 10).unwrap();
        assert_close(found.ece, expected("ece"));
        assert_close(found.ratio.unwrap(), expected("ratio"));
    }
}

#[test]
fn ranking_metrics_equal_a_plain_reference() {
    for case in golden()["rankings"].as_array().unwrap() {
        let cutoffs: Vec<usize> = numbers(&case["cutoffs"]).iter().map(|&k| k as usize).collect();
        let rank = |query: &Value| {
            let scores: Vec<f32> = numbers(&query["scores"]).iter().map(|&s| s as f32).collect();
            TiedRank::of(&scores, query["target"].as_u64().unwrap() as usize)
        };
        let ranks: Vec<TiedRank> = case["queries"].as_array().unwrap().iter().map(rank).collect();
        let found = ranking_metrics(&ranks, &cutoffs);
        assert_close(found.mrr, case["mrr"].as_f64().unwrap());
        let (recall, ndcg) = (numbers(&case["recall"]), numbers(&case["ndcg"]));
        for ((at, recall), ndcg) in found.at.iter().zip(recall).zip(ndcg) {
            assert_close(at.recall, recall);
            assert_close(at.ndcg, ndcg);
        }
    }
}

#[test]
fn one_label_has_no_auc_and_no_rows_give_zeros() {
    assert_eq!(auc(&[0.0, 1.0], &[true, true]), None);
    assert_eq!((uauc(&[]), gauc(&[])), (None, None));
    assert_eq!(log_loss(&[], &[]), 0.0);
    let found = calibration(&[], &[], 5).unwrap();
    assert_eq!((found.ece, found.ratio), (0.0, None));
    assert!(group_aucs(&[1, 2], &[0.5, 0.1], &[true, false]).is_empty());
}

#[test]
fn not_a_number_gains_nothing() {
    assert_eq!(auc(&[f32::NAN, -5.0], &[true, false]), Some(0.0));
    let error = calibration(&[0.0, f32::NAN], &[true, false], 2).unwrap_err().to_string();
    assert!(error.contains("logit 1"), "{error}");
    assert!(calibration(&[0.0], &[], 2).is_err() && calibration(&[0.0], &[true], 0).is_err());
}

#[test]
fn large_logits_do_not_saturate_the_log_loss() {
    assert_close(log_loss(&[-800.0, 800.0], &[true, true]), 400.0);
}

/// Leaving a group out moves the AUC by about its value's distance from the AUC, over the number
/// of the others: the first term of the jackknife.
#[test]
fn the_value_of_a_group_is_what_the_auc_loses_without_it() {
    let mut rng = crate::streams::stream(3, "groups", 0);
    let rows: Vec<(u32, f32, bool)> = (0..4000u32)
        .map(|row| {
            let (group, label) = (row % 200, rng.random_bool(0.3));
            let score = rng.random_range(-1.0..1.0) + 0.02 * (group % 40) as f32;
            (group, score + if label { 0.5 } else { 0.0 }, label)
        })
        .collect();
    let auc_of = |rows: &[(u32, f32, bool)]| {
        let logits: Vec<f32> = rows.iter().map(|row| row.1).collect();
        let labels: Vec<bool> = rows.iter().map(|row| row.2).collect();
        auc(&logits, &labels).unwrap()
    };
    let columns: (Vec<u32>, Vec<f32>, Vec<bool>) = (
        rows.iter().map(|r| r.0).collect(),
        rows.iter().map(|r| r.1).collect(),
        rows.iter().map(|r| r.2).collect(),
    );
    let all = auc_of(&rows);
    let found = auc_by_group(&columns.0, &columns.1, &columns.2).unwrap();
    let without = |group: u32| -> Vec<(u32, f32, bool)> {
        rows.iter().filter(|row| row.0 != group).copied().collect()
    };
    let (mut squares, mut error) = (0.0, 0.0);
    for &(group, value) in &found {
        let expected = all + 199.0 * (all - auc_of(&without(group)));
        squares += (expected - all).powi(2);
        error += (value - expected).powi(2);
    }
    assert!(error < 0.01 * squares, "{error} of {squares}");
}

proptest! {
    #[test]
    fn auc_counts_pairs(rows in prop::collection::vec((-3i8..4, any::<bool>()), 0..40)) {
        let logits: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
        let labels: Vec<bool> = rows.iter().map(|row| row.1).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for click in rows.iter().filter(|row| row.1) {
            for exposure in rows.iter().filter(|row| !row.1) {
                pairs += 1.0;
                won += match click.0.cmp(&exposure.0) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        match auc(&logits, &labels) {
            Some(found) => prop_assert!((found - won / pairs).abs() < 1e-12),
            None => prop_assert_eq!(pairs, 0.0),
        }
    }

    #[test]
    fn placements_are_shares_of_the_other_label(
        rows in prop::collection::vec((0u32..5, -3i8..4, any::<bool>()), 0..40),
    ) {
        let groups: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let logits: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
        let labels: Vec<bool> = rows.iter().map(|row| row.2).collect();
        let Some(found) = placements(&logits, &labels) else {
            prop_assert_eq!(auc(&logits, &labels), None);
            prop_assert_eq!(auc_by_group(&groups, &logits, &labels), None);
            return Ok(());
        };
        for (row, placement) in rows.iter().zip(&found) {
            let others = || rows.iter().filter(|other| other.2 != row.2);
            let won = |other: &(u32, i8, bool)| match (row.1.cmp(&other.1), row.2) {
                (std::cmp::Ordering::Equal, _) => 0.5,
                (std::cmp::Ordering::Greater, clicked) => f64::from(clicked),
                (std::cmp::Ordering::Less, clicked) => f64::from(!clicked),
            };
            let share = others().map(won).sum::<f64>() / others().count() as f64;
            prop_assert!((placement - share).abs() < 1e-12, "{placement} is not {share}");
        }
        let by_group = auc_by_group(&groups, &logits, &labels).unwrap();
        prop_assert!(by_group.is_sorted_by(|a, b| a.0 < b.0));
        let mean = by_group.iter().map(|of| of.1).sum::<f64>() / by_group.len() as f64;
        prop_assert!((mean - auc(&logits, &labels).unwrap()).abs() < 1e-12);
    }

    #[test]
    fn the_order_of_rows_changes_nothing(
        rows in prop::collection::vec((0u32..4, -3i8..4, any::<bool>()), 1..40),
    ) {
        let columns = |rows: &[(u32, i8, bool)]| {
            let groups: Vec<u32> = rows.iter().map(|row| row.0).collect();
            let logits: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let labels: Vec<bool> = rows.iter().map(|row| row.2).collect();
            let calibration = calibration(&logits, &labels, 4).unwrap();
            (group_aucs(&groups, &logits, &labels), calibration)
        };
        let reversed: Vec<_> = rows.iter().rev().copied().collect();
        prop_assert_eq!(columns(&rows), columns(&reversed));
    }
}
