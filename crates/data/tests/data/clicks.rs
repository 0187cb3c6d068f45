//! The training clicks against plain counting, and the draws against their definition.

use std::collections::{BTreeMap, BTreeSet};

use das_core::Clicks;
use das_core::clicks::NO_PARTNER;
use das_data::{CoClickConfig, DataSet, Part, Split, SplitKind, TrainingClicks};

use crate::common::*;

/// 40 users with 3 to 14 rows each, repeats and exposures included.
fn sample() -> Vec<Row> {
    let rows = (0..40i64).flat_map(|user| {
        (0..3 + user % 12).map(move |at| {
            let item = (user * 7 + at * at * 3 + at % 2) % 25;
            Row(user, item, at, (user + at) % 5 != 0)
        })
    });
    rows.collect()
}

fn training(data: &DataSet, window: Option<usize>) -> (Split, TrainingClicks) {
    let split = Split::new(data, SplitKind::LeaveLastOut).unwrap();
    let clicks = TrainingClicks::new(data, &split, CoClickConfig { window }).unwrap();
    (split, clicks)
}

#[test]
fn counts_sets_and_sequences_agree_with_plain_counting() {
    let rows = sample();
    let data = open(&folder_of(25, &rows));
    let (split, clicks) = training(&data, None);
    let train = |row: &usize| split.part(*row) == Part::Train;
    for user in 0..40u32 {
        let own: Vec<usize> =
            (0..rows.len()).filter(train).filter(|&row| rows[row].0 == i64::from(user)).collect();
        let clicked: Vec<u32> =
            own.iter().filter(|&&row| rows[row].3).map(|&row| rows[row].1 as u32).collect();
        let set: BTreeSet<u32> = clicked.iter().copied().collect();
        assert_eq!(clicks.sequence_of(user), clicked);
        assert_eq!(clicks.items_of(user), set.into_iter().collect::<Vec<_>>());
        assert_eq!(clicks.user_clicks()[user as usize] as usize, clicked.len());
        assert_eq!(clicks.user_exposures()[user as usize] as usize, own.len());
        assert_eq!(clicks.user_history(user, 3), &clicked[clicked.len().saturating_sub(3)..]);
    }
    for item in 0..25u32 {
        let own: Vec<usize> =
            (0..rows.len()).filter(train).filter(|&row| rows[row].1 == i64::from(item)).collect();
        let clicked = || own.iter().filter(|&&row| rows[row].3);
        let users: BTreeSet<u32> = clicked().map(|&row| rows[row].0 as u32).collect();
        assert_eq!(clicks.users_of(item), users.into_iter().collect::<Vec<_>>());
        assert_eq!(clicks.item_clicks()[item as usize] as usize, clicked().count());
        assert_eq!(clicks.item_exposures()[item as usize] as usize, own.len());
    }
}

#[test]
fn an_epoch_holds_every_click_once_and_is_a_function_of_seed_and_epoch() {
    let data = open(&folder_of(25, &sample()));
    let (_, clicks) = training(&data, None);
    let epoch = clicks.epoch(3, 1);
    let mut pairs: Vec<(u32, u32)> =
        epoch.users.iter().copied().zip(epoch.items.iter().copied()).collect();
    pairs.sort_unstable();
    let mut expected: Vec<(u32, u32)> = (0..40)
        .flat_map(|user| clicks.sequence_of(user).iter().map(move |&item| (user, item)))
        .collect();
    expected.sort_unstable();
    assert_eq!(pairs, expected);
    assert_eq!(epoch.len(), clicks.num_clicks());
    assert!(epoch.weights.iter().all(|&weight| weight == 1.0));
    assert_eq!(epoch, clicks.epoch(3, 1));
    assert_ne!(epoch, clicks.epoch(3, 2));
    assert_ne!(epoch, clicks.epoch(4, 1));
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(epoch, one.install(|| clicks.epoch(3, 1)));
}

/// How often each partner came, over many epochs: per click, (co-users, co-items).
type Tally = BTreeMap<(u32, u32), (BTreeMap<u32, u32>, BTreeMap<u32, u32>)>;

fn tally(clicks: &TrainingClicks, epochs: u64) -> Tally {
    let mut tally = Tally::new();
    for epoch in (0..epochs).map(|epoch| clicks.epoch(11, epoch)) {
        for at in 0..epoch.len() {
            let entry = tally.entry((epoch.users[at], epoch.items[at])).or_default();
            *entry.0.entry(epoch.co_users[at]).or_default() += 1;
            *entry.1.entry(epoch.co_items[at]).or_default() += 1;
        }
    }
    tally
}

/// Asserts that the draws are exactly from `expected`, each about equally often.
fn assert_uniform(draws: &BTreeMap<u32, u32>, expected: &BTreeSet<u32>) {
    let found: BTreeSet<u32> = draws.keys().copied().collect();
    if expected.is_empty() {
        assert_eq!(found, BTreeSet::from([NO_PARTNER]));
        return;
    }
    assert_eq!(&found, expected);
    let total: u32 = draws.values().sum();
    let mean = f64::from(total) / expected.len() as f64;
    for count in draws.values() {
        // Six standard deviations of a binomial count.
        assert!((f64::from(*count) - mean).abs() < 6.0 * mean.sqrt(), "{draws:?}");
    }
}

#[test]
fn partners_are_drawn_uniformly_from_the_others() {
    let data = open(&folder_of(25, &sample()));
    let (_, clicks) = training(&data, None);
    for ((user, item), (co_users, co_items)) in tally(&clicks, 400) {
        let others = |set: &[u32], this| set.iter().copied().filter(|&x| x != this).collect();
        assert_uniform(&co_users, &others(clicks.users_of(item), user));
        assert_uniform(&co_items, &others(clicks.items_of(user), item));
    }
}

#[test]
fn windowed_partners_are_near_in_the_sequence() {
    let data = open(&folder_of(25, &sample()));
    let (_, clicks) = training(&data, Some(2));
    for ((user, item), (_, co_items)) in tally(&clicks, 100) {
        let sequence = clicks.sequence_of(user);
        let near: BTreeSet<u32> = (0..sequence.len())
            .filter(|&at| sequence[at] == item)
            .flat_map(|at| &sequence[at.saturating_sub(2)..(at + 3).min(sequence.len())])
            .copied()
            .filter(|&other| other != item)
            .collect();
        let found: BTreeSet<u32> = co_items.keys().copied().collect();
        if near.is_empty() {
            assert_eq!(found, BTreeSet::from([NO_PARTNER]));
        } else {
            let drawn = found.into_iter().filter(|&item| item != NO_PARTNER);
            assert_eq!(drawn.collect::<BTreeSet<_>>(), near);
        }
    }
}

#[test]
fn a_lone_click_has_no_partner() {
    let data = open(&folder_of(3, &[Row(1, 0, 0, true), Row(2, 1, 0, true), Row(2, 1, 1, true)]));
    for window in [None, Some(5)] {
        let (_, clicks) = training(&data, window);
        let epoch = clicks.epoch(1, 0);
        assert_eq!(epoch.co_users, [NO_PARTNER; 3]);
        assert_eq!(epoch.co_items, [NO_PARTNER; 3]);
    }
}

#[test]
fn held_out_clicks_come_with_the_last_five_training_clicks() {
    let rows: Vec<Row> = (0..9).map(|time| Row(1, time, time, true)).collect();
    let exposure = [Row(1, 9, 8, false), Row(2, 0, 0, true)];
    let data = open(&folder_of(10, &[&rows[..], &exposure].concat()));
    let (split, clicks) = training(&data, None);
    let validation = clicks.held_out(&data, &split, Part::Validation);
    assert_eq!((validation.users, validation.items), (vec![0], vec![7]));
    assert_eq!(validation.histories, [[2, 3, 4, 5, 6]]);
    let test = clicks.held_out(&data, &split, Part::Test);
    assert_eq!((test.users, test.items), (vec![0], vec![8]));
}

#[test]
fn users_without_training_clicks_are_left_out_of_held_out_clicks() {
    let mut rows: Vec<Row> = (0..8).map(|time| Row(1, time, time, true)).collect();
    rows.extend([Row(2, 0, 8, true), Row(1, 1, 9, true)]);
    let data = open(&folder_of(10, &rows));
    let split = Split::new(&data, SplitKind::GlobalTime).unwrap();
    let clicks = TrainingClicks::new(&data, &split, CoClickConfig::default()).unwrap();
    assert!(clicks.held_out(&data, &split, Part::Validation).users.is_empty());
    assert_eq!(clicks.held_out(&data, &split, Part::Test).items, [1]);
}

#[test]
fn weights_follow_their_clicks() {
    let weights: Vec<f64> = (0..6).map(f64::from).collect();
    let data = open(&folder_with_log(
        6,
        [
            ("user_id", ints(&[1; 6])),
            ("item_id", ints(&[0, 1, 2, 3, 4, 5])),
            ("position", ints(&[0, 1, 2, 3, 4, 5])),
            ("weight", floats(&weights)),
        ],
    ));
    let (_, clicks) = training(&data, None);
    let epoch = clicks.epoch(5, 0);
    assert_eq!(epoch.len(), 4);
    for (&item, &weight) in epoch.items.iter().zip(&epoch.weights) {
        assert_eq!(weight, item as f32);
    }
}
