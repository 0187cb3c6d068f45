//! Data sets made on the spot.

use das_core::{EntityIds, Side};
use das_data::{
    CoClickConfig, ColumnKind, DataSet, DataSetWriter, EntityTable, LogColumns, OrderKind, Split,
    SplitKind, TextColumn, TrainingClicks,
};
use tempfile::TempDir;

/// One row of a log: user, item, time, click or exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) u32, pub(crate) u32, pub(crate) i64, pub(crate) bool);

/// 2020-01-01 00:00 UTC, a Wednesday.
pub(crate) const NEW_YEAR: i64 = 1_577_836_800;

fn column(name: &str, kind: ColumnKind, rows: impl Iterator<Item = String>) -> TextColumn {
    let mut column = TextColumn::new(name, kind);
    rows.for_each(|row| column.push(row.split('|')));
    column
}

/// A data set of `users` users (id 100 + row; age, gender) and `items` items (id row; title,
/// year, genres), kept as long as the folder. Without labels where `labels` is false.
pub(crate) fn data_set(users: u32, items: u32, rows: &[Row], labels: bool) -> (TempDir, DataSet) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("data");
    let ids = |range: std::ops::Range<u32>| EntityIds::Int(range.map(i64::from).collect());
    let (user_ids, item_ids) = (ids(100..100 + users), ids(0..items));
    let table = |side, ids: &EntityIds, columns| {
        EntityTable::new(side, &out, ids.clone(), columns).unwrap()
    };
    let writer = DataSetWriter::create(&out).unwrap();
    let gender = |user: u32| if user.is_multiple_of(3) { "F" } else { "M" }.to_owned();
    let columns = vec![
        column("age", ColumnKind::Number, (0..users).map(|user| (20 + user).to_string())),
        column("gender", ColumnKind::Text, (0..users).map(gender)),
    ];
    writer.write_table(&table(Side::User, &user_ids, columns)).unwrap();
    let genres = |item: u32| ["comedy", "drama|war", "war", ""][item as usize % 4].to_owned();
    let columns = vec![
        column("title", ColumnKind::Text, (0..items).map(|item| format!("title {item}"))),
        column("year", ColumnKind::Number, (0..items).map(|item| (1990 + item % 5).to_string())),
        column("genres", ColumnKind::List, (0..items).map(genres)),
    ];
    writer.write_table(&table(Side::Item, &item_ids, columns)).unwrap();
    let log = LogColumns {
        users: rows.iter().map(|row| row.0).collect(),
        items: rows.iter().map(|row| row.1).collect(),
        order_kind: OrderKind::Timestamp,
        order: rows.iter().map(|row| row.2).collect(),
        labels: labels.then(|| rows.iter().map(|row| row.3).collect()),
        weights: None,
        ratings: None,
    };
    writer.write_interactions(&log, &user_ids, &item_ids).unwrap();
    writer.publish().unwrap();
    let data = DataSet::open(&out).unwrap();
    (folder, data)
}

pub(crate) fn split_and_clicks(data: &DataSet, kind: SplitKind) -> (Split, TrainingClicks) {
    let split = Split::new(data, kind).unwrap();
    let clicks = TrainingClicks::new(data, &split, CoClickConfig::default()).unwrap();
    (split, clicks)
}

/// Asserts that `message` holds every one of `parts`.
#[track_caller]
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}
