//! One side of an artifact.

use std::sync::atomic::{AtomicBool, Ordering};

use das_content::Embedder;
use das_core::artifact::SideManifest;
use das_core::progress::{Cancel, Silent};
use das_core::sid::SidLayout;
use das_core::sid::index::SidIndex;
use das_core::{IdRef, Side};

use crate::error::Refusal;
use crate::ids::Id;

/// The IDs of one side and what makes its content.
#[derive(Debug)]
pub struct ServedSide {
    pub(super) side: Side,
    pub(super) described: SideManifest,
    pub(super) index: SidIndex,
    /// What embeds texts, or why texts cannot be embedded here.
    pub(super) embedder: Result<Box<dyn Embedder>, String>,
    /// How many ids have each code, level by level, suffix included.
    pub(super) usage: Vec<Vec<u32>>,
    /// Whether the store of later entities may have some that this side was published with after all.
    pub(super) doubled: AtomicBool,
}

impl ServedSide {
    /// Which side.
    pub fn side(&self) -> Side {
        self.side
    }

    /// What the digits mean.
    pub fn layout(&self) -> &SidLayout {
        self.index.layout()
    }

    /// Width of content vectors.
    pub fn content_dim(&self) -> usize {
        self.described.content_dim
    }

    /// The published IDs.
    pub fn index(&self) -> &SidIndex {
        &self.index
    }

    /// How many ids have each code, level by level, suffix included.
    pub fn usage(&self) -> &[Vec<u32>] {
        &self.usage
    }

    /// The identity of what embeds texts, as the manifest tells it; none for ready-made vectors.
    pub fn embedder_identity(&self) -> Option<&serde_json::Value> {
        self.described.embedder.as_ref()
    }

    /// Whether texts can be embedded here; if not, why.
    pub fn embeds_texts(&self) -> Result<(), &str> {
        self.embedder.as_ref().map(drop).map_err(String::as_str)
    }

    /// Content vectors of texts, row-major.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<f32>, Refusal> {
        let embedder = self.embedder.as_ref().map_err(|why| {
            Refusal::new(crate::error::Kind::Unsupported, format!("`texts`: {why}"))
        })?;
        let made = embedder.embed(texts, &Silent, &Cancel::default()).map_err(Refusal::internal)?;
        Ok(made.matrix.values().to_vec())
    }

    /// Whether the store of later entities may have some that this side was published with too, since another
    /// artifact of the same space was not.
    pub fn is_doubled(&self) -> bool {
        self.doubled.load(Ordering::Relaxed)
    }

    /// Notes that it has.
    pub(crate) fn set_doubled(&self) {
        self.doubled.store(true, Ordering::Relaxed);
    }

    /// The row of an id; none where publication did not know it.
    pub fn row_of(&self, id: &Id) -> Option<u32> {
        match id {
            Id::Int(id) => self.index.row_of_int(*id),
            Id::Text(id) => self.index.row_of_text(id),
        }
    }

    /// The id as the artifact spells it; refused where its ids are integers and this is none.
    pub fn spelled(&self, id: &Id) -> Result<String, String> {
        match (self.index.type_name(), id) {
            (_, Id::Int(id)) => Ok(id.to_string()),
            ("int64", Id::Text(text)) => match text.parse::<i64>() {
                Ok(id) => Ok(id.to_string()),
                Err(_) => Err(format!("id {text:?}: expected an int64, as {} ids are", self.side)),
            },
            (_, Id::Text(text)) => Ok(text.clone()),
        }
    }

    /// Whether a spelled id can be one of this side's: where ids are integers, an integer as it is spelled.
    pub fn can_have(&self, id: &str) -> bool {
        self.index.type_name() != "int64"
            || id.parse::<i64>().is_ok_and(|number| number.to_string() == id)
    }

    /// An id of the index as clients get it.
    pub fn id(&self, row: u32) -> Id {
        match self.index.id(row) {
            IdRef::Int(id) => Id::Int(id),
            IdRef::Text(id) => Id::Text(id.to_string()),
        }
    }

    /// A spelled id as clients get it: a number where ids are integers.
    pub fn id_of_spelling(&self, text: String) -> Id {
        match text.parse() {
            Ok(id) if self.index.type_name() == "int64" => Id::Int(id),
            _ => Id::Text(text),
        }
    }
}
