//! Nothing that is learned from depends on a held-out row.

use das_core::Clicks;
use das_data::texts::{UserTextConfig, user_texts};
use das_data::{CoClickConfig, DataSet, Part, Split, SplitKind, TrainingClicks};
use proptest::prelude::*;

use crate::common::*;

const ITEMS: i64 = 12;

/// A log of clicks, at distinct times so that a change of order is a change of time.
fn clicks() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..6i64, 0..ITEMS, prop::bool::weighted(0.8));
    prop::collection::vec(row, 10..80).prop_map(|rows| {
        let rows = rows.into_iter().enumerate();
        rows.map(|(time, (user, item, label))| Row(user, item, time as i64, label)).collect()
    })
}

/// Everything that is made from the training part.
fn learned(data: &DataSet, kind: SplitKind) -> impl PartialEq + std::fmt::Debug + use<> {
    let split = Split::new(data, kind).unwrap();
    let clicks = TrainingClicks::new(data, &split, CoClickConfig { window: Some(2) }).unwrap();
    (
        data.user_ids().clone(),
        data.item_ids().clone(),
        split.fingerprint(data),
        clicks.epoch(7, 0),
        clicks.epoch(7, 1),
        (clicks.item_clicks().to_vec(), clicks.item_exposures().to_vec()),
        (clicks.user_clicks().to_vec(), clicks.user_exposures().to_vec()),
        user_texts(data, &clicks, &UserTextConfig::default()).unwrap(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn other_items_in_held_out_rows_change_nothing(rows in clicks(), shift in 1..ITEMS) {
        for kind in SplitKind::ALL {
            let data = open(&folder_of(ITEMS, &rows));
            let split = Split::new(&data, kind).unwrap();
            let mut changed = rows.clone();
            for (row, part) in changed.iter_mut().zip(split.parts()) {
                if *part != Part::Train {
                    row.1 = (row.1 + shift) % ITEMS;
                }
            }
            let changed = open(&folder_of(ITEMS, &changed));
            if split.parts().iter().zip(&rows).any(|(part, row)| *part == Part::Train && row.3) {
                prop_assert_eq!(learned(&data, kind), learned(&changed, kind));
            }
        }
    }

    #[test]
    fn the_place_of_held_out_rows_in_the_file_changes_nothing(rows in clicks(), seed in 0..1000u64) {
        use rand::seq::SliceRandom;
        for kind in SplitKind::ALL {
            let data = open(&folder_of(ITEMS, &rows));
            let split = Split::new(&data, kind).unwrap();
            let parts = rows.iter().zip(split.parts());
            let (mut held_out, mut moved): (Vec<Row>, Vec<Row>) = Default::default();
            for (row, part) in parts {
                if *part == Part::Train { moved.push(*row) } else { held_out.push(*row) }
            }
            held_out.shuffle(&mut das_core::streams::stream(seed, "test", 0));
            held_out.append(&mut moved);
            let moved = open(&folder_of(ITEMS, &held_out));
            if split.parts().iter().zip(&rows).any(|(part, row)| *part == Part::Train && row.3) {
                prop_assert_eq!(learned(&data, kind), learned(&moved, kind));
            }
        }
    }
}

#[test]
fn a_changed_training_row_changes_the_fingerprint() {
    let rows: Vec<Row> = (0..10).map(|time| Row(1, time % 5, time, true)).collect();
    let fingerprint = |rows: &[Row]| {
        let data = open(&folder_of(ITEMS, rows));
        Split::new(&data, SplitKind::LeaveLastOut).unwrap().fingerprint(&data)
    };
    let mut changed = rows.clone();
    changed[3].1 = 11;
    assert_ne!(fingerprint(&rows), fingerprint(&changed));
    let mut exposure = rows.clone();
    exposure[3].3 = false;
    assert_ne!(fingerprint(&rows), fingerprint(&exposure));
}
