//! Foreign tables as records of named cells: CSV, JSON lines and Parquet, `.gz` for the texts.

mod csv;
mod jsonl;
mod parquet;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use jsonl::cell as json_cell;

use crate::table::Cell;
use crate::{Error, Result};

/// The longest line of a text file; a longer one is no record but a broken or hostile file.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// The format of a foreign table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Delimited text, UTF-8, quoted as RFC 4180 says.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Parquet.
    Parquet,
}

impl Format {
    /// The format that a file's name tells, `.gz` disregarded.
    pub fn of(path: &Path) -> Result<Format> {
        match extension(path).as_str() {
            "csv" | "tsv" => Ok(Format::Csv),
            "jsonl" | "ndjson" | "json" => Ok(Format::Jsonl),
            "parquet" => Ok(Format::Parquet),
            other => {
                let message = format!(
                    "cannot tell the format from the extension `{other}`, expected .csv, .tsv, \
                     .jsonl (these also with .gz) or .parquet"
                );
                Err(Error::file(path, message))
            }
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Format> {
        match name {
            "csv" => Ok(Format::Csv),
            "jsonl" => Ok(Format::Jsonl),
            "parquet" => Ok(Format::Parquet),
            _ => Err(Error::Config(format!(
                "unknown format `{name}`, expected one of csv, jsonl, parquet"
            ))),
        }
    }
}

/// A foreign table and how to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The field separator of CSV, an ASCII character; by default a tab for `.tsv`, else a
    /// comma.
    pub delimiter: Option<u8>,
    /// Whether the first record of CSV names the columns; without names they are `0`, `1`, ….
    pub header: bool,
}

impl Source {
    /// A file in `format` with that format's defaults.
    pub fn new(path: impl Into<PathBuf>, format: Format) -> Source {
        Source { path: path.into(), format, delimiter: None, header: true }
    }

    /// Hands every record to `visit`, in file order. With `columns` given, these must exist
    /// (for JSON lines, each record is asked on its own) and others may be left out.
    pub(crate) fn visit(
        &self,
        columns: Option<&[&str]>,
        visit: &mut dyn FnMut(&Record<'_>) -> Result<()>,
    ) -> Result<()> {
        match self.format {
            Format::Csv => csv::visit(self, columns, visit),
            Format::Jsonl => jsonl::visit(&self.path, visit),
            Format::Parquet => parquet::visit(&self.path, columns, visit),
        }
    }
}

/// The place of a record, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At<'a> {
    Line(&'a Path, u64),
    Row(&'a Path, usize),
}

impl At<'_> {
    pub(crate) fn error(self, message: impl Into<String>) -> Error {
        match self {
            At::Line(path, line) => Error::line(path, line, message),
            At::Row(path, row) => Error::row(path, row, message),
        }
    }
}

/// One record of a foreign table.
pub(crate) struct Record<'a> {
    pub(crate) at: At<'a>,
    pub(crate) cells: Vec<(&'a str, Cell<'a>)>,
}

impl Record<'_> {
    /// The single value of a column, if it has one.
    pub(crate) fn text(&self, column: &str) -> Option<&str> {
        self.cells.iter().find(|(name, _)| *name == column).and_then(|(_, cell)| cell.as_text())
    }

    /// The single value of a column, which must be there.
    pub(crate) fn require(&self, column: &str) -> Result<&str> {
        self.text(column).ok_or_else(|| self.at.error(format!("no value for `{column}`")))
    }
}

/// Opens a text file, decompressing `.gz` on the way.
pub(crate) fn open_text(path: &Path) -> Result<Box<dyn BufRead>> {
    let file = File::open(path).map_err(Error::io(path, "cannot read"))?;
    let reader = BufReader::with_capacity(1 << 18, file);
    Ok(if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
        let decoder = flate2::bufread::MultiGzDecoder::new(reader);
        Box::new(BufReader::with_capacity(1 << 18, decoder))
    } else {
        Box::new(reader)
    })
}

/// Hands each line that is not blank to `visit`, with its number, without the line end.
pub(crate) fn visit_lines(
    path: &Path,
    visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut input = open_text(path)?;
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        let read = Read::take(&mut input, MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::line(path, number, format!("cannot read: {error}")))?;
        if read == 0 {
            return Ok(());
        }
        if line.len() as u64 == MAX_LINE_BYTES {
            return Err(Error::line(path, number, "longer than 64 MiB"));
        }
        let line = line.trim_ascii();
        if !line.is_empty() {
            visit(number, line)?;
        }
    }
}

/// The error for bytes that are not UTF-8.
pub(crate) fn not_utf8(path: &Path, line: u64) -> Error {
    let message = "not UTF-8; convert the file first, e.g. `iconv -f latin1 -t utf-8`";
    Error::line(path, line, message)
}

/// The lower-case extension below a `.gz`.
fn extension(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map_or(String::new(), |(_, extension)| extension.to_owned())
}
