//! Batches against their definition, written down pair by pair.

use std::collections::BTreeSet;

use crate::common::Market;
use das_core::clicks::NO_PARTNER;
use das_core::{ClickEpoch, Clicks, RowMatrix};
use das_model::{Batch, BatchBuilder, ModelConfig, SideBatch};
use das_nn::PairMask;

fn pairs(mask: &Option<PairMask>) -> BTreeSet<(usize, usize)> {
    let mask = mask.as_ref().expect("a mask");
    (0..mask.rows())
        .flat_map(|row| mask.columns(row).iter().map(move |&column| (row, column as usize)))
        .collect()
}

/// All (i, j), i ≠ j, for which `known` holds.
fn naive(n: usize, known: impl Fn(usize, usize) -> bool) -> BTreeSet<(usize, usize)> {
    let all = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    all.filter(|&(i, j)| i != j && known(i, j)).collect()
}

fn check_rows(side: &SideBatch, content: &dyn RowMatrix, ids: &[u32], partners: &[u32]) {
    let dim = content.dim();
    assert_eq!(side.ids, ids);
    let row = |position: u32| &side.content[position as usize * dim..][..dim];
    for (&position, &id) in side.anchors.iter().zip(ids) {
        assert_eq!(row(position), content.row(id as usize));
    }
    let found = side.partners.as_ref().unwrap();
    for (at, &partner) in partners.iter().enumerate() {
        let weight = found.weights.as_ref().map_or(1.0, |weights| weights[at]);
        assert_eq!(weight != 0.0, partner != NO_PARTNER);
        if partner != NO_PARTNER {
            assert_eq!(found.ids[at], partner);
            assert_eq!(row(found.positions[at]), content.row(partner as usize));
        }
    }
    let distinct: BTreeSet<u32> =
        ids.iter().chain(partners).copied().filter(|&id| id != NO_PARTNER).collect();
    assert_eq!(side.rows, distinct.len(), "each entity is encoded once");
}

fn check(market: &Market, epoch: &ClickEpoch, start: usize, n: usize, batch: &Batch) {
    let range = start..start + n;
    let (users, items) = (&epoch.users[range.clone()], &epoch.items[range.clone()]);
    let (co_users, co_items) = (&epoch.co_users[range.clone()], &epoch.co_items[range]);
    check_rows(&batch.user, &market.content[0], users, co_users);
    check_rows(&batch.item, &market.content[1], items, co_items);

    let clicked = |user: u32, item: u32| {
        user != NO_PARTNER && item != NO_PARTNER && market.items_of(user).contains(&item)
    };
    assert_eq!(pairs(&batch.positives), naive(n, |i, j| clicked(users[i], items[j])));
    assert_eq!(pairs(&batch.positives_transposed), naive(n, |i, j| clicked(users[j], items[i])));
    assert_eq!(pairs(&batch.user.repeats), naive(n, |i, j| users[i] == users[j]));
    assert_eq!(pairs(&batch.item.repeats), naive(n, |i, j| items[i] == items[j]));
    let known = &batch.item.partners.as_ref().unwrap().known;
    let expected = naive(n, |i, j| clicked(users[i], co_items[j]) || co_items[j] == items[i]);
    assert_eq!(pairs(known), expected);
    let known = &batch.user.partners.as_ref().unwrap().known;
    let expected = naive(n, |i, j| clicked(co_users[j], items[i]) || co_users[j] == users[i]);
    assert_eq!(pairs(known), expected);
}

#[test]
fn batches_are_what_their_definition_says() {
    let market = Market::new(1, 60, 48, 4);
    // A user with one distinct item and an item with one user have no partners.
    let epoch = market.epoch(0, 0);
    assert!(epoch.co_users.contains(&NO_PARTNER) || epoch.co_items.contains(&NO_PARTNER));
    let [users, items] = &market.content;
    let mut builder = BatchBuilder::new(&market, [users, items], &ModelConfig::default());
    for start in [0, 50, 100, 150] {
        let batch = builder.build(&epoch, start..start + 50);
        check(&market, &epoch, start, 50, &batch);
    }
}

#[test]
fn log_q_is_the_log_share_of_clicks() {
    let market = Market::new(2, 30, 24, 5);
    let epoch = market.epoch(0, 0);
    let [users, items] = &market.content;
    let mut builder = BatchBuilder::new(&market, [users, items], &ModelConfig::default());
    let batch = builder.build(&epoch, 0..40);
    for (at, &item) in batch.item.ids.iter().enumerate() {
        let share = f64::from(market.item_clicks()[item as usize]) / market.num_clicks() as f64;
        assert!((f64::from(batch.item.log_q[at]) - share.ln()).abs() < 1e-5);
    }
}

#[test]
fn content_only_builds_no_partners() {
    let market = Market::new(3, 30, 24, 5);
    let config = ModelConfig { alpha: 0.0, beta: 0.0, ..ModelConfig::default() };
    let [users, items] = &market.content;
    let mut builder = BatchBuilder::new(&market, [users, items], &config);
    let batch = builder.build(&market.epoch(0, 0), 0..40);
    assert!(batch.user.partners.is_none() && batch.item.partners.is_none());
}
