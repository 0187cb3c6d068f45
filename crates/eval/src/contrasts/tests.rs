use std::collections::BTreeMap;

use das_core::streams::stream;
use rand::Rng;
use serde_json::{Value, json};

use super::*;
use crate::compare::{Folder, PAIRS_FILE};
use crate::records::{PerUser, Run, Task};
use crate::tasks::Outcome;

/// An entry, with `more` over it; what is null there is left out.
fn entry(more: Value) -> Value {
    let mut entry = json!({
        "comparison": "shop", "task": "generative", "metric": "recall@10", "a": "good", "b": "poor",
    });
    for (key, value) in more.as_object().unwrap() {
        entry[key] = value.clone();
    }
    entry
}

fn contrast(more: Value) -> Contrast {
    serde_json::from_value(entry(more)).unwrap()
}

#[test]
fn entries_are_claims_and_go_back_to_what_they_were() {
    assert_eq!(contrast(json!({})).claim, Claim::Ahead { by: None });
    let claim = |more| contrast(more).claim;
    assert_eq!(claim(json!({"by": 0.5})), Claim::Ahead { by: Some(By::Absolute(0.5)) });
    assert_eq!(claim(json!({"by_relative": 0.1})), Claim::Ahead { by: Some(By::Relative(0.1)) });
    let margin = json!({"claim": "not-worse", "margin_relative": 0.02});
    assert_eq!(claim(margin.clone()), Claim::NotWorse { margin_relative: 0.02 });
    for more in [json!({"by": 0.5}), json!({"by_relative": 0.1}), margin] {
        let found = serde_json::to_value(contrast(more.clone())).unwrap();
        for (key, value) in more.as_object().unwrap() {
            assert_eq!(found[key], *value);
        }
    }
}

#[test]
fn entries_that_make_no_claim_are_refused_by_what_is_wrong() {
    for (more, part) in [
        (json!({"by": 0.1, "by_relative": 0.1}), "expected one of them, found both"),
        (json!({"by": -0.1}), "`by`: expected a number above 0, found -0.1"),
        (json!({"margin_relative": 0.1}), "belongs to claim = \"not-worse\""),
        (json!({"claim": "not-worse"}), "expected a `margin_relative`"),
        (json!({"claim": "not-worse", "margin_relative": 1.5}), "found 1.5"),
        (json!({"claim": "not-worse", "margin_relative": 0.1, "by": 1}), "belong to claim"),
        (json!({"claim": "equal"}), "unknown variant `equal`"),
        (json!({"metrc": "auc"}), "unknown field `metrc`"),
        (json!({"b": "good"}), "found `good` twice"),
    ] {
        let error = serde_json::from_value::<Contrast>(entry(more)).unwrap_err().to_string();
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

/// A comparison of `good`, `poor` and `alike`, which finds what `good` finds but for a little noise.
fn comparison() -> (tempfile::TempDir, BTreeMap<String, Folder>) {
    let at = tempfile::tempdir().unwrap();
    let folder = Folder::open(at.path(), &json!({})).unwrap();
    for (method, mean, seeds) in [("good", 0.6, 3), ("poor", 0.4, 2), ("alike", 0.6, 3)] {
        for seed in 0..seeds {
            let mut rng = stream(seed, method, 0);
            let mut value = |user: u32| mean + f64::from(user % 2) + rng.random_range(-0.1..0.1);
            let values: Vec<f64> = (0..200).map(&mut value).collect();
            let columns = [("recall@10".to_owned(), values)].into();
            let per_user = PerUser { users: (0..200).collect(), columns };
            let outcome = Outcome { per_user, ..Outcome::default() };
            let (method, task, variant) = (method.to_owned(), Task::Generative, String::new());
            let run = Run { method, task, variant, seed, repeat: 0 };
            folder.keep(&run, "quick", &outcome).unwrap();
        }
    }
    folder.summarize().unwrap();
    (at, BTreeMap::from([("shop".to_owned(), folder)]))
}

#[test]
fn verdicts_follow_from_resamples_as_those_of_the_pairs() {
    let (at, folders) = comparison();
    let not_worse = |a: &str, b: &str| {
        contrast(json!({"a": a, "b": b, "claim": "not-worse", "margin_relative": 0.05}))
    };
    let plan = [
        contrast(json!({"by": 0.15})),
        contrast(json!({"a": "poor", "b": "good"})),
        contrast(json!({"a": "good", "b": "alike", "by_relative": 0.3})),
        not_worse("alike", "good"),
        not_worse("poor", "good"),
    ];
    let found = findings(&plan, &folders).unwrap();
    let verdicts: Vec<Verdict> = found.iter().map(|finding| finding.verdict).collect();
    use Verdict::{Ahead, Behind, NotWorse, Undecided};
    assert_eq!(verdicts, [Ahead, Behind, Undecided, NotWorse, Undecided]);
    assert_eq!((found[0].reaches_by, found[0].clears_by), (Some(true), Some(true)));
    assert_eq!((found[2].reaches_by, found[2].clears_by), (Some(false), Some(false)));
    assert_eq!((found[0].seeds, found[0].users), ([3, 2], 200));
    assert!((found[0].mean_a - 1.1).abs() < 0.02 && (found[0].mean_b - 0.9).abs() < 0.02);
    assert!((found[0].difference - (found[0].mean_a - found[0].mean_b)).abs() < 1e-12);
    assert!((found[0].mde / found[0].deviation - 2.8016).abs() < 1e-4);
    assert!(found[3].relative_low.unwrap() > -0.05 && found[4].relative_low.unwrap() < -0.05);
    // One-sided and two-sided: as low as 20,000 resamples go, times the tests that are left.
    assert!((found[3].p_holm - 5.0 / 20_001.0).abs() < 1e-12, "{}", found[3].p_holm);
    assert!((found[0].p_holm - 8.0 / 20_001.0).abs() < 1e-12, "{}", found[0].p_holm);

    let lines = std::fs::read_to_string(at.path().join(PAIRS_FILE)).unwrap();
    let pairs: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pair = pairs.iter().find(|pair| pair["a"] == "good" && pair["b"] == "poor").unwrap();
    let line = serde_json::to_value(&found[0]).unwrap();
    for key in ["difference", "users", "seeds"] {
        assert_eq!(pair[key], line[key], "{key}");
    }
    // Other resamples of the same law.
    for key in ["low", "high", "deviation"] {
        let [pair, line] = [pair, &line].map(|of| of[key].as_f64().unwrap());
        assert!((pair - line).abs() < 0.1 * found[0].deviation, "{key}: {pair} and {line}");
    }
    let text = table(&found);
    assert_eq!(text.lines().count(), 2 + plan.len());
    for part in ["| ahead; 0.15 cleared |", "| behind |", "| undecided; 30.0 % not reached |"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let (_at, folders) = comparison();
    for (more, part) in [
        (json!({"comparison": "mall"}), "contrast 2: no comparison `mall` is given"),
        (json!({"a": "better"}), "no record of `better` in generative; it has alike, good, poor"),
        (json!({"task": "cold"}), "no record of `good` in cold; nor of any other method"),
        (json!({"variant": "late"}), "no record of `good` in generative/late"),
        (json!({"metric": "mrr"}), "`mrr` is no mean over users of task `generative`"),
        (json!({"task": "intrinsic"}), "whose are: none"),
        (json!({"metric": "ndcg@10"}), "the records of `good` have no `ndcg@10` by user"),
    ] {
        let plan = [contrast(json!({})), contrast(more)];
        let error = findings(&plan, &folders).unwrap_err().to_string();
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}
