//! Ids of users and items as their owner writes them: 64-bit integers or strings.

use std::collections::HashMap;
use std::fmt;

use crate::{Error, Result};

/// One id, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdRef<'a> {
    /// An integer id.
    Int(i64),
    /// A string id.
    Text(&'a str),
}

impl fmt::Display for IdRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdRef::Int(id) => id.fmt(f),
            IdRef::Text(id) => f.write_str(id),
        }
    }
}

/// A column of unique ids; a position in it is the dense row number used everywhere inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityIds {
    /// Integer ids.
    Int(Vec<i64>),
    /// String ids.
    Text(Vec<String>),
}

impl EntityIds {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            EntityIds::Int(ids) => ids.len(),
            EntityIds::Text(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `int64` or `string`, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            EntityIds::Int(_) => "int64",
            EntityIds::Text(_) => "string",
        }
    }

    /// The id of a row.
    pub fn get(&self, row: usize) -> IdRef<'_> {
        match self {
            EntityIds::Int(ids) => IdRef::Int(ids[row]),
            EntityIds::Text(ids) => IdRef::Text(&ids[row]),
        }
    }

    /// The id of a row as text, for messages and JSON keys.
    pub fn display(&self, row: usize) -> String {
        self.get(row).to_string()
    }

    /// The ids of `rows`, in that order.
    pub fn select(&self, rows: &[u32]) -> EntityIds {
        match self {
            EntityIds::Int(ids) => EntityIds::Int(rows.iter().map(|&r| ids[r as usize]).collect()),
            EntityIds::Text(ids) => {
                EntityIds::Text(rows.iter().map(|&r| ids[r as usize].clone()).collect())
            }
        }
    }

    /// A map from id to row; an id that occurs twice is an error that names both rows.
    pub fn index(&self) -> Result<IdIndex<'_>> {
        fn build<'a, K: std::hash::Hash + Eq + fmt::Display>(
            keys: impl ExactSizeIterator<Item = K>,
            wrap: fn(HashMap<K, u32>) -> IdIndex<'a>,
        ) -> Result<IdIndex<'a>> {
            let mut map = HashMap::with_capacity(keys.len());
            for (row, key) in keys.enumerate() {
                let entry = map.entry(key);
                if let std::collections::hash_map::Entry::Occupied(first) = &entry {
                    return Err(Error::Invalid(format!(
                        "duplicate id {} in rows {} and {row}",
                        first.key(),
                        first.get()
                    )));
                }
                entry.or_insert(row as u32);
            }
            Ok(wrap(map))
        }
        match self {
            EntityIds::Int(ids) => build(ids.iter().copied(), IdIndex::Int),
            EntityIds::Text(ids) => build(ids.iter().map(String::as_str), IdIndex::Text),
        }
    }
}

/// Id → row, borrowed from an [`EntityIds`].
#[derive(Debug)]
pub enum IdIndex<'a> {
    /// Of integer ids.
    Int(HashMap<i64, u32>),
    /// Of string ids.
    Text(HashMap<&'a str, u32>),
}

impl IdIndex<'_> {
    /// Row of an id, in either spelling.
    pub fn row_of(&self, id: IdRef<'_>) -> Option<u32> {
        match id {
            IdRef::Int(id) => self.row_of_int(id),
            IdRef::Text(id) => self.row_of_text(id),
        }
    }

    /// Row of an integer id; string ids are matched by their decimal spelling.
    pub fn row_of_int(&self, id: i64) -> Option<u32> {
        match self {
            IdIndex::Int(map) => map.get(&id).copied(),
            IdIndex::Text(map) => map.get(id.to_string().as_str()).copied(),
        }
    }

    /// Row of a string id; integer ids are matched by their decimal spelling.
    pub fn row_of_text(&self, id: &str) -> Option<u32> {
        match self {
            IdIndex::Int(map) => id.parse().ok().and_then(|id: i64| map.get(&id).copied()),
            IdIndex::Text(map) => map.get(id).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_rows_by_either_spelling() {
        let ids = EntityIds::Int(vec![7, -3, 40]);
        let index = ids.index().unwrap();
        assert_eq!(index.row_of_int(-3), Some(1));
        assert_eq!(index.row_of_text("40"), Some(2));
        assert_eq!(index.row_of(ids.get(2)), Some(2));
        assert_eq!(index.row_of_text("x"), None);
        let ids = EntityIds::Text(vec!["a".into(), "12".into()]);
        let index = ids.index().unwrap();
        assert_eq!(index.row_of_int(12), Some(1));
        assert_eq!(index.row_of(IdRef::Text("a")), Some(0));
        assert_eq!(index.row_of_text("b"), None);
    }

    #[test]
    fn a_duplicate_names_both_rows() {
        let error = EntityIds::Int(vec![5, 6, 5]).index().unwrap_err().to_string();
        assert!(error.contains("duplicate id 5 in rows 0 and 2"), "{error}");
    }
}
