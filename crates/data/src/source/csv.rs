//! Records of delimited text.

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::{At, Record, Source, extension, not_utf8, open_text};
use crate::table::Cell;
use crate::{Error, Result};

pub(super) fn visit(
    source: &Source,
    columns: Option<&[&str]>,
    visit: &mut dyn FnMut(&Record<'_>) -> Result<()>,
) -> Result<()> {
    let path = source.path.as_path();
    let tab = extension(path) == "tsv";
    let delimiter = source.delimiter.unwrap_or(if tab { b'\t' } else { b',' });
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(open_text(path)?);
    let mut names: Option<Vec<String>> = None;
    let mut record = ByteRecord::new();
    loop {
        let more = reader.read_byte_record(&mut record).map_err(|error| explain(source, &error))?;
        if !more {
            break;
        }
        let line = record.position().map_or(0, csv::Position::line);
        let fields = utf8(source, line, &record)?;
        let names = match &mut names {
            Some(names) => names,
            none => {
                let found = column_names(source, &fields);
                require(source, columns, &found)?;
                let names = none.insert(found);
                if source.header {
                    continue;
                }
                names
            }
        };
        let cells = names.iter().map(String::as_str).zip(fields.into_iter().map(Cell::from_field));
        visit(&Record { at: At::Line(path, line), cells: cells.collect() })?;
    }
    match names {
        Some(_) => Ok(()),
        None => Err(Error::file(path, "the file is empty, expected CSV")),
    }
}

fn utf8<'r>(source: &Source, line: u64, record: &'r ByteRecord) -> Result<Vec<&'r str>> {
    record
        .iter()
        .map(|field| std::str::from_utf8(field).map_err(|_| not_utf8(&source.path, line)))
        .collect()
}

fn column_names(source: &Source, first: &[&str]) -> Vec<String> {
    if !source.header {
        return (0..first.len()).map(|at| at.to_string()).collect();
    }
    first.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect()
}

fn require(source: &Source, columns: Option<&[&str]>, names: &[String]) -> Result<()> {
    if let Some(twice) = (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
        let message = format!("the column `{}` occurs twice", names[twice]);
        return Err(Error::file(&source.path, message));
    }
    let missing = columns
        .unwrap_or_default()
        .iter()
        .find(|&&column| !names.iter().any(|name| name == column));
    match missing {
        None => Ok(()),
        Some(column) => Err(Error::MissingColumn {
            path: source.path.clone(),
            column: (*column).to_owned(),
            expected: "a column of the mapping",
            present: names.join(", "),
        }),
    }
}

fn explain(source: &Source, error: &csv::Error) -> Error {
    let message = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, expected {expected_len}")
        }
        _ => format!("cannot read CSV: {error}"),
    };
    match error.position() {
        Some(position) => Error::line(&source.path, position.line(), message),
        None => Error::file(&source.path, message),
    }
}
