//! Semantic IDs in files: the artifact's Parquet tables, LETTER's `.index.json`, and whatever
//! other tokenizers write.
//!
//! | Format | Content |
//! |---|---|
//! | `*.parquet`, ours | `item_id` or `user_id`, `codes` list, `offset_codes` list (int64) |
//! | `*.parquet`, others | an id column, a list column or one integer column a digit |
//! | `*.index.json` | `{"0": ["<a_17>", "<b_403>"], …}` |
//!
//! Rows keep their order in both directions.

use std::path::Path;

use super::{MAX_CODEBOOK_SIZE, MAX_DIGITS, SidLayout, SidTable};
use crate::{EntityIds, Error, Result, Side};

mod columns;
mod index_json;
mod parquet_read;
mod parquet_write;

pub use index_json::{read_index_json, write_index_json};
pub use parquet_read::read_parquet;
pub(super) use parquet_write::check_rows;
pub use parquet_write::write_parquet;

/// IDs as read from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct SidFile {
    /// Whose IDs, in file order, no two alike.
    pub ids: EntityIds,
    /// Their codes.
    pub table: SidTable,
    /// Which side, where the file's id column says so.
    pub side: Option<Side>,
}

/// Reads any supported ID file by its ending, `.json` or `.parquet`.
///
/// `codebook_sizes` gives the width of every digit. Without it the widths are taken from what
/// the file says about itself, or else from the largest code of each digit, plus one.
pub fn read_any(path: &Path, codebook_sizes: Option<&[u32]>) -> Result<SidFile> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("json") => read_index_json(path, codebook_sizes),
        Some("parquet") => read_parquet(path, codebook_sizes),
        _ => Err(Error::format(path, "not an ID file: expected `.index.json` or `.parquet`")),
    }
}

/// Rows of a file before they are known to make sense together.
struct RawSids {
    ids: EntityIds,
    rows: CodeRows,
    offset_codes: Option<CodeRows>,
    layout: Option<SidLayout>,
    side: Option<Side>,
}

impl RawSids {
    /// Checks ids, widths and offset codes.
    fn finish(self, path: &Path, codebook_sizes: Option<&[u32]>) -> Result<SidFile> {
        if self.ids.is_empty() {
            return Err(Error::format(path, "no IDs: the file has no rows"));
        }
        self.ids.index().map_err(|error| Error::format(path, error.to_string()))?;
        let flat = match &self.offset_codes {
            Some(flat) => Some(self.offsets(path, flat)?),
            None => None,
        };
        let layout = match (codebook_sizes, self.layout) {
            (Some(sizes), _) => SidLayout::learned(sizes.to_vec()),
            (None, Some(layout)) => Ok(layout),
            (None, None) => SidLayout::learned(self.rows.widths(flat.as_deref())),
        }
        .map_err(|error| Error::format(path, error.to_string()))?;
        for (row, codes) in self.rows.codes.chunks_exact(self.rows.digits).enumerate() {
            layout.check(codes).map_err(|e| at_row(path, &self.ids, row, &e.to_string()))?;
        }
        if let Some(found) = flat.filter(|found| *found != layout.offsets()) {
            let expected = layout.offsets();
            let message =
                format!("offset_codes shift the digits by {found:?}, expected {expected:?}");
            return Err(Error::format(path, message));
        }
        let table = SidTable::new(layout, self.rows.codes)?;
        Ok(SidFile { ids: self.ids, table, side: self.side })
    }

    /// What `offset_codes` add to each digit: the same on every row, never falling.
    fn offsets(&self, path: &Path, flat: &CodeRows) -> Result<Vec<u32>> {
        let digits = self.rows.digits;
        let shift = |row: usize| -> Option<Vec<u32>> {
            let codes = &self.rows.codes[row * digits..][..digits];
            flat.codes
                .get(row * digits..(row + 1) * digits)?
                .iter()
                .zip(codes)
                .map(|(f, c)| f.checked_sub(*c))
                .collect()
        };
        let wrong = |row, expected: &str| {
            let found = flat.codes.get(row * flat.digits..(row + 1) * flat.digits);
            let message = format!("offset_codes {found:?}, expected {expected}");
            at_row(path, &self.ids, row, &message)
        };
        if flat.digits != digits {
            return Err(wrong(0, &format!("{digits} values as in `codes`")));
        }
        let first = shift(0)
            .filter(|offsets| offsets[0] == 0 && offsets.is_sorted())
            .ok_or_else(|| wrong(0, "each code plus the widths of the digits before it"))?;
        match (0..self.ids.len()).find(|&row| shift(row).as_ref() != Some(&first)) {
            Some(row) => Err(wrong(row, &format!("`codes` plus {first:?} as in the first row"))),
            None => Ok(first),
        }
    }
}

/// Equally long rows of codes.
#[derive(Default)]
struct CodeRows {
    digits: usize,
    codes: Vec<u32>,
}

impl CodeRows {
    /// Appends a row. The first one sets the length.
    fn push(
        &mut self,
        row: impl ExactSizeIterator<Item = Result<u32, String>>,
    ) -> Result<(), String> {
        if self.codes.is_empty() {
            self.digits = row.len();
            if !(1..=MAX_DIGITS).contains(&self.digits) {
                return Err(format!("{} codes, expected 1 to {MAX_DIGITS}", self.digits));
            }
        }
        if row.len() != self.digits {
            return Err(format!(
                "{} codes, expected {} as in the first row",
                row.len(),
                self.digits
            ));
        }
        row.into_iter().try_for_each(|code| code.map(|code| self.codes.push(code)))
    }

    /// The narrowest widths that fit: up to the next offset where offsets are known, else one
    /// more than the largest code.
    fn widths(&self, offsets: Option<&[u32]>) -> Vec<u32> {
        (0..self.digits)
            .map(|digit| match offsets {
                Some(offsets) if digit + 1 < self.digits => offsets[digit + 1] - offsets[digit],
                _ => self.codes.iter().skip(digit).step_by(self.digits).max().map_or(0, |m| m + 1),
            })
            .collect()
    }
}

/// Refuses codes that no layout can hold.
fn checked_code(code: i64) -> Result<u32, String> {
    u32::try_from(code)
        .ok()
        .filter(|code| *code < MAX_CODEBOOK_SIZE)
        .ok_or_else(|| format!("code {code}, expected 0 to {}", MAX_CODEBOOK_SIZE - 1))
}

/// An error about one row, which it names by number and id.
fn at_row(path: &Path, ids: &EntityIds, row: usize, message: &str) -> Error {
    Error::format(path, format!("row {row}, id {}: {message}", ids.display(row)))
}

#[cfg(test)]
mod tests;
