//! What an entity is encoded from.

use serde_json::Value;

use crate::artifact::ServedSide;

const TEXT: u8 = 0;
const VECTOR: u8 = 1;

/// The content of an entity as it was sent, kept so that artifacts to come can encode it too.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text, which the artifact embeds.
    Text(String),
    /// A vector of the artifact's width, and which embedder makes such vectors.
    Vector {
        /// The identity of the embedder; none where the artifact was trained on ready-made vectors.
        embedder: Option<Value>,
        /// The values, finite.
        values: Vec<f32>,
    },
}

/// The vectors that `side` encodes, none for content that is not of its kind. Texts are embedded together.
pub(super) fn vectors(contents: &[&Content], side: &ServedSide) -> Vec<Option<Vec<f32>>> {
    let texts: Vec<&str> = contents
        .iter()
        .filter_map(|content| match content {
            Content::Text(text) => Some(text.as_str()),
            Content::Vector { .. } => None,
        })
        .collect();
    let mut embedded = match side.embed(&texts) {
        Ok(values) => {
            values.chunks_exact(side.content_dim()).map(|one| Some(one.to_vec())).collect()
        }
        // One that cannot be embedded is not to be the fault of the others.
        Err(_) => texts.iter().map(|text| side.embed(&[text]).ok()).collect::<Vec<_>>(),
    }
    .into_iter();
    let vector = |content: &&Content| match content {
        Content::Text(_) => embedded.next().flatten(),
        Content::Vector { embedder, values } => {
            let same = embedder.as_ref() == side.embedder_identity();
            (same && values.len() == side.content_dim()).then(|| values.clone())
        }
    };
    contents.iter().map(vector).collect()
}

impl Content {
    /// As it is stored.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Content::Text(text) => [&[TEXT], text.as_bytes()].concat(),
            Content::Vector { embedder, values } => {
                let identity = embedder.as_ref().map_or(String::new(), Value::to_string);
                let mut bytes = vec![VECTOR];
                bytes.extend((identity.len() as u32).to_le_bytes());
                bytes.extend(identity.as_bytes());
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                bytes
            }
        }
    }

    /// Reads [`Content::to_bytes`]; none where the bytes are something else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Content> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            TEXT => Some(Content::Text(String::from_utf8(rest.to_vec()).ok()?)),
            VECTOR => {
                let (length, rest) = rest.split_at_checked(4)?;
                let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
                let (identity, values) = rest.split_at_checked(length)?;
                let embedder = match identity {
                    [] => None,
                    json => Some(serde_json::from_slice(json).ok()?),
                };
                let (values, []) = values.as_chunks::<4>() else { return None };
                let values = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
                Some(Content::Vector { embedder, values })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_read_back_and_damage_is_not() {
        let vector = Content::Vector {
            embedder: Some(serde_json::json!({"kind": "plm", "dim": 2})),
            values: vec![1.5, -0.0],
        };
        let ready_made = Content::Vector { embedder: None, values: vec![] };
        for content in [Content::Text("Öl".into()), vector.clone(), ready_made] {
            assert_eq!(Content::from_bytes(&content.to_bytes()), Some(content));
        }
        let bytes = vector.to_bytes();
        assert_eq!(Content::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Content::from_bytes(&bytes[..6]), None);
        assert_eq!(Content::from_bytes(&[7, 1]), None);
        assert_eq!(Content::from_bytes(&[]), None);
        assert_eq!(Content::from_bytes(&[TEXT, 0xff]), None);
    }
}
