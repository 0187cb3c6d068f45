//! Inputs against their definition, on logs small enough to follow by hand.

use das_data::{CoClickConfig, Split, SplitKind, TrainingClicks};
use das_eval::inputs::{CtrInputs, SequenceInputs, Slice};

use crate::common::*;

fn clicks_of(user: u32, items: &[u32]) -> Vec<Row> {
    items.iter().zip(0..).map(|(&item, time)| Row(user, item, NEW_YEAR + time, true)).collect()
}

#[test]
fn histories_of_queries_end_before_the_click() {
    let rows = [clicks_of(0, &[1, 2, 3, 4]), clicks_of(1, &[5, 1, 1]), clicks_of(2, &[7, 8])];
    let (_folder, data) = data_set(3, 20, &rows.concat(), false);
    let (split, clicks) = split_and_clicks(&data, SplitKind::LeaveLastOut);
    let inputs = SequenceInputs::new(&data, &split, &clicks).unwrap();
    // User 2 has too few clicks to hold any out.
    let train: Vec<&[u32]> = inputs.train.iter().collect();
    assert_eq!(train, [&[1, 2][..], &[5], &[7, 8]]);
    let asked = |queries: &das_eval::inputs::Queries| -> Vec<(u32, Vec<u32>, u32)> {
        let users = queries.users.iter().zip(&queries.queries);
        users.map(|(&user, query)| (user, query.history.clone(), query.target)).collect()
    };
    assert_eq!(asked(&inputs.validation), [(0, vec![1, 2], 3), (1, vec![5], 1)]);
    assert_eq!(asked(&inputs.test), [(0, vec![1, 2, 3], 4), (1, vec![5, 1], 1)]);
    // 15 items were never clicked; 1, 2, 5, 7 and 8 once: the last 5 of 20 places by (clicks, row).
    assert_eq!(inputs.test.deciles, [1, 7]);
    assert_eq!(inputs.test.spread(1).users, [0]);
}

#[test]
fn cold_queries_seek_cold_items_from_warm_histories() {
    let rows: Vec<Row> =
        (0..300).map(|at| Row(at % 10, (at * 7) % 50, NEW_YEAR + i64::from(at), true)).collect();
    let (_folder, data) = data_set(10, 50, &rows, false);
    let split = Split::with_cold_items(&data, SplitKind::LeaveLastOut, 0.2, 1).unwrap();
    let clicks = TrainingClicks::new(&data, &split, CoClickConfig::default()).unwrap();
    let cold = SequenceInputs::cold(&data, &split, &clicks).unwrap();
    let warm = SequenceInputs::new(&data, &split, &clicks).unwrap();
    assert!(cold.test.queries.iter().all(|query| split.is_cold(query.target)));
    assert!(warm.test.queries.iter().all(|query| !split.is_cold(query.target)));
    let histories = cold.test.queries.iter().chain(&warm.test.queries);
    assert!(histories.flat_map(|query| &query.history).all(|&item| !split.is_cold(item)));
    assert!(cold.train.items().iter().all(|&item| !split.is_cold(item)));
}

#[test]
fn cold_impressions_show_cold_items_to_users_whose_other_clicks_are_known() {
    let rows: Vec<Row> = (0..300)
        .map(|at| Row(at % 10, (at * 7) % 50, NEW_YEAR + i64::from(at), at % 3 > 0))
        .collect();
    let (_folder, data) = data_set(10, 50, &rows, true);
    let split = Split::with_cold_items(&data, SplitKind::PerUserTime, 0.2, 1).unwrap();
    let cold = CtrInputs::cold(&data, &split, 5).unwrap();
    let warm = CtrInputs::new(&data, &split, 5).unwrap();
    let of_cold = data.interactions().items().iter().filter(|&&item| split.is_cold(item)).count();
    assert_eq!(cold.test.items().len(), of_cold);
    assert!(cold.test.items().iter().all(|&item| split.is_cold(item)));
    assert_eq!(cold.in_slice(Slice::ColdItem), vec![true; of_cold]);
    assert!(warm.test.items().iter().all(|&item| !split.is_cold(item)));
    assert_eq!(cold.train, warm.train);
    for part in [&cold.train, &cold.validation, &cold.test, &warm.test] {
        assert!(part.histories().items().iter().all(|&item| !split.is_cold(item)));
    }
    for part in [&cold.train, &cold.validation] {
        assert!(part.items().iter().all(|&item| !split.is_cold(item)));
    }
}

#[test]
fn impressions_know_training_clicks_strictly_before_them() {
    // Ten rows of one user; 8 train, the ninth is validation, the last test. Times 3 and 4 tie.
    let times = [0, 1, 2, 3, 3, 4, 5, 6, 7, 8];
    let labels = [true, false, true, true, true, false, true, true, true, false];
    let rows: Vec<Row> =
        (0..10).map(|at| Row(0, at as u32, NEW_YEAR + times[at] * 3600, labels[at])).collect();
    let (_folder, data) = data_set(2, 12, &rows, true);
    let (split, _) = split_and_clicks(&data, SplitKind::PerUserTime);
    let inputs = CtrInputs::new(&data, &split, 3).unwrap();
    let train: Vec<&[u32]> = inputs.train.histories().iter().collect();
    let expected: [&[u32]; 8] =
        [&[], &[0], &[0], &[0, 2], &[0, 2], &[2, 3, 4], &[2, 3, 4], &[3, 4, 6]];
    assert_eq!(train, expected);
    assert_eq!(inputs.validation.histories().of(0), [4, 6, 7]);
    // The validation click is not known to the test row.
    assert_eq!(inputs.test.histories().of(0), [4, 6, 7]);
    let hours = &inputs.train.context()[0];
    assert_eq!((hours.name(), hours.cardinality()), ("hour", 25));
    assert_eq!(hours.values(), [1, 2, 3, 4, 4, 5, 6, 7]);
    // Wednesday is the third day, from 1.
    assert_eq!(inputs.train.context()[1].values(), [3; 8]);
    assert_eq!(inputs.in_slice(Slice::ColdItem), [true]);
    assert_eq!(inputs.in_slice(Slice::ColdUser), [false]);
}

#[test]
fn a_log_of_clicks_alone_is_refused_for_click_prediction() {
    let (_folder, data) = data_set(1, 9, &clicks_of(0, &[0, 1, 2, 3, 4]), false);
    let (split, _) = split_and_clicks(&data, SplitKind::PerUserTime);
    let error = CtrInputs::new(&data, &split, 5).unwrap_err().to_string();
    assert_says(&error, &["no column `label`", "exposures"]);
}

#[test]
fn a_log_without_anything_held_out_is_refused_for_retrieval() {
    let (_folder, data) = data_set(1, 9, &clicks_of(0, &[0, 1]), false);
    let (split, clicks) = split_and_clicks(&data, SplitKind::LeaveLastOut);
    let error = SequenceInputs::new(&data, &split, &clicks).unwrap_err().to_string();
    assert_says(&error, &["leave-last-out", "no validation click"]);
}
