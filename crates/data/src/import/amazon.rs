//! Amazon Reviews: the 2014 (McAuley et al. 2015), 2018 (Ni et al. 2019) and 2023 (Hou et al.
//! 2024) releases, told apart line by line by their field names.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use das_core::Side;
use serde_json::{Map, Value};

use super::log::{LogBuilder, LogRow};
use super::{ImportReport, html, python, write};
use crate::source::{At, json_cell, not_utf8, visit_lines};
use crate::table::{Cell, TableBuilder};
use crate::write::DataSetWriter;
use crate::{Error, Result};

/// The files of a category, `.gz` or not, and how to read them.
#[derive(Clone, Debug, PartialEq)]
pub struct AmazonImport {
    /// The reviews: JSON lines.
    pub reviews: PathBuf,
    /// The metadata: JSON lines, or Python literals as in 2014. Items that it does not describe
    /// are kept without text.
    pub metadata: Option<PathBuf>,
    /// A review is a click (label 1) where its rating is at least this, else an exposure.
    /// `None`: every review is a click, as is usual with these data.
    pub threshold: Option<f32>,
    /// Keep only users and items with at least this many reviews each.
    pub k_core: Option<usize>,
}

/// A line of either file.
type Object = Map<String, Value>;

/// Names of one thing in the releases, the one to prefer first: `parent_asin` is the product,
/// `asin` in 2023 one of its variants.
const USER: &[&str] = &["reviewerID", "user_id"];
const ITEM: &[&str] = &["parent_asin", "asin"];
const RATING: &[&str] = &["overall", "rating"];
const TIME: &[&str] = &["unixReviewTime", "timestamp"];

/// Item columns, each from the first of these fields that has a value.
const ITEM_COLUMNS: [(&str, &[&str]); 5] = [
    ("title", &["title"]),
    ("brand", &["brand", "store"]),
    ("categories", &["categories", "category"]),
    ("features", &["features", "feature"]),
    ("description", &["description"]),
];

/// Imports a category into a new folder `out`. Items get `title`, `brand`, `categories`,
/// `features` and `description`; timestamps keep the release's unit (2023: milliseconds, before:
/// seconds).
pub fn amazon(import: &AmazonImport, out: &Path) -> Result<ImportReport> {
    let writer = DataSetWriter::create(out)?;
    let mut log = LogBuilder::by_timestamp();
    objects(&import.reviews, &mut |at, review| push_review(&mut log, at, import, review))?;
    if let Some(k) = import.k_core {
        log.keep_core(k);
        if log.is_empty() {
            let message = format!("no review is left by the {k}-core filter");
            return Err(Error::file(&import.reviews, message));
        }
    }
    let items = match &import.metadata {
        Some(path) => Some(read_metadata(path, log.item_names())?),
        None => None,
    };
    write(writer, &import.reviews, log, items, None)
}

/// Hands each line's object to `visit`.
fn objects(path: &Path, visit: &mut dyn FnMut(At<'_>, &Object) -> Result<()>) -> Result<()> {
    visit_lines(path, &mut |line, bytes| {
        let text = std::str::from_utf8(bytes).map_err(|_| not_utf8(path, line))?;
        let at = At::Line(path, line);
        match parse(text).map_err(|message| at.error(message))? {
            Value::Object(object) => visit(at, &object),
            _ => Err(at.error("expected an object")),
        }
    })
}

/// A JSON object or, where it is none, a Python literal. The message of a line that is neither
/// speaks of the one that it resembles.
fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).or_else(|json| {
        python::parse(text).map_err(|python| {
            let resembles_python = text.trim_start_matches(['{', ' ']).starts_with('\'');
            if resembles_python { python } else { format!("not JSON: {json}") }
        })
    })
}

fn push_review(
    log: &mut LogBuilder,
    at: At<'_>,
    import: &AmazonImport,
    review: &Object,
) -> Result<()> {
    let [user, item, rating, time] = [USER, ITEM, RATING, TIME].map(|names| scalar(review, names));
    let missing = |names: &[&str]| at.error(format!("no value for {}", names.join(" or ")));
    let user = user.ok_or_else(|| missing(USER))?;
    let item = item.ok_or_else(|| missing(ITEM))?;
    let rating_text = rating.ok_or_else(|| missing(RATING))?;
    let time = time.ok_or_else(|| missing(TIME))?;
    let rating: f32 = rating_text
        .parse()
        .map_err(|_| at.error(format!("expected a rating, found `{rating_text}`")))?;
    let label = import.threshold.map(|threshold| rating >= threshold);
    let row = LogRow {
        user: &user,
        item: &item,
        order: &time,
        label,
        rating: Some(rating),
        weight: None,
    };
    log.push(at, &row)
}

/// The first of the fields that has a single value.
fn scalar<'o>(object: &'o Object, names: &[&str]) -> Option<Cow<'o, str>> {
    names.iter().find_map(|name| match json_cell(object.get(*name)?) {
        Cell::Text(text) | Cell::Number(text) => Some(text),
        Cell::Null | Cell::List(_) => None,
    })
}

/// The described items among `wanted`, in file order; of repeated ones the first.
fn read_metadata(path: &Path, wanted: &[String]) -> Result<TableBuilder> {
    let mut wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    let mut items = TableBuilder::new(Side::Item);
    for (column, _) in ITEM_COLUMNS {
        items.declare(column);
    }
    objects(path, &mut |at, product| {
        let id = scalar(product, ITEM)
            .ok_or_else(|| at.error(format!("no value for {}", ITEM.join(" or "))))?;
        if wanted.remove(id.as_ref()) {
            items.begin(id);
            for (column, names) in ITEM_COLUMNS {
                items.set(column, &text_cell(product, names));
            }
        }
        Ok(())
    })?;
    Ok(items)
}

/// The first of the fields that has a text, its HTML entities replaced.
fn text_cell<'o>(product: &'o Object, names: &[&str]) -> Cell<'o> {
    let cells = names.iter().filter_map(|name| product.get(*name)).map(json_cell);
    match cells.into_iter().find(|cell| *cell != Cell::Null) {
        Some(Cell::Text(text) | Cell::Number(text)) => Cell::Text(clean(&text).into()),
        Some(Cell::List(parts)) => {
            Cell::List(parts.iter().map(|part| clean(part).into()).collect())
        }
        Some(Cell::Null) | None => Cell::Null,
    }
}

/// Entities replaced and runs of white space made one space.
fn clean(text: &str) -> String {
    html::unescape(text).split_whitespace().collect::<Vec<_>>().join(" ")
}
