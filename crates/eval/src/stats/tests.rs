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

/// Methods named by their place.
fn panel(weights: &[f64], methods: &[&[Vec<f64>]]) -> Panel {
    let columns = |(at, seeds): (usize, &&[Vec<f64>])| Columns {
        name: at.to_string(),
        seeds: seeds.to_vec(),
    };
    let methods = methods.iter().enumerate().map(columns).collect();
    Panel { weights: weights.to_vec(), methods }
}

/// One method with these values of users against one with zeros.
fn one_pair(values: &[f64], weights: &[f64], seed: u64) -> Option<PairedDifference> {
    let of = panel(weights, &[&[values.to_vec()], &[vec![0.0; values.len()]]]);
    paired_bootstrap(&of, &[[0, 1]], 2000, seed).remove(0).map(|found| found.difference())
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
    assert!((found.deviation - half / 1.96).abs() < 0.05 * half, "{found:?}");
    assert!(found.p < 0.01 && found.low > 0.0, "{found:?}");
    assert_eq!((found.users, found.seeds, found.relative), (2000, [1, 1], None));
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

/// Standard deviations of what a value consists of.
#[derive(Clone, Copy)]
struct Noise {
    /// How a method suits a user.
    user: f64,
    /// How well a training of it went.
    seed: f64,
    /// What is peculiar to both.
    both: f64,
}

const USERS: usize = 60;
const SEEDS: [usize; 2] = [10, 8];
const TRIALS: u64 = 400;

/// Two methods, the first ahead by `effect`, on users some of whom are easier than others.
fn market(effect: f64, noise: Noise, trial: u64) -> [Vec<Vec<f64>>; 2] {
    let mut rng = stream(trial, "market", 0);
    let mut draw = |deviation: f64| deviation * 3f64.sqrt() * rng.random_range(-1.0..1.0);
    let users: Vec<f64> = (0..USERS).map(|_| draw(1.0)).collect();
    [(effect, SEEDS[0]), (0.0, SEEDS[1])].map(|(mean, seeds)| {
        let own: Vec<f64> = users.iter().map(|user| mean + user + draw(noise.user)).collect();
        let mut column = || {
            let luck = draw(noise.seed);
            own.iter().map(|user| user + luck + draw(noise.both)).collect()
        };
        (0..seeds).map(|_| column()).collect()
    })
}

fn resampled(of: &Panel, trial: u64) -> PairedDifference {
    paired_bootstrap(of, &[[0, 1]], 400, trial).remove(0).unwrap().difference()
}

#[test]
fn intervals_cover_the_truth_of_other_users_and_other_seeds() {
    const TRUTH: f64 = 0.1;
    let (mut covered, mut by_users_alone, mut variance) = (0, 0, 0.0);
    let noise = Noise { user: 0.5, seed: 0.3, both: 0.0 };
    for trial in 0..TRIALS {
        let [a, b] = market(TRUTH, noise, trial);
        let found = resampled(&panel(&[1.0; USERS], &[&a, &b]), trial);
        assert_eq!((found.users, found.seeds), (USERS, SEEDS));
        covered += u64::from((found.low..found.high).contains(&TRUTH));
        variance += found.deviation.powi(2) / TRIALS as f64;
        let average = |seeds: &[Vec<f64>]| -> Vec<f64> {
            let sum = |user| seeds.iter().map(|values| values[user]).sum::<f64>();
            (0..USERS).map(|user| sum(user) / seeds.len() as f64).collect()
        };
        let found = resampled(&panel(&[1.0; USERS], &[&[average(&a)], &[average(&b)]]), trial);
        by_users_alone += u64::from((found.low..found.high).contains(&TRUTH));
    }
    // 95 % of 400, within four standard deviations of their number, 4.4.
    assert!((363..=397).contains(&covered), "{covered} of {TRIALS}");
    assert!(by_users_alone < 320, "{by_users_alone} of {TRIALS}");
    let [a, b] = SEEDS.map(|seeds| 1.0 / seeds as f64);
    let expected = 2.0 * noise.user.powi(2) / USERS as f64 + noise.seed.powi(2) * (a + b);
    assert!((variance / expected - 1.0).abs() < 0.06, "{variance} is not {expected}");
}

/// Never too narrow, at most √2 too wide.
#[test]
fn what_is_peculiar_to_a_user_under_a_seed_is_counted_twice() {
    let noise = Noise { user: 0.0, seed: 0.0, both: 1.0 };
    let mut variance = 0.0;
    for trial in 0..TRIALS / 4 {
        let [a, b] = market(0.0, noise, trial);
        let found = resampled(&panel(&[1.0; USERS], &[&a, &b]), trial);
        variance += found.deviation.powi(2) / (TRIALS / 4) as f64;
    }
    let [a, b] = SEEDS.map(|seeds| 1.0 / seeds as f64);
    let ratio = variance / ((a + b) / USERS as f64);
    assert!((1.8..2.1).contains(&ratio), "{ratio}");
}

#[test]
fn relative_differences_are_shares_of_the_second_method() {
    let values = differences(2.0, 300, 5);
    let half: Vec<f64> = values.iter().map(|value| value / 2.0).collect();
    let of = panel(&[1.0; 300], &[&[values], &[half]]);
    let found = paired_bootstrap(&of, &[[0, 1], [1, 0]], 2000, 1);
    let [twice, half] = [0, 1].map(|at| found[at].clone().unwrap());
    let relative = twice.difference().relative.unwrap();
    for value in [relative.difference, relative.low, relative.high] {
        assert_close(value, 1.0);
    }
    let above = half.relative_above(-0.6).unwrap();
    assert_close(above.low, -0.5);
    assert_close(above.p, 1.0 / 2001.0);
    assert_close(half.relative_above(-0.4).unwrap().p, 1.0);
}

/// The tests that the step-down procedure rejects at a level.
fn rejected(p: &[f64], level: f64) -> Vec<bool> {
    let mut left: Vec<usize> = (0..p.len()).collect();
    let mut rejected = vec![false; p.len()];
    while let Some(&least) = left.iter().min_by(|&&a, &&b| p[a].total_cmp(&p[b])) {
        if p[least] > level / left.len() as f64 {
            break;
        }
        rejected[least] = true;
        left.retain(|&other| other != least);
    }
    rejected
}

proptest! {
    #[test]
    fn corrected_values_reject_what_the_procedure_of_holm_rejects(
        p in prop::collection::vec((1u32..=1000).prop_map(|p| f64::from(p) / 1000.0), 0..12),
    ) {
        let corrected = holm(&p);
        for level in (0..40).map(|step| 0.0251 * f64::from(step) + 1e-5) {
            let found: Vec<bool> = corrected.iter().map(|&p| p <= level).collect();
            prop_assert_eq!(found, rejected(&p, level), "at {} of {:?}", level, &p);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn swapping_the_methods_turns_the_sign(
        values in prop::collection::vec((-1.0f64..1.0, -1.0f64..1.0, -1.0f64..1.0), 2..20),
    ) {
        let weights: Vec<f64> = (1..=values.len()).map(|weight| weight as f64).collect();
        let column = |of: fn(&(f64, f64, f64)) -> f64| values.iter().map(of).collect::<Vec<_>>();
        let a = [column(|of| of.0), column(|of| of.1)];
        let b = [column(|of| of.2)];
        let both = paired_bootstrap(&panel(&weights, &[&a, &b]), &[[0, 1], [1, 0]], 2000, 1);
        let more = panel(&weights, &[&a, &b, &b]);
        let more = paired_bootstrap(&more, &[[1, 2], [0, 1]], 2000, 1);
        prop_assert_eq!(&both[0], &more[1], "pairs know nothing of each other");
        let [a, b] = [0, 1].map(|at| both[at].clone().unwrap().difference());
        prop_assert!((a.low + b.high).abs() < 1e-12 && (a.difference + b.difference).abs() < 1e-12);
        prop_assert_eq!(a.p, b.p);
        prop_assert_eq!((a.seeds, b.seeds), ([2, 1], [1, 2]));
    }
}
