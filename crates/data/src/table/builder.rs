//! Entity tables built row by row from sources whose columns are not known beforehand.

use std::borrow::Cow;
use std::path::Path;

use das_core::{EntityIds, Side};

use super::{ColumnKind, EntityTable, TextColumn};
use crate::Result;

/// A value of a text source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Null, absent, or of a kind that is not text (an object).
    Null,
    Text(Cow<'a, str>),
    /// A number in its canonical spelling.
    Number(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
}

impl<'a> Cell<'a> {
    /// A field of an untyped text format: a number where it is spelled like one.
    pub(crate) fn from_field(field: &'a str) -> Cell<'a> {
        let text = field.trim();
        if text.is_empty() {
            Cell::Null
        } else if is_number(text) {
            Cell::Number(text.into())
        } else {
            Cell::Text(text.into())
        }
    }

    /// The single value, if there is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) | Cell::Number(text) => Some(text),
            Cell::Null | Cell::List(_) => None,
        }
    }

    fn kind(&self) -> Option<ColumnKind> {
        match self {
            Cell::Null => None,
            Cell::Text(_) => Some(ColumnKind::Text),
            Cell::Number(_) => Some(ColumnKind::Number),
            Cell::List(_) => Some(ColumnKind::List),
        }
    }
}

/// Whether a text is a decimal number without the leading zeros that codes have.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    plain && !leading_zero && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Collects rows; a column appears with the first row that names it.
pub(crate) struct TableBuilder {
    side: Side,
    ids: Vec<String>,
    columns: Vec<TextColumn>,
    /// The kind of each column so far, `None` before its first value.
    kinds: Vec<Option<ColumnKind>>,
}

impl TableBuilder {
    pub(crate) fn new(side: Side) -> TableBuilder {
        TableBuilder { side, ids: Vec::new(), columns: Vec::new(), kinds: Vec::new() }
    }

    /// Has a column stand in the table, whether or not a row names it.
    pub(crate) fn declare(&mut self, name: &str) {
        self.column(name);
    }

    /// Begins a row; [`TableBuilder::set`] then fills its cells.
    pub(crate) fn begin(&mut self, id: impl Into<String>) {
        self.finish_row();
        self.ids.push(id.into());
    }

    /// Sets a cell of the row that was begun; of two values for one column the first stays.
    pub(crate) fn set(&mut self, name: &str, cell: &Cell<'_>) {
        let at = self.column(name);
        let column = &mut self.columns[at];
        if column.len() == self.ids.len() {
            return;
        }
        while column.len() + 1 < self.ids.len() {
            column.push([]);
        }
        match cell {
            Cell::Null => column.push([]),
            Cell::Text(text) | Cell::Number(text) => column.push([text.as_ref()]),
            Cell::List(parts) => column.push(parts.iter().map(AsRef::as_ref)),
        }
        self.kinds[at] = merge(self.kinds[at], cell.kind());
    }

    /// The ids so far.
    pub(crate) fn ids(&self) -> &[String] {
        &self.ids
    }

    fn column(&mut self, name: &str) -> usize {
        if let Some(at) = self.columns.iter().position(|column| column.name() == name) {
            return at;
        }
        self.columns.push(TextColumn::new(name, ColumnKind::Text));
        self.kinds.push(None);
        self.columns.len() - 1
    }

    fn finish_row(&mut self) {
        for column in &mut self.columns {
            while column.len() < self.ids.len() {
                column.push([]);
            }
        }
    }

    /// The table, with int64 ids where `integer_ids` says that all are (see [`all_integers`]).
    pub(crate) fn finish(mut self, path: &Path, integer_ids: bool) -> Result<EntityTable> {
        self.finish_row();
        for (column, kind) in self.columns.iter_mut().zip(&self.kinds) {
            column.set_kind(kind.unwrap_or(ColumnKind::Text));
        }
        let ids = typed_ids(self.ids, integer_ids);
        EntityTable::new(self.side, path, ids, self.columns)
    }
}

/// The kind that holds both: lists hold texts, texts hold numbers.
fn merge(a: Option<ColumnKind>, b: Option<ColumnKind>) -> Option<ColumnKind> {
    use ColumnKind::{List, Number, Text};
    match (a, b) {
        (None, kind) | (kind, None) => kind,
        (Some(List), _) | (_, Some(List)) => Some(List),
        (Some(Text), _) | (_, Some(Text)) => Some(Text),
        (Some(Number), Some(Number)) => Some(Number),
    }
}

/// Whether every id is the canonical spelling of a 64-bit integer: `7`, but not `007` or `+7`.
pub(crate) fn all_integers(ids: &[String]) -> bool {
    ids.iter().all(|id| id.parse::<i64>().is_ok_and(|value| value.to_string() == *id))
}

/// Ids as int64 where `integers` is set and they are, else as strings.
pub(crate) fn typed_ids(ids: Vec<String>, integers: bool) -> EntityIds {
    let parsed = integers.then(|| ids.iter().map(|id| id.parse().ok()).collect()).flatten();
    parsed.map_or(EntityIds::Text(ids), EntityIds::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_codes() {
        for number in ["0", "12", "-3.5", "0.25"] {
            assert!(is_number(number), "{number}");
        }
        for text in ["02139", "1e5", "", "-", ".", "1.2.3", "nan", "12a"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn columns_appear_late_and_widen() {
        let mut builder = TableBuilder::new(Side::Item);
        builder.begin("1");
        builder.set("year", &Cell::from_field("1995"));
        builder.begin("2");
        builder.set("title", &Cell::from_field("300"));
        builder.begin("3");
        builder.set("title", &Cell::from_field("Heat"));
        builder.set("tags", &Cell::List(vec!["a".into(), "b".into()]));
        let table = builder.finish(Path::new("memory"), true).unwrap();
        assert_eq!(table.ids(), &EntityIds::Int(vec![1, 2, 3]));
        let kind = |name| table.column(name).unwrap().kind();
        assert_eq!(kind("year"), ColumnKind::Number);
        assert_eq!(kind("title"), ColumnKind::Text);
        assert_eq!(kind("tags"), ColumnKind::List);
        assert_eq!(table.column("title").unwrap().first(1), "300");
        assert!(table.column("tags").unwrap().is_blank(0));
    }
}
