//! Logs in CSV, JSON lines or Parquet, columns named by a mapping.

use std::collections::HashSet;
use std::path::Path;

use das_core::Side;

use super::log::{LogBuilder, LogRow, OrderBuilder};
use super::times::Times;
use super::{ImportReport, write};
use crate::source::{Record, Source};
use crate::tables::read_records;
use crate::write::DataSetWriter;
use crate::{Error, Result};

/// A log and, where the owner has them, tables of its items and users.
#[derive(Clone, Debug, PartialEq)]
pub struct TabularImport {
    /// The log.
    pub log: Source,
    /// Which of its columns is what.
    pub mapping: LogMapping,
    /// The items. Every item of the log must be among them. Without this table the data set's
    /// items have ids alone and no text, so it needs ready-made embeddings.
    pub items: Option<EntitySource>,
    /// The users. Users of the log need not be among them.
    pub users: Option<EntitySource>,
}

/// A table of items or users; every column with text is taken over under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntitySource {
    /// The file.
    pub source: Source,
    /// The id column.
    pub id: String,
}

/// The columns of a foreign log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogMapping {
    /// The user id.
    pub user: String,
    /// The item id.
    pub item: String,
    /// What orders a user's rows.
    pub order: OrderColumn,
    /// Click (1, true) or mere exposure (0, false); excludes `rating`.
    pub label: Option<String>,
    /// A rating from which the label is made.
    pub rating: Option<RatingRule>,
    /// A weight, finite and not negative.
    pub weight: Option<String>,
}

/// What orders a user's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderColumn {
    /// A time: a number of any unit, or an ISO 8601 date (stored in milliseconds).
    Timestamp(String),
    /// An integer place within the user's rows.
    Position(String),
    /// The order of the file.
    File,
}

/// A row is a click where its rating is at least the threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct RatingRule {
    /// The rating's column, a number.
    pub column: String,
    /// The least rating of a click.
    pub threshold: f32,
}

impl LogMapping {
    fn columns(&self) -> Vec<&str> {
        let order = match &self.order {
            OrderColumn::Timestamp(name) | OrderColumn::Position(name) => Some(name),
            OrderColumn::File => None,
        };
        let rating = self.rating.as_ref().map(|rule| &rule.column);
        let optional = [order, self.label.as_ref(), rating, self.weight.as_ref()];
        [&self.user, &self.item]
            .into_iter()
            .chain(optional.into_iter().flatten())
            .map(String::as_str)
            .collect()
    }

    fn order_builder(&self) -> OrderBuilder {
        match self.order {
            OrderColumn::Timestamp(_) => OrderBuilder::Timestamp(Times::new()),
            OrderColumn::Position(_) => OrderBuilder::Position(Vec::new()),
            OrderColumn::File => OrderBuilder::File,
        }
    }

    fn row<'r>(&self, record: &'r Record<'_>) -> Result<LogRow<'r>> {
        let rating = match &self.rating {
            Some(rule) => Some(parse_number(record, &rule.column)?),
            None => None,
        };
        let label = match (&self.label, &self.rating) {
            (Some(column), _) => Some(parse_label(record, column)?),
            (None, Some(rule)) => rating.map(|rating| rating >= rule.threshold),
            (None, None) => None,
        };
        let weight = match &self.weight {
            Some(column) => Some(parse_weight(record, column)?),
            None => None,
        };
        let order = match &self.order {
            OrderColumn::Timestamp(column) | OrderColumn::Position(column) => {
                record.require(column)?
            }
            OrderColumn::File => "",
        };
        let (user, item) = (record.require(&self.user)?, record.require(&self.item)?);
        Ok(LogRow { user, item, order, label, weight, rating })
    }
}

/// Imports a log by its column mapping into a new folder `out`.
pub fn tabular(import: &TabularImport, out: &Path) -> Result<ImportReport> {
    let mapping = &import.mapping;
    if mapping.label.is_some() && mapping.rating.is_some() {
        let message = "a label column and a rating threshold are both given, expected one of them";
        return Err(Error::Config(message.into()));
    }
    let writer = DataSetWriter::create(out)?;
    let read = |source: &Option<EntitySource>, side| {
        source.as_ref().map(|source| read_records(&source.source, side, &source.id)).transpose()
    };
    let items = read(&import.items, Side::Item)?;
    let users = read(&import.users, Side::User)?;
    let known: Option<HashSet<&str>> =
        items.as_ref().map(|items| items.ids().iter().map(String::as_str).collect());

    let mut log = LogBuilder::new(mapping.order_builder());
    import.log.visit(Some(&mapping.columns()), &mut |record| {
        let row = mapping.row(record)?;
        if known.as_ref().is_some_and(|known| !known.contains(row.item)) {
            let message = format!("`{}` {} is not in the items table", mapping.item, row.item);
            return Err(record.at.error(message));
        }
        log.push(record.at, &row)
    })?;
    drop(known);
    write(writer, &import.log.path, log, items, users)
}

fn parse_label(record: &Record<'_>, column: &str) -> Result<bool> {
    let text = record.require(column)?;
    match text.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Ok(true),
        "0" | "0.0" | "false" => Ok(false),
        _ => Err(record.at.error(format!("`{column}`: expected 0 or 1, found `{text}`"))),
    }
}

fn parse_number(record: &Record<'_>, column: &str) -> Result<f32> {
    let text = record.require(column)?;
    text.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| {
        record.at.error(format!("`{column}`: expected a finite number, found `{text}`"))
    })
}

fn parse_weight(record: &Record<'_>, column: &str) -> Result<f32> {
    let weight = parse_number(record, column)?;
    if weight < 0.0 {
        return Err(record.at.error(format!("`{column}`: expected a number ≥ 0, found {weight}")));
    }
    Ok(weight)
}
