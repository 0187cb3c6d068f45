use das_core::streams::stream;
use proptest::prelude::*;
use rand::Rng;
use serde_json::Value;

use super::student::t_quantile;
use super::*;

/// Written by scipy; the script stands beside it.
fn golden(key: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../tests/fixtures/stats.json")).unwrap();
    all[key].as_array().unwrap().clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * (1.0 + expected.abs()), "{found} is not {expected}");
}

#[test]
fn quantiles_of_student_equal_scipy() {
    for case in golden("quantiles") {
        assert_close(t_quantile(number(&case["p"]), number(&case["freedom"])), number(&case["t"]));
    }
}

#[test]
fn intervals_equal_scipy() {
    for case in golden("intervals") {
        let found = confidence_interval(&numbers(&case["values"])).unwrap();
        assert_close(found.mean, number(&case["mean"]));
        assert_close(found.half_width.unwrap(), number(&case["half"]));
    }
    assert_eq!(confidence_interval(&[]), None);
    assert_eq!(confidence_interval(&[0.5]).unwrap().half_width, None);
}

/// One pair of methods by itself.
fn one_pair(differences: &[f64], weights: &[f64], seed: u64) -> Option<PairedDifference> {
    let of = Weighted { weights: weights.to_vec(), differences: vec![differences.to_vec()] };
    paired_bootstrap(&of, seed)[0]
}

/// Differences of a mean effect with noise around it.
fn differences(effect: f64, users: usize, seed: u64) -> Vec<f64> {
    let mut rng = stream(seed, "differences", 0);
    (0..users).map(|_| effect + rng.random_range(-1.0..1.0)).collect()
}

#[test]
fn the_bootstrap_interval_is_that_of_the_normal_law_for_many_users() {
    let values = differences(0.1, 2000, 1);
    let found = one_pair(&values, &[1.0; 2000], 3).unwrap();
    let interval = confidence_interval(&values).unwrap();
    let half = interval.half_width.unwrap();
    assert!((found.difference - interval.mean).abs() < 1e-12);
    assert!((found.high - found.low - 2.0 * half).abs() < 0.1 * half, "{found:?}");
    assert!(found.p < 0.01 && found.low > 0.0, "{found:?}");
}

#[test]
fn no_difference_is_rarely_significant() {
    let significant = (0..60)
        .filter(|&seed| {
            let values = differences(0.0, 100, 100 + seed);
            one_pair(&values, &[1.0; 100], seed).unwrap().p < 0.05
        })
        .count();
    // Expected 3 of 60; more than 9 has a chance below 0.2 %.
    assert!(significant <= 9, "{significant} of 60");
}

#[test]
fn equal_methods_have_p_1_and_nothing_to_weigh_has_no_result() {
    let found = one_pair(&[0.0; 5], &[1.0; 5], 0).unwrap();
    assert_eq!((found.difference, found.low, found.high, found.p), (0.0, 0.0, 0.0, 1.0));
    assert_eq!(one_pair(&[], &[], 0), None);
    assert_eq!(one_pair(&[0.1], &[0.0], 0), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn swapping_the_methods_turns_the_sign(values in prop::collection::vec(-1.0f64..1.0, 2..20)) {
        let weights: Vec<f64> = (1..=values.len()).map(|weight| weight as f64).collect();
        let turned: Vec<f64> = values.iter().map(|value| -value).collect();
        let (a, b) = (one_pair(&values, &weights, 1), one_pair(&turned, &weights, 1));
        let of = Weighted { weights, differences: vec![values, turned] };
        prop_assert_eq!(paired_bootstrap(&of, 1), vec![a, b], "pairs know nothing of each other");
        let (a, b) = (a.unwrap(), b.unwrap());
        prop_assert!((a.low + b.high).abs() < 1e-12 && (a.difference + b.difference).abs() < 1e-12);
        prop_assert_eq!(a.p, b.p);
    }
}
