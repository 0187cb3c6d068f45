//! No held-out row reaches what recommenders learn from, nor the history of another row.

use das_data::{DataSet, Part, Split, SplitKind};
use das_eval::inputs::{CtrInputs, SequenceInputs};
use proptest::prelude::*;

use crate::common::*;

const ITEMS: u32 = 12;

/// Rows at distinct times of every user, so that a change of order is a change of time.
fn logs() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..5u32, 0..ITEMS, prop::bool::weighted(0.7));
    prop::collection::vec(row, 40..90).prop_map(|rows| {
        let rows = rows.into_iter().zip(0..);
        rows.map(|((user, item, label), at)| Row(user, item, NEW_YEAR + at * 1000, label)).collect()
    })
}

/// Changes item and label of the test rows; a leave-last-out split depends on which rows are
/// clicks, so labels stay there.
fn changed(rows: &[Row], split: &Split, shift: u32) -> Vec<Row> {
    let keep_labels = split.kind() == SplitKind::LeaveLastOut;
    rows.iter()
        .zip(split.parts())
        .map(|(&Row(user, item, time, label), part)| match part {
            Part::Test => Row(user, (item + shift) % ITEMS, time, label ^ !keep_labels),
            _ => Row(user, item, time, label),
        })
        .collect()
}

fn open(rows: &[Row]) -> (tempfile::TempDir, DataSet) {
    data_set(5, ITEMS, rows, true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn other_test_rows_change_no_training_input(rows in logs(), shift in 1..ITEMS) {
        for kind in SplitKind::ALL {
            let (_folder, data) = open(&rows);
            let (split, clicks) = split_and_clicks(&data, kind);
            let (_other_folder, other) = open(&changed(&rows, &split, shift));
            let (other_split, other_clicks) = split_and_clicks(&other, kind);
            prop_assert_eq!(split.parts(), other_split.parts());

            let ctr = CtrInputs::new(&data, &split, 10);
            if let (Ok(a), Ok(b)) = (ctr, CtrInputs::new(&other, &other_split, 10)) {
                prop_assert_eq!((&a.features, &a.train), (&b.features, &b.train));
                prop_assert_eq!(&a.validation, &b.validation);
                prop_assert_eq!(a.test.histories(), b.test.histories());
            }
            let sequences = SequenceInputs::new(&data, &split, &clicks);
            let others = SequenceInputs::new(&other, &other_split, &other_clicks);
            if let (Ok(a), Ok(b)) = (sequences, others) {
                prop_assert_eq!((&a.train, &a.item_clicks), (&b.train, &b.item_clicks));
                prop_assert_eq!(&a.validation, &b.validation);
                if kind == SplitKind::LeaveLastOut {
                    for (a, b) in a.test.queries.iter().zip(&b.test.queries) {
                        prop_assert_eq!(&a.history, &b.history);
                    }
                }
            }
        }
    }

    #[test]
    fn the_place_of_test_rows_in_the_file_changes_nothing(rows in logs()) {
        for kind in SplitKind::ALL {
            let (_folder, data) = open(&rows);
            let (split, clicks) = split_and_clicks(&data, kind);
            let (test, mut moved): (Vec<_>, Vec<_>) =
                rows.iter().zip(split.parts()).partition(|(_, part)| **part == Part::Test);
            moved.splice(0..0, test.into_iter().rev());
            let moved: Vec<Row> = moved.into_iter().map(|(&row, _)| row).collect();
            let (_other_folder, other) = open(&moved);
            let (other_split, other_clicks) = split_and_clicks(&other, kind);
            let ctr = CtrInputs::new(&data, &split, 10);
            if let (Ok(a), Ok(b)) = (ctr, CtrInputs::new(&other, &other_split, 10)) {
                prop_assert_eq!((a.features, a.train, a.validation), (b.features, b.train, b.validation));
            }
            let sequences = SequenceInputs::new(&data, &split, &clicks);
            if let Ok(found) = sequences {
                let others = SequenceInputs::new(&other, &other_split, &other_clicks).unwrap();
                prop_assert_eq!(found, others);
            }
        }
    }
}
