//! Texts of items and users.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use das_data::texts::{UserTextConfig, item_texts, profile_texts, user_texts};
use das_data::{CoClickConfig, ColumnKind, DataSet, Split, SplitKind, TrainingClicks};
use tempfile::TempDir;

use crate::common::*;

/// Two described users (one without gender) and one of the log alone; four items.
fn folder() -> TempDir {
    let rows = [
        Row(7, 0, 0, true),
        Row(7, 1, 1, true),
        Row(7, 2, 2, true),
        Row(7, 3, 3, true),
        Row(9, 2, 0, true),
        Row(8, 3, 0, false),
    ];
    let folder = folder_of(4, &rows);
    let titles: ArrayRef =
        Arc::new(StringArray::from(vec![Some("Heat"), Some("  Alien "), None, Some("")]));
    write_parquet(
        &folder.path().join("items.parquet"),
        [
            ("item_id", ints(&[0, 1, 2, 3])),
            ("title", titles),
            ("year", ints(&[1995, 1979, 1982, 1990])),
            ("tags", text_lists(&[&["Crime", "Drama"], &[], &["Sci-Fi"], &[]])),
            ("score", floats(&[4.0, 4.5, f64::NAN, 3.25])),
        ],
    );
    let genders: ArrayRef = Arc::new(StringArray::from(vec![None, Some("F")]));
    write_parquet(
        &folder.path().join("users.parquet"),
        [("user_id", ints(&[9, 7])), ("age", ints(&[24, 53])), ("gender", genders)],
    );
    folder
}

fn clicks(data: &DataSet) -> TrainingClicks {
    let split = Split::new(data, SplitKind::LeaveLastOut).unwrap();
    TrainingClicks::new(data, &split, CoClickConfig::default()).unwrap()
}

#[test]
fn item_texts_follow_the_template() {
    let data = open(&folder());
    let default = item_texts(data.items(), None).unwrap();
    assert_eq!(default, ["Heat. Crime, Drama", "Alien", "Sci-Fi", ""]);
    let template = Some("{title} ({year}). {tags}; {score}");
    let texts = item_texts(data.items(), template).unwrap();
    let expected =
        ["Heat (1995). Crime, Drama; 4", "Alien (1979); 4.5", "(1982). Sci-Fi", "(1990); 3.25"];
    assert_eq!(texts, expected);
}

#[test]
fn user_texts_join_profile_and_training_titles() {
    let data = open(&folder());
    let clicks = clicks(&data);
    let texts = |config: &UserTextConfig| user_texts(&data, &clicks, config).unwrap();
    // Users 9 and 7 are described, 8 is of the log alone; items 2 and 3 have no title, and the
    // last two clicks of user 7 are held out.
    let default = texts(&UserTextConfig::default());
    assert_eq!(default, ["age 24", "age 53. F. Heat. Alien", ""]);
    let config = UserTextConfig {
        template: Some("likes {history}, is {gender}".into()),
        history: 1,
        history_template: Some("{title} [{tags}]".into()),
    };
    assert_eq!(texts(&config), ["likes [Sci-Fi]", "likes Alien, is F", ""]);
    let none = UserTextConfig { history: 0, ..UserTextConfig::default() };
    assert_eq!(texts(&none), ["age 24", "age 53. F", ""]);
    let profiles = profile_texts(data.users(), &UserTextConfig::default()).unwrap();
    assert_eq!(profiles, ["age 24", "age 53. F", ""]);
}

#[test]
fn an_unknown_column_is_named_beside_those_present() {
    let data = open(&folder());
    let message = item_texts(data.items(), Some("{titel}")).unwrap_err().to_string();
    assert_says(&message, &["items.parquet", "`titel`", "title, year, tags, score"]);
    let config = UserTextConfig { template: Some("{job}".into()), ..UserTextConfig::default() };
    let message = user_texts(&data, &clicks(&data), &config).unwrap_err().to_string();
    assert_says(&message, &["users.parquet", "`job`", "age, gender", "`history`"]);
    let config =
        UserTextConfig { history_template: Some("{job}".into()), ..UserTextConfig::default() };
    let message = user_texts(&data, &clicks(&data), &config).unwrap_err().to_string();
    assert_says(&message, &["items.parquet", "`job`"]);
}

#[test]
fn items_without_any_text_column_are_an_error() {
    let folder = folder();
    write_parquet(
        &folder.path().join("items.parquet"),
        [("item_id", ints(&[0, 1, 2, 3])), ("price", floats(&[1.0; 4]))],
    );
    let message = item_texts(open(&folder).items(), None).unwrap_err().to_string();
    assert_says(&message, &["items.parquet", "no text column", "price"]);
}

#[test]
fn columns_are_found_by_name_and_know_their_kind() {
    let data = open(&folder());
    let kind = |name| data.items().column(name).unwrap().kind();
    assert_eq!(kind("title"), ColumnKind::Text);
    assert_eq!(kind("tags"), ColumnKind::List);
    assert_eq!(kind("year"), ColumnKind::Number);
    assert_eq!(data.items().column("tags").unwrap().first(0), "Crime");
    assert_eq!(data.users().described(), 2);
    assert_eq!(data.users().len(), 3);
    assert!(data.users().column("gender").unwrap().is_blank(2));
}
