//! Logs with a column mapping.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use das_core::EntityIds;
use das_data::import::{EntitySource, LogMapping, OrderColumn, RatingRule, TabularImport, tabular};
use das_data::texts::item_texts;
use das_data::{DataSet, Format, OrderKind, Source};
use tempfile::TempDir;

use crate::common::*;

const LOG: &str = "uid,iid,when,stars,note\n\
                   a,10,2015-01-02,5,\"x, y\"\n\
                   b,9,2015-01-01T12:00:00,2,\n\
                   a,9,2015-01-01,4,z\n";

fn mapping() -> LogMapping {
    LogMapping {
        user: "uid".into(),
        item: "iid".into(),
        order: OrderColumn::Timestamp("when".into()),
        label: None,
        rating: Some(RatingRule { column: "stars".into(), threshold: 4.0 }),
        weight: None,
    }
}

fn import_of(log: &Path) -> TabularImport {
    let log = Source::new(log, Format::of(log).unwrap());
    TabularImport { log, mapping: mapping(), items: None, users: None }
}

/// A folder with `log.csv`, and the place of the data set to be.
fn place(log: &str) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("log.csv"), folder.path().join("out"));
    fs::write(&path, log).unwrap();
    (folder, path, out)
}

#[track_caller]
fn assert_imported(data: &DataSet) {
    let log = data.interactions();
    assert_eq!(data.user_ids(), &EntityIds::Text(vec!["a".into(), "b".into()]));
    assert_eq!(data.item_ids(), &EntityIds::Int(vec![9, 10]));
    assert_eq!(log.users(), [0, 1, 0]);
    assert_eq!(log.items(), [1, 0, 0]);
    assert_eq!(log.order_kind(), OrderKind::Timestamp);
    let day = 86_400_000;
    assert_eq!(log.order(), [16_436 * day + day, 16_436 * day + day / 2, 16_436 * day]);
    assert_eq!((0..3).map(|row| log.is_positive(row)).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn the_same_log_in_each_format_gives_the_same_data_set() {
    let (folder, csv, out) = place(LOG);
    let report = tabular(&import_of(&csv), &out).unwrap();
    assert_eq!((report.users, report.items, report.interactions), (2, 2, 3));
    assert_imported(&DataSet::open(&out).unwrap());

    let tsv = folder.path().join("log.tsv.gz");
    let file = fs::File::create(&tsv).unwrap();
    let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gz.write_all(LOG.replace("\"x, y\"", "x").replace(',', "\t").as_bytes()).unwrap();
    gz.finish().unwrap();
    tabular(&import_of(&tsv), &folder.path().join("from_tsv")).unwrap();
    assert_imported(&DataSet::open(&folder.path().join("from_tsv")).unwrap());

    let jsonl = folder.path().join("log.jsonl");
    fs::write(
        &jsonl,
        "{\"uid\": \"a\", \"iid\": 10, \"when\": \"2015-01-02\", \"stars\": 5.0}\n\
         {\"uid\": \"b\", \"iid\": 9, \"when\": \"2015-01-01T12:00:00Z\", \"stars\": 2}\n\
         {\"uid\": \"a\", \"iid\": \"9\", \"when\": \"2015-01-01\", \"stars\": \"4\"}\n",
    )
    .unwrap();
    tabular(&import_of(&jsonl), &folder.path().join("from_jsonl")).unwrap();
    assert_imported(&DataSet::open(&folder.path().join("from_jsonl")).unwrap());

    let parquet = folder.path().join("log.parquet");
    write_parquet(
        &parquet,
        [
            ("uid", texts(&["a", "b", "a"])),
            ("iid", ints(&[10, 9, 9])),
            (
                "when",
                std::sync::Arc::new(arrow_array::TimestampMillisecondArray::from(vec![
                    1_420_156_800_000,
                    1_420_113_600_000,
                    1_420_070_400_000,
                ])),
            ),
            ("stars", floats(&[5.0, 2.0, 4.0])),
        ],
    );
    tabular(&import_of(&parquet), &folder.path().join("from_parquet")).unwrap();
    assert_imported(&DataSet::open(&folder.path().join("from_parquet")).unwrap());
}

#[test]
fn entity_files_come_along() {
    let (folder, csv, out) = place("u,i,y\n2,x,1\n1,y,0\n3,x,1\n");
    let (items, users) = (folder.path().join("items.jsonl"), folder.path().join("users.csv"));
    fs::write(
        &items,
        "{\"sku\": \"y\", \"title\": \"Y\", \"tags\": [\"a\", [\"b\"]]}\n\
         {\"sku\": \"z\", \"title\": \"Z\", \"price\": 3}\n{\"sku\": \"x\", \"title\": \"X\"}\n",
    )
    .unwrap();
    fs::write(&users, "id,age,zip\n3,24,02139\n1,,10001\n").unwrap();
    let entity = |path: &Path, id: &str| {
        let source = Source::new(path, Format::of(path).unwrap());
        Some(EntitySource { source, id: id.into() })
    };
    let import = TabularImport {
        log: Source::new(&csv, Format::Csv),
        mapping: LogMapping {
            user: "u".into(),
            item: "i".into(),
            order: OrderColumn::File,
            label: Some("y".into()),
            rating: None,
            weight: None,
        },
        items: entity(&items, "sku"),
        users: entity(&users, "id"),
    };
    let report = tabular(&import, &out).unwrap();
    assert_eq!((report.users, report.items, report.undescribed_items), (3, 3, 0));
    let data = DataSet::open(&out).unwrap();
    assert_eq!(data.item_ids(), &EntityIds::Text(vec!["y".into(), "z".into(), "x".into()]));
    assert_eq!(data.user_ids(), &EntityIds::Int(vec![3, 1, 2]));
    assert_eq!(data.users().column("zip").unwrap().first(0), "02139");
    assert_eq!(data.users().column("age").unwrap().first(0), "24");
    assert_eq!(item_texts(data.items(), None).unwrap(), ["Y. a, b", "Z", "X"]);
    assert_eq!(data.interactions().order(), [0, 0, 0]);
    assert!(!data.interactions().is_positive(1));
}

#[test]
fn a_log_without_names_or_items() {
    let (_folder, csv, out) = place("7|1|3\n7|2|1\n");
    let mut log = Source::new(&csv, Format::Csv);
    (log.delimiter, log.header) = (Some(b'|'), false);
    let mapping = LogMapping {
        user: "0".into(),
        item: "1".into(),
        order: OrderColumn::Position("2".into()),
        label: None,
        rating: None,
        weight: None,
    };
    let report = tabular(&TabularImport { log, mapping, items: None, users: None }, &out).unwrap();
    assert_eq!(report.undescribed_items, 2);
    let data = DataSet::open(&out).unwrap();
    assert_eq!(data.interactions().rows_of(0), [1, 0]);
    assert!(data.items().columns().is_empty(), "no text is invented");
}

#[test]
fn faults_are_named_and_leave_nothing_behind() {
    let error = |log: &str, change: &dyn Fn(&mut TabularImport)| {
        let (folder, csv, out) = place(log);
        let mut import = import_of(&csv);
        change(&mut import);
        let message = tabular(&import, &out).unwrap_err().to_string();
        assert_only(folder.path(), &["log.csv"]);
        message
    };
    let same = |_: &mut TabularImport| {};
    let message = error("uid,item,when,stars\n", &same);
    assert_says(&message, &["log.csv", "no column `iid`", "uid, item, when, stars"]);
    assert_says(&error("uid,iid,when,stars\n", &same), &["log.csv", "no interactions"]);
    assert_says(&error("", &same), &["log.csv", "the file is empty"]);
    let row = |row: &str| error(&format!("uid,iid,when,stars\na,1,3,4\n{row}\n"), &same);
    assert_says(&row("a,,3,4"), &["log.csv: line 3", "no value for `iid`"]);
    assert_says(&row("a,1,soon,4"), &["line 3", "expected a timestamp", "`soon`"]);
    assert_says(&row("a,1,2015-01-01,4"), &["line 3", "numbers in some rows and dates in others"]);
    assert_says(&row("a,1,3,good"), &["line 3", "`stars`: expected a finite number, found `good`"]);
    assert_says(&row("a,1,3"), &["line 3", "3 fields, expected 4"]);

    let both = |import: &mut TabularImport| import.mapping.label = Some("note".into());
    assert_says(&error(LOG, &both), &["label column and a rating threshold"]);
    let label = |import: &mut TabularImport| {
        (import.mapping.rating, import.mapping.label) = (None, Some("stars".into()));
    };
    assert_says(&error(LOG, &label), &["line 2", "`stars`: expected 0 or 1, found `5`"]);
    let weight = |import: &mut TabularImport| import.mapping.weight = Some("w".into());
    let message = error("uid,iid,when,stars,w\na,1,3,4,-2\n", &weight);
    assert_says(&message, &["line 2", "`w`: expected a number ≥ 0, found -2"]);
}

#[test]
fn an_item_that_the_items_file_lacks_is_named_with_its_line() {
    let (folder, csv, out) = place(LOG);
    let items = folder.path().join("items.csv");
    fs::write(&items, "iid,title\n9,Nine\n").unwrap();
    let mut import = import_of(&csv);
    let source = Source::new(&items, Format::Csv);
    import.items = Some(EntitySource { source, id: "iid".into() });
    let message = tabular(&import, &out).unwrap_err().to_string();
    assert_says(&message, &["log.csv: line 2", "`iid` 10 is not in the items table"]);
}

#[test]
fn an_output_that_is_taken_is_kept() {
    let (_folder, csv, out) = place(LOG);
    fs::create_dir(&out).unwrap();
    fs::write(out.join("precious"), "x").unwrap();
    let message = tabular(&import_of(&csv), &out).unwrap_err().to_string();
    assert_says(&message, &["out", "not empty"]);
    assert_only(&out, &["precious"]);
    fs::remove_file(out.join("precious")).unwrap();
    tabular(&import_of(&csv), &out).unwrap();
    assert_only(&out, &["interactions.parquet", "items.parquet"]);

    let message = tabular(&import_of(&csv), &csv).unwrap_err().to_string();
    assert_says(&message, &["log.csv", "a file is in the way"]);
    let message = tabular(&import_of(&csv), &csv.join("below")).unwrap_err().to_string();
    assert_says(&message, &["log.csv", "cannot create"]);
}
