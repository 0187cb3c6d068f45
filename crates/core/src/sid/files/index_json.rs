//! `.index.json`, the form in which LETTER, LC-Rec and their successors publish IDs.

use std::fmt;
use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};

use super::{CodeRows, RawSids, SidFile, checked_code};
use crate::sid::{SidTable, parse_token, token};
use crate::{EntityIds, Error, Result, files};

/// Reads `{"id": ["<a_17>", …], …}`. Ids become integers if every key is the decimal form of
/// one, else strings.
///
/// Refused, with the id: another token than the digit's place asks for, another number of
/// tokens than the first entry has, a key that occurs twice.
pub fn read_index_json(path: &Path, codebook_sizes: Option<&[u32]>) -> Result<SidFile> {
    let bytes = files::read(path)?;
    let Entries { keys, rows } = serde_json::from_slice(&bytes)
        .map_err(|error| Error::format(path, format!("not an index of IDs: {error}")))?;
    let integers: Option<Vec<i64>> =
        keys.iter().map(|key| key.parse().ok().filter(|id: &i64| id.to_string() == *key)).collect();
    let ids = integers.map_or_else(|| EntityIds::Text(keys), EntityIds::Int);
    let raw = RawSids { ids, rows, offset_codes: None, layout: None, side: None };
    raw.finish(path, codebook_sizes)
}

/// Writes one line per entity, in row order; `path` is replaced atomically.
pub fn write_index_json(path: &Path, ids: &EntityIds, table: &SidTable) -> Result<()> {
    super::parquet_write::check_rows(ids, table)?;
    files::write_atomic(path, |out| {
        out.write_all(b"{")?;
        for (row, codes) in table.rows().enumerate() {
            let tokens: Vec<String> =
                codes.iter().enumerate().map(|(digit, &code)| token(digit, code)).collect();
            out.write_all(if row == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *out, &ids.display(row))?;
            out.write_all(b": ")?;
            serde_json::to_writer(&mut *out, &tokens)?;
        }
        out.write_all(b"\n}\n")
    })
}

/// The entries in file order. A visitor, because a map type would swallow repeated keys.
struct Entries {
    keys: Vec<String>,
    rows: CodeRows,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of token lists")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Entries { keys: Vec::new(), rows: CodeRows::default() };
        while let Some(key) = map.next_key::<String>()? {
            let at_key = |message: String| A::Error::custom(format!("id {key:?}: {message}"));
            let tokens: Vec<String> = map.next_value().map_err(|e| at_key(e.to_string()))?;
            let codes = tokens.iter().enumerate().map(|(digit, token)| {
                let code = parse_token(digit, token).map_err(|error| error.to_string())?;
                checked_code(i64::from(code))
            });
            entries.rows.push(codes).map_err(at_key)?;
            entries.keys.push(key);
        }
        Ok(entries)
    }
}
