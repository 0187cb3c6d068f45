//! Header and sections of an index file.

use std::ops::Range;

use crate::sid::SidLayout;

pub(super) const MAGIC: [u8; 8] = *b"DASSIDX\0";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 64;
/// Sections begin at multiples of it: a cache line.
pub(super) const ALIGNMENT: usize = 64;

/// What the header says. Sizes follow from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether ids are text; integers otherwise.
    pub(super) text: bool,
    /// Bytes of a code: 1, 2 or 4.
    pub(super) code_bytes: usize,
    /// Digits of an ID.
    pub(super) digits: usize,
    /// Number of ids.
    pub(super) rows: usize,
    /// Bytes of all text ids together; 0 for integers.
    pub(super) text_bytes: usize,
}

/// Where the sections lie in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sections {
    /// Integer ids, or the offsets of text ids.
    pub(super) ids: Range<usize>,
    /// Text ids; empty for integers.
    pub(super) text: Range<usize>,
    pub(super) codes: Range<usize>,
    pub(super) by_sid: Range<usize>,
}

impl Header {
    /// The header of `rows` IDs of `layout`.
    pub(super) fn of(layout: &SidLayout, text: bool, rows: usize, text_bytes: usize) -> Header {
        let widest = layout.widths().max().unwrap_or(1) - 1;
        let code_bytes = match widest {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        };
        Header { text, code_bytes, digits: layout.num_digits(), rows, text_bytes }
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12] = u8::from(self.text);
        bytes[13] = self.code_bytes as u8;
        bytes[14..16].copy_from_slice(&(self.digits as u16).to_le_bytes());
        bytes[16..24].copy_from_slice(&(self.rows as u64).to_le_bytes());
        bytes[24..32].copy_from_slice(&(self.text_bytes as u64).to_le_bytes());
        bytes
    }

    /// Reads a header; says what is wrong with it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Header, String> {
        let Some(bytes) = bytes.get(..HEADER_BYTES) else {
            return Err(format!("{} bytes, expected a header of {HEADER_BYTES}", bytes.len()));
        };
        let array = |at: usize| bytes[at..at + 8].try_into().expect("eight bytes");
        if bytes[..8] != MAGIC {
            return Err("not an index of semantic IDs".into());
        }
        let version = u64::from_le_bytes(array(8)) as u32;
        if version != VERSION {
            return Err(format!("index version {version}, this program reads {VERSION}"));
        }
        let size = |at: usize| {
            usize::try_from(u64::from_le_bytes(array(at))).map_err(|_| "too large".to_string())
        };
        let header = Header {
            text: bytes[12] == 1,
            code_bytes: usize::from(bytes[13]),
            digits: usize::from(u16::from_le_bytes([bytes[14], bytes[15]])),
            rows: size(16)?,
            text_bytes: size(24)?,
        };
        if header.to_bytes() != bytes {
            return Err("a header with unknown fields".into());
        }
        Ok(header)
    }

    /// The sections, the last of which ends with the file; none where that cannot be addressed.
    pub(super) fn sections(&self) -> Option<Sections> {
        let mut end = HEADER_BYTES;
        let mut next = |bytes: usize| {
            let start = end.checked_next_multiple_of(ALIGNMENT)?;
            end = start.checked_add(bytes)?;
            (end <= isize::MAX as usize).then_some(start..end)
        };
        let ids = if self.text { self.rows.checked_add(1)? } else { self.rows };
        let codes = self.rows.checked_mul(self.digits)?.checked_mul(self.code_bytes)?;
        Some(Sections {
            ids: next(ids.checked_mul(8)?)?,
            text: next(self.text_bytes)?,
            codes: next(codes)?,
            by_sid: next(self.rows.checked_mul(4)?)?,
        })
    }
}
