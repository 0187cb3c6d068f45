use das_core::progress::{Cancel, Silent};
use das_nn::Device;
use das_recommend::{Query, Recommender, SasRec, SasRecConfig, Sequences};

use super::common::*;
use super::naive::{Weights, add, dot};

/// Logits of one history, spelled out.
fn naive_logits(weights: &Weights, config: &SasRecConfig, history: &[u32]) -> Vec<f64> {
    let (items, positions) = (weights.get("items"), weights.get("positions"));
    let newest = &history[history.len().saturating_sub(config.history)..];
    let mut x = Vec::new();
    if newest.len() == history.len() {
        x.push(add(&items[ITEMS], &positions[0]));
    }
    for (at, &item) in newest.iter().enumerate() {
        x.push(add(&items[item as usize], &positions[at + 1]));
    }
    let state = weights.transformer(x, config.layers, config.heads);
    let norm = |x: &[f64]| dot(x, x).sqrt();
    let logit = |item: &Vec<f64>| match config.cosine_scale {
        0.0 => dot(&state, item),
        scale => f64::from(scale) * dot(&state, item) / norm(&state) / norm(item),
    };
    items[..ITEMS].iter().map(logit).collect()
}

#[test]
fn logits_equal_a_naive_network_for_every_length_of_history() {
    let train = chain(40, 1);
    for cosine_scale in [0.0, 10.0] {
        let config = SasRecConfig { cosine_scale, ..sasrec_config() };
        let (model, _) = train_sasrec(&train, &[], &config);
        let weights = Weights::of(&model.to_bytes().unwrap());
        let long: Vec<u32> = (0..15).map(|at| at % ITEMS as u32).collect();
        let histories: Vec<&[u32]> = (0..=15).map(|len| &long[..len]).collect();
        let expected: Vec<f64> =
            histories.iter().flat_map(|history| naive_logits(&weights, &config, history)).collect();
        assert_close(&model.scores(&histories).unwrap(), &expected, 2e-4);
    }
}

#[test]
fn a_planted_chain_is_learned_to_near_its_entropy() {
    let (train, fresh) = (chain(1500, 1), last_out(&chain(400, 2)));
    let mut config = SasRecConfig { dropout: 0.0, ..sasrec_config() };
    config.fit.epochs = 12;
    let (model, report) = train_sasrec(&train, &fresh, &config);
    let found = cross_entropy(&model.scores(&histories(&fresh)).unwrap(), &fresh);
    assert!(found < entropy() + 0.12, "cross entropy {found}, entropy {}", entropy());
    let best = report.curve.iter().filter_map(|point| point.validation).fold(0.0, f64::max);
    assert_eq!(report.best_validation, Some(best));
}

#[test]
fn inputs_that_cannot_work_are_refused() {
    let (device, cancel) = (Device::cpu(), Cancel::default());
    let config = sasrec_config();
    let train = |sequences: &Sequences, validation: &[Query], config: &SasRecConfig| {
        SasRec::train(&device, 3, sequences, validation, config, 1, None, &Silent, &cancel)
            .unwrap_err()
            .to_string()
    };
    let fine = Sequences::new(vec![0, 2], vec![0, 1]).unwrap();
    let single = Sequences::new(vec![0, 1, 2], vec![0, 1]).unwrap();
    assert!(train(&single, &[], &config).contains("no user has two training items"));
    let outside = Sequences::new(vec![0, 2], vec![0, 3]).unwrap();
    assert!(train(&outside, &[], &config).contains("sequence of user 0: item 3"));
    let query = Query { history: vec![0], target: 9 };
    assert!(train(&fine, &[query], &config).contains("target of query 0: item 9"));
    let heads = SasRecConfig { heads: 3, ..config.clone() };
    assert!(
        train(&fine, &[], &heads)
            .contains("`sasrec.heads`: expected a divisor of dim (16), found 3")
    );
    let dropout = SasRecConfig { dropout: 1.0, ..config };
    assert!(train(&fine, &[], &dropout).contains("`sasrec.dropout`"));
}

#[test]
fn a_catalogue_of_one_item_works() {
    let train = Sequences::new(vec![0, 3], vec![0, 0, 0]).unwrap();
    let (device, cancel) = (Device::cpu(), Cancel::default());
    let config = sasrec_config();
    let query = [Query { history: vec![0], target: 0 }];
    let (model, report) =
        SasRec::train(&device, 1, &train, &query, &config, 1, None, &Silent, &cancel).unwrap();
    assert_eq!(report.best_validation, Some(1.0));
    assert_eq!(model.scores(&[&[], &[0]]).unwrap().len(), 2);
}
