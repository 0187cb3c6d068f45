//! Splits against a reference that follows their definition row by row.

use das_core::Clicks;
use das_data::{CoClickConfig, DataSet, Part, Split, SplitKind, TrainingClicks, write_tuning_set};
use proptest::prelude::*;

use crate::common::*;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..6i64, 0..5i64, 0..12i64, prop::bool::weighted(0.7));
    prop::collection::vec(
        row.prop_map(|(user, item, time, label)| Row(user, item, time, label)),
        1..60,
    )
}

/// The user's rows by (time, row).
fn user_rows(rows: &[Row], user: i64) -> Vec<usize> {
    let mut own: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].0 == user).collect();
    own.sort_by_key(|&at| (rows[at].2, at));
    own
}

fn naive_leave_last_out(rows: &[Row]) -> Vec<Part> {
    (0..rows.len())
        .map(|row| {
            let own = user_rows(rows, rows[row].0);
            let clicks: Vec<usize> = own.iter().copied().filter(|&at| rows[at].3).collect();
            if clicks.len() < 3 {
                return Part::Train;
            }
            let place = |row| own.iter().position(|&at| at == row).unwrap();
            let (validation, test) = (clicks[clicks.len() - 2], clicks[clicks.len() - 1]);
            if place(row) < place(validation) {
                Part::Train
            } else if place(row) < place(test) {
                Part::Validation
            } else {
                Part::Test
            }
        })
        .collect()
}

/// The part of place `at` among `count` ordered rows.
fn naive_share(at: usize, count: usize) -> Part {
    let cut = |tenths: usize| (count * tenths / 10).max(1);
    match at {
        at if at < cut(8) => Part::Train,
        at if at < cut(9) => Part::Validation,
        _ => Part::Test,
    }
}

fn naive_time(rows: &[Row], per_user: bool) -> Vec<Part> {
    (0..rows.len())
        .map(|row| {
            let ordered = if per_user {
                user_rows(rows, rows[row].0)
            } else {
                let mut all: Vec<usize> = (0..rows.len()).collect();
                all.sort_by_key(|&at| (rows[at].2, at));
                all
            };
            naive_share(ordered.iter().position(|&at| at == row).unwrap(), ordered.len())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_split_follows_its_definition(rows in rows()) {
        let data = open(&folder_of(5, &rows));
        let parts = |kind| Split::new(&data, kind).unwrap().parts().to_vec();
        prop_assert_eq!(parts(SplitKind::LeaveLastOut), naive_leave_last_out(&rows));
        prop_assert_eq!(parts(SplitKind::GlobalTime), naive_time(&rows, false));
        prop_assert_eq!(parts(SplitKind::PerUserTime), naive_time(&rows, true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cold_items_are_test_and_the_rest_is_dealt_out_without_them(
        rows in rows(),
        seed in 0..20u64,
    ) {
        let data = open(&folder_of(5, &rows));
        for kind in SplitKind::ALL {
            // A share may take none or all of so few items, which is an error.
            let Ok(split) = Split::with_cold_items(&data, kind, 0.4, seed) else { continue };
            let is_cold = |row: &Row| split.is_cold(row.1 as u32);
            let warm: Vec<Row> = rows.iter().copied().filter(|row| !is_cold(row)).collect();
            let expected = match kind {
                SplitKind::LeaveLastOut => naive_leave_last_out(&warm),
                SplitKind::GlobalTime => naive_time(&warm, false),
                SplitKind::PerUserTime => naive_time(&warm, true),
            };
            let mut expected = expected.into_iter();
            for (row, &part) in rows.iter().zip(split.parts()) {
                let dealt = if is_cold(row) { Part::Test } else { expected.next().unwrap() };
                prop_assert_eq!(part, dealt);
            }
            if let Ok(clicks) = TrainingClicks::new(&data, &split, CoClickConfig::default()) {
                for item in (0..5).filter(|&item| split.is_cold(item)) {
                    prop_assert_eq!(clicks.item_exposures()[item as usize], 0);
                    prop_assert!(clicks.users_of(item).is_empty());
                }
            }
        }
    }
}

#[test]
fn which_items_are_cold_depends_on_the_seed_and_their_ids_alone() {
    let rows: Vec<Row> = (0..400).map(|at| Row(at % 9, at % 200, at, true)).collect();
    let data = open(&folder_of(200, &rows));
    let cold = |data: &DataSet, seed| {
        let split = Split::with_cold_items(data, SplitKind::LeaveLastOut, 0.2, seed).unwrap();
        (0..200).filter(|&item| split.is_cold(item)).collect::<Vec<u32>>()
    };
    let first = cold(&data, 1);
    assert!((20..60).contains(&first.len()), "{}", first.len());
    assert_ne!(first, cold(&data, 2));
    assert_eq!(first, cold(&open(&folder_of(200, &rows[..300])), 1));
}

#[test]
fn the_fingerprint_knows_cold_items_and_impossible_shares_are_refused() {
    let rows: Vec<Row> = (0..40).map(|at| Row(at % 3, at % 20, at, true)).collect();
    let data = open(&folder_of(60, &rows));
    let plain = Split::new(&data, SplitKind::LeaveLastOut).unwrap();
    let split = |seed| Split::with_cold_items(&data, SplitKind::LeaveLastOut, 0.1, seed).unwrap();
    let fingerprints: Vec<String> =
        [&plain, &split(1), &split(2)].iter().map(|split| split.fingerprint(&data)).collect();
    assert!(fingerprints[0] != fingerprints[1] && fingerprints[1] != fingerprints[2]);
    for share in [0.0, 1.0, f64::NAN, -0.5, 1e-9] {
        let found = Split::with_cold_items(&data, SplitKind::LeaveLastOut, share, 1);
        assert_says(&found.unwrap_err().to_string(), &["cold items", "share"]);
    }
}

#[test]
fn names_round_trip() {
    for kind in SplitKind::ALL {
        assert_eq!(kind.to_string().parse::<SplitKind>().unwrap(), kind);
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(json, format!("\"{kind}\""));
        assert_eq!(serde_json::from_str::<SplitKind>(&json).unwrap(), kind);
    }
}

#[test]
fn fractional_and_negative_times_keep_their_order() {
    let times = [0.5, -2.0, 0.25, 0.75];
    let folder = folder_with_log(
        4,
        [
            ("user_id", ints(&[1; 4])),
            ("item_id", ints(&[0, 1, 2, 3])),
            ("timestamp", floats(&times)),
        ],
    );
    assert_eq!(open(&folder).interactions().rows_of(0), [1, 2, 0, 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_tuning_set_is_the_log_without_its_test_rows(rows in rows()) {
        let folder = folder_of(5, &rows);
        let data = open(&folder);
        for kind in SplitKind::ALL {
            let split = Split::new(&data, kind).unwrap();
            let kept: Vec<usize> =
                (0..rows.len()).filter(|&row| split.part(row) != Part::Test).collect();
            let out = folder.path().join("tuning").join(kind.name());
            if kept.is_empty() {
                prop_assert!(write_tuning_set(&data, &split, &out).is_err() && !out.exists());
                continue;
            }
            let written = write_tuning_set(&data, &split, &out).unwrap();
            prop_assert_eq!(written.kept, kept.len());
            prop_assert_eq!(written.dropped, rows.len() - kept.len());
            let tuning = DataSet::open(&out).unwrap();
            prop_assert_eq!(tuning.item_ids(), data.item_ids());
            let (log, whole) = (tuning.interactions(), data.interactions());
            for (at, &row) in kept.iter().enumerate() {
                let user = |data: &DataSet, row| data.user_ids().display(row as usize).to_string();
                prop_assert_eq!(user(&tuning, log.users()[at]), user(&data, whole.users()[row]));
                prop_assert_eq!(log.items()[at], whole.items()[row]);
                prop_assert_eq!(log.order()[at], whole.order()[row]);
                prop_assert_eq!(log.is_positive(at), whole.is_positive(row));
            }
            let again = write_tuning_set(&data, &split, &out).unwrap_err().to_string();
            prop_assert!(again.contains("not empty"), "{}", again);
        }
    }
}
