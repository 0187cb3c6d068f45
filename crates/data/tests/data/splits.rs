//! Splits against a reference that follows their definition row by row.

use das_data::{Part, Split, SplitKind};
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
