//! Ids in requests and answers.

use serde::{Deserialize, Serialize};

/// Longest id in bytes; longer ones are refused.
pub const MAX_ID_BYTES: usize = 1024;

/// The id of an entity as its owner writes it: a number or a string. Either spelling of an integer names
/// the same entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected an id: an integer or a string")]
pub enum Id {
    /// An integer id.
    Int(i64),
    /// A string id.
    Text(String),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Id::Int(id) => id.fmt(f),
            Id::Text(id) => f.write_str(id),
        }
    }
}

impl From<i64> for Id {
    fn from(id: i64) -> Id {
        Id::Int(id)
    }
}

impl From<&str> for Id {
    fn from(id: &str) -> Id {
        Id::Text(id.to_string())
    }
}
