//! MovieLens (Harper and Konstan 2015, <https://grouplens.org/datasets/movielens/>): the
//! layouts of 100K (`u.data`), of 1M and 10M (`ratings.dat`) and of 20M and later
//! (`ratings.csv`).

use std::borrow::Cow;
use std::path::Path;

use das_core::Side;

use super::log::{LogBuilder, LogRow};
use super::{ImportReport, write};
use crate::source::{At, Format, Source, visit_lines};
use crate::table::{Cell, TableBuilder};
use crate::write::DataSetWriter;
use crate::{Error, Result};

/// How ratings become clicks.
#[derive(Clone, Debug, PartialEq)]
pub struct MovieLensImport {
    /// A row is a click (label 1) where its rating is at least this, else an exposure. `None`:
    /// every row is a click and the log has no labels.
    pub threshold: Option<f32>,
}

impl Default for MovieLensImport {
    fn default() -> MovieLensImport {
        MovieLensImport { threshold: Some(4.0) }
    }
}

/// Genres of 100K in the order of the flags in `u.item`.
const GENRES: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

/// Occupations of 1M by their code in `users.dat`.
const OCCUPATIONS: [&str; 21] = [
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
];

/// Imports the MovieLens folder `source` into a new folder `out`. Items get `title`, `year` and
/// `attributes` (genres); users `age`, `gender` and `occupation` where the layout has them.
pub fn movielens(import: &MovieLensImport, source: &Path, out: &Path) -> Result<ImportReport> {
    let writer = DataSetWriter::create(out)?;
    let mut log = LogBuilder::by_timestamp();
    let mut items = TableBuilder::new(Side::Item);
    let mut users = TableBuilder::new(Side::User);
    if source.join("u.data").exists() {
        ratings(&source.join("u.data"), "\t", import, &mut log)?;
        fields(&source.join("u.item"), "|", 24, &mut |_, f| {
            item_100k(&mut items, f);
            Ok(())
        })?;
        fields(&source.join("u.user"), "|", 5, &mut |_, f| {
            user(&mut users, [f[0], f[1], f[2], f[3]]);
            Ok(())
        })?;
    } else if source.join("ratings.dat").exists() {
        ratings(&source.join("ratings.dat"), "::", import, &mut log)?;
        fields(&source.join("movies.dat"), "::", 3, &mut |_, f| {
            item(&mut items, f[0], f[1], f[2].split('|'));
            Ok(())
        })?;
        if source.join("users.dat").exists() {
            fields(&source.join("users.dat"), "::", 5, &mut |at, f| user_1m(&mut users, at, f))?;
        }
    } else if source.join("ratings.csv").exists() {
        ratings_csv(&source.join("ratings.csv"), import, &mut log)?;
        items_csv(&source.join("movies.csv"), &mut items)?;
    } else {
        let message = "not a MovieLens folder, expected u.data, ratings.dat or ratings.csv in it";
        return Err(Error::file(source, message));
    }
    let users = (!users.ids().is_empty()).then_some(users);
    write(writer, source, log, Some(items), users)
}

/// Hands the fields of each line to `visit`. The older files are Latin-1, some later ones
/// UTF-8; a line that is valid UTF-8 is taken as that.
fn fields(
    path: &Path,
    separator: &str,
    expected: usize,
    visit: &mut dyn FnMut(At<'_>, &[&str]) -> Result<()>,
) -> Result<()> {
    visit_lines(path, &mut |number, bytes| {
        let text: Cow<'_, str> = match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
        };
        let fields: Vec<&str> = text.split(separator).collect();
        let at = At::Line(path, number);
        if fields.len() != expected {
            return Err(at.error(format!("{} fields, expected {expected}", fields.len())));
        }
        visit(at, &fields)
    })
}

fn push_rating(
    log: &mut LogBuilder,
    at: At<'_>,
    import: &MovieLensImport,
    [user, item, rating, time]: [&str; 4],
) -> Result<()> {
    let rating: f32 =
        rating.parse().map_err(|_| at.error(format!("expected a rating, found `{rating}`")))?;
    let label = import.threshold.map(|threshold| rating >= threshold);
    log.push(at, &LogRow { user, item, order: time, label, rating: Some(rating), weight: None })
}

fn ratings(
    path: &Path,
    separator: &str,
    import: &MovieLensImport,
    log: &mut LogBuilder,
) -> Result<()> {
    fields(path, separator, 4, &mut |at, f| push_rating(log, at, import, [f[0], f[1], f[2], f[3]]))
}

fn ratings_csv(path: &Path, import: &MovieLensImport, log: &mut LogBuilder) -> Result<()> {
    let columns = ["userId", "movieId", "rating", "timestamp"];
    Source::new(path, Format::Csv).visit(Some(&columns), &mut |record| {
        let [user, item, rating, time] = columns.map(|column| record.require(column));
        push_rating(log, record.at, import, [user?, item?, rating?, time?])
    })
}

fn items_csv(path: &Path, items: &mut TableBuilder) -> Result<()> {
    let columns = ["movieId", "title", "genres"];
    Source::new(path, Format::Csv).visit(Some(&columns), &mut |record| {
        let genres = record.text("genres").unwrap_or_default();
        let genres = genres.split('|').filter(|&genre| genre != "(no genres listed)");
        item(items, record.require("movieId")?, record.text("title").unwrap_or_default(), genres);
        Ok(())
    })
}

fn item_100k(items: &mut TableBuilder, fields: &[&str]) {
    let flags = fields[5..].iter().zip(GENRES).skip(1);
    item(
        items,
        fields[0],
        fields[1],
        flags.filter(|(flag, _)| **flag == "1").map(|(_, genre)| genre),
    );
}

fn item<'a>(
    items: &mut TableBuilder,
    id: &str,
    title: &str,
    genres: impl Iterator<Item = &'a str>,
) {
    let (title, year) = split_year(title);
    items.begin(id);
    items.set("title", &Cell::Text(title.into()));
    items.set("year", &Cell::Text(year.into()));
    items.set("attributes", &Cell::List(genres.map(Cow::from).collect()));
}

/// `Heat (1995)` → `Heat`, `1995`.
fn split_year(title: &str) -> (&str, &str) {
    let title = title.trim();
    let year = title.strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    match year {
        Some((name, year)) if year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) => {
            (name.trim_end(), year)
        }
        _ => (title, ""),
    }
}

fn user_1m(users: &mut TableBuilder, at: At<'_>, fields: &[&str]) -> Result<()> {
    let occupation =
        fields[3].parse().ok().and_then(|code: usize| OCCUPATIONS.get(code)).ok_or_else(|| {
            at.error(format!("expected an occupation code 0 to 20, found `{}`", fields[3]))
        })?;
    user(users, [fields[0], fields[2], fields[1], occupation]);
    Ok(())
}

fn user(users: &mut TableBuilder, [id, age, gender, occupation]: [&str; 4]) {
    users.begin(id);
    users.set("age", &Cell::from_field(age));
    users.set("gender", &Cell::Text(gender.into()));
    users.set("occupation", &Cell::Text(occupation.into()));
}
