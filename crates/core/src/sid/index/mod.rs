//! The IDs of a side as a file that is read in place: ids → codes, prefix → ids.
//!
//! Publication writes it beside the Parquet table. Nothing is copied when it is opened, so a
//! process holds the pages that its lookups touch, and many processes hold them once.
//!
//! ```text
//! header   64 bytes: magic, version, kind of ids, bytes a code, digits, rows, bytes of text
//! ids      ascending; i64 each, or u64 offsets [rows + 1] into text, then the text in UTF-8
//! codes    [rows, digits], row-major, 1, 2 or 4 bytes each, of the ids in their order
//! by_sid   u32 [rows]: the rows in ascending order of (codes, row)
//! ```
//!
//! All numbers are little-endian, every section begins at a multiple of 64 bytes. With integer ids
//! and four digits of 256 codes a row takes 16 bytes: 1.6 GB for 10^8.

mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::SidIndex;
pub use writer::write_index;
