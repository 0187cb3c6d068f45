use proptest::prelude::*;
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
