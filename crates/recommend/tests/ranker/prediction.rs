//! Predictions: of each row by itself, and of users and items that came later.

use das_recommend::Sequences;
use das_recommend::ranker::{CategoricalField, Features, Impressions};

use crate::market::{ITEMS, Market, USERS, config, predict, select, train};

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| logit.to_bits()).collect()
}

#[test]
fn a_logit_depends_on_its_row_alone() {
    let market = Market::new(11);
    let features = market.features_with_sids();
    let (ranker, _) = train(&market, &features, &config());
    // More rows than are scored together.
    let rows: Vec<usize> = (0..2500).map(|row| row * 7 % market.train.len()).collect();
    let log = select(&market.train, &rows);
    let all = bits(&predict(&ranker, &features, &log).unwrap());
    let reversed: Vec<usize> = (0..rows.len()).rev().collect();
    let mut backward = bits(&predict(&ranker, &features, &select(&log, &reversed)).unwrap());
    backward.reverse();
    assert_eq!(backward, all);
    for size in [1, 2, 3, 17, 100, 1023] {
        let part: Vec<usize> = (5..5 + size).collect();
        let found = bits(&predict(&ranker, &features, &select(&log, &part)).unwrap());
        assert_eq!(found, all[5..5 + size], "{size} rows by themselves");
    }
    let none = select(&log, &[]);
    assert!(predict(&ranker, &features, &none).unwrap().is_empty());
}

#[test]
fn labels_are_not_looked_at() {
    let market = Market::new(12);
    let features = market.features();
    let (ranker, _) = train(&market, &features, &config());
    let log = &market.cold;
    let flipped = Impressions::new(
        log.users().to_vec(),
        log.items().to_vec(),
        log.labels().iter().map(|label| !label).collect(),
        log.context().to_vec(),
        log.histories().clone(),
    );
    let flipped = predict(&ranker, &features, &flipped.unwrap()).unwrap();
    assert_eq!(flipped, predict(&ranker, &features, log).unwrap());
}

/// One row a pair, without history.
fn rows(pairs: &[(u32, u32)]) -> Impressions {
    let (users, items): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
    let histories = Sequences::new(vec![0; pairs.len() + 1], Vec::new()).unwrap();
    let hour = CategoricalField::new("hour", 25, vec![0; pairs.len()]).unwrap();
    Impressions::new(users, items, vec![false; pairs.len()], vec![hour], histories).unwrap()
}

#[test]
fn ids_that_training_never_saw_are_one_and_the_same() {
    let market = Market::new(13);
    let train_hours = market.train.context().to_vec();
    assert_eq!(train_hours.len(), 1);
    let (ranker, _) = train(&market, &Features::new(USERS, ITEMS), &config());
    // Two cold items, and users and items that did not exist in training.
    let later = Features::new(USERS + 5, ITEMS + 9);
    let cold = [(3, 120), (3, 149), (3, ITEMS as u32 + 8)];
    let logits = predict(&ranker, &later, &rows(&cold)).unwrap();
    assert!(logits.iter().all(|logit| logit.is_finite() && *logit == logits[0]), "{logits:?}");
    let new_users = [(USERS as u32, 3), (USERS as u32 + 4, 3)];
    let logits = predict(&ranker, &later, &rows(&new_users)).unwrap();
    assert_eq!(logits[0], logits[1]);
    let known = predict(&ranker, &later, &rows(&[(3, 4), (3, 5), (4, 5)])).unwrap();
    assert!(known[0] != known[1] && known[1] != known[2]);
}

#[test]
fn only_the_newest_clicks_of_a_history_count() {
    let market = Market::new(14);
    let features = market.features_with_sids();
    let (ranker, _) = train(&market, &features, &config());
    let with_history = |items: &[u32]| {
        let histories = Sequences::new(vec![0, items.len()], items.to_vec()).unwrap();
        let hour = CategoricalField::new("hour", 25, vec![3]).unwrap();
        let row = Impressions::new(vec![1], vec![2], vec![true], vec![hour], histories).unwrap();
        predict(&ranker, &features, &row).unwrap()[0]
    };
    let last_four = with_history(&[10, 11, 12, 13]);
    assert_eq!(with_history(&[99, 98, 10, 11, 12, 13]), last_four);
    assert_ne!(with_history(&[10, 11, 12, 14]), last_four);
    assert_ne!(with_history(&[13, 12, 11, 10]), last_four, "the age of a click counts");
    assert_ne!(with_history(&[]), last_four);
}
