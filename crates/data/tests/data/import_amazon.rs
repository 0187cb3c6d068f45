//! The releases of Amazon Reviews.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use das_core::EntityIds;
use das_data::DataSet;
use das_data::import::{AmazonImport, amazon};
use das_data::texts::item_texts;
use rand::Rng;
use tempfile::TempDir;

use crate::common::*;

fn write_gz(path: &Path, content: &str) {
    let mut gz =
        flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
    gz.write_all(content.as_bytes()).unwrap();
    gz.finish().unwrap();
}

struct Place {
    folder: TempDir,
    import: AmazonImport,
    out: PathBuf,
}

fn place(reviews: &str, metadata: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["reviews.json.gz", "meta.json.gz"].map(|name| folder.path().join(name));
    write_gz(&paths[0], reviews);
    write_gz(&paths[1], metadata);
    let [reviews, metadata] = paths;
    let import = AmazonImport { reviews, metadata: Some(metadata), threshold: None, k_core: None };
    let out = folder.path().join("out");
    Place { folder, import, out }
}

#[test]
fn the_2014_release() {
    let place = place(
        "{\"reviewerID\": \"A2\", \"asin\": \"B1\", \"overall\": 5.0, \"unixReviewTime\": 30, \"helpful\": [0, 0]}\n\
         {\"reviewerID\": \"A1\", \"asin\": \"B0\", \"overall\": 1.0, \"unixReviewTime\": 20}\n\
         {\"reviewerID\": \"A1\", \"asin\": \"B9\", \"overall\": 4.0, \"unixReviewTime\": 10}\n",
        "{'asin': 'B7', 'title': 'not reviewed'}\n\
         {'asin': 'B1', 'title': \"Lash &amp; Brow\\'s\", 'categories': [['Beauty', 'Makeup'], ['Gifts']], 'brand': 'X', 'price': 9.9}\n\
         {'asin': 'B0', 'description': 'A <b>caf\\xe9</b>\\n  soap', 'related': {'also_bought': ['B1']}}\n",
    );
    let report = amazon(&place.import, &place.out).unwrap();
    assert_eq!((report.users, report.items, report.interactions), (2, 3, 3));
    assert_eq!(report.undescribed_items, 1);
    let data = DataSet::open(&place.out).unwrap();
    assert_eq!(data.item_ids(), &EntityIds::Text(["B1", "B0", "B9"].map(String::from).to_vec()));
    assert_eq!(data.user_ids(), &EntityIds::Text(["A1", "A2"].map(String::from).to_vec()));
    let texts = item_texts(data.items(), None).unwrap();
    let expected = ["Lash & Brow's. X. Beauty, Makeup, Gifts", "A <b>café</b> soap", ""];
    assert_eq!(texts, expected);
    let log = data.interactions();
    assert_eq!((log.items(), log.order()), (&[0, 1, 2][..], &[30, 20, 10][..]));
    assert!(!log.has_labels());
}

#[test]
fn the_2018_release() {
    let mut place = place(
        "{\"overall\": 2.0, \"verified\": true, \"reviewerID\": \"A1\", \"asin\": \"B0\", \"unixReviewTime\": 20}\n",
        "{\"category\": [\"Beauty\", \"Hair\"], \"description\": [\"one\", \"two\"], \"title\": \"Comb\", \
          \"brand\": \"\", \"feature\": [\"soft\"], \"asin\": \"B0\"}\n",
    );
    place.import.threshold = Some(4.0);
    amazon(&place.import, &place.out).unwrap();
    let data = DataSet::open(&place.out).unwrap();
    let texts = item_texts(data.items(), None).unwrap();
    assert_eq!(texts, ["Comb. Beauty, Hair. soft. one, two"]);
    assert!(!data.interactions().is_positive(0));
}

#[test]
fn the_2023_release() {
    let place = place(
        "{\"rating\": 5.0, \"title\": \"Love it\", \"asin\": \"B0V\", \"parent_asin\": \"B0\", \
          \"user_id\": \"AE\", \"timestamp\": 1588687728923}\n",
        "{\"main_category\": \"All Beauty\", \"title\": \"Spray\", \"features\": [], \
          \"description\": [], \"store\": \"Herb\", \"categories\": [], \"parent_asin\": \"B0\"}\n\
         {\"title\": \"Spray again\", \"parent_asin\": \"B0\"}\n",
    );
    amazon(&place.import, &place.out).unwrap();
    let data = DataSet::open(&place.out).unwrap();
    assert_eq!(item_texts(data.items(), None).unwrap(), ["Spray. Herb"]);
    assert_eq!(data.interactions().order(), [1588687728923]);
}

/// Drops rows one user or item at a time until none is short: the k-core by its definition.
fn naive_core(mut rows: Vec<(u32, u32)>, k: usize) -> Vec<(u32, u32)> {
    loop {
        let short = rows.iter().copied().find_map(|(user, item)| {
            let users = rows.iter().filter(|row| row.0 == user).count();
            let items = rows.iter().filter(|row| row.1 == item).count();
            if users < k {
                Some((Some(user), None))
            } else if items < k {
                Some((None, Some(item)))
            } else {
                None
            }
        });
        match short {
            None => return rows,
            Some((user, item)) => rows.retain(|row| Some(row.0) != user && Some(row.1) != item),
        }
    }
}

#[test]
fn the_core_filter_agrees_with_its_definition() {
    let mut rng = das_core::streams::stream(1, "test", 0);
    let mut skewed = || (rng.random::<f64>().powi(2) * 40.0) as u32;
    let rows: Vec<(u32, u32)> = (0..250).map(|_| (skewed(), skewed())).collect();
    let expected = naive_core(rows.clone(), 5);
    assert!(!expected.is_empty() && expected.len() < rows.len());
    let reviews: String = rows
        .iter()
        .enumerate()
        .map(|(time, (user, item))| {
            format!(
                "{{\"reviewerID\": \"u{user}\", \"asin\": \"i{item}\", \"overall\": 5, \
                 \"unixReviewTime\": {time}}}\n"
            )
        })
        .collect();
    let mut place = place(&reviews, "");
    (place.import.metadata, place.import.k_core) = (None, Some(5));
    amazon(&place.import, &place.out).unwrap();
    let data = DataSet::open(&place.out).unwrap();
    let log = data.interactions();
    let found: Vec<(String, String)> = (0..log.len())
        .map(|row| {
            let user = data.user_ids().display(log.users()[row] as usize);
            (user, data.item_ids().display(log.items()[row] as usize))
        })
        .collect();
    let expected: Vec<(String, String)> =
        expected.iter().map(|(user, item)| (format!("u{user}"), format!("i{item}"))).collect();
    assert_eq!(found, expected);

    place.import.k_core = Some(100);
    let message = amazon(&place.import, &place.folder.path().join("none")).unwrap_err().to_string();
    assert_says(&message, &["reviews.json.gz", "100-core"]);
}

#[test]
fn faults_are_named_with_their_line() {
    let good = "{\"reviewerID\": \"A\", \"asin\": \"B\", \"overall\": 5, \"unixReviewTime\": 1}\n";
    let error = |reviews: &str, metadata: &str| {
        let place = place(reviews, metadata);
        let message = amazon(&place.import, &place.out).unwrap_err().to_string();
        assert_only(place.folder.path(), &["meta.json.gz", "reviews.json.gz"]);
        message
    };
    let row = |row: &str| error(&format!("{good}{row}\n"), "");
    assert_says(&row("{\"reviewerID\": \"A\""), &["reviews.json.gz: line 2", "not JSON"]);
    assert_says(&row("[]"), &["line 2", "expected an object"]);
    assert_says(&row("{\"asin\": \"B\"}"), &["line 2", "no value for reviewerID or user_id"]);
    let rating =
        "{\"reviewerID\": \"A\", \"asin\": \"B\", \"overall\": \"x\", \"unixReviewTime\": 1}";
    assert_says(&row(rating), &["line 2", "expected a rating, found `x`"]);
    assert_says(
        &error(good, "{'asin': 'B', 'title': \n"),
        &["meta.json.gz: line 1", "Python literal"],
    );
    assert_says(&error(good, "{'title': 'x'}\n"), &["meta.json.gz: line 1", "parent_asin or asin"]);
    assert_says(&error("", ""), &["reviews.json.gz", "no interactions"]);
}

#[test]
fn a_cut_off_archive_is_an_error() {
    let place = place(
        &"{\"reviewerID\": \"A\", \"asin\": \"B\", \"overall\": 5, \"unixReviewTime\": 1}\n"
            .repeat(50),
        "",
    );
    let whole = fs::read(&place.import.reviews).unwrap();
    fs::write(&place.import.reviews, &whole[..whole.len() - 9]).unwrap();
    let message = amazon(&place.import, &place.out).unwrap_err().to_string();
    assert_says(&message, &["reviews.json.gz: line", "cannot read"]);
}
