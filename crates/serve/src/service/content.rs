//! Content in requests: vectors or texts, one a row.

use das_core::Side;

use super::{Service, check_rows};
use crate::artifact::ServedSide;
use crate::batch::Task;
use crate::error::{Kind, Refusal};
use crate::online::Content;
use crate::vectors::Vectors;

impl Service {
    /// The work that encoding takes, after a look at every row.
    pub(super) fn task(
        &self,
        side: &ServedSide,
        vectors: Option<Vectors>,
        texts: Option<Vec<String>>,
    ) -> Result<Task, Refusal> {
        let of: Side = side.side();
        match (vectors, texts) {
            (Some(vectors), None) => {
                check_rows("vectors", vectors.rows(), self.limits.batch_rows)?;
                Ok(Task::Vectors(of, vectors.of_width(side.content_dim())?))
            }
            (None, Some(texts)) => {
                check_rows("texts", texts.len(), self.limits.batch_rows)?;
                let most = self.limits.text_bytes;
                if let Some(row) = texts.iter().position(|text| text.len() > most) {
                    let message = format!(
                        "`texts` row {row}: {} bytes, expected at most {most}",
                        texts[row].len()
                    );
                    return Err(Refusal::new(Kind::TooLarge, message));
                }
                side.embeds_texts()
                    .map_err(|why| Refusal::new(Kind::Unsupported, format!("`texts`: {why}")))?;
                Ok(Task::Texts(of, texts))
            }
            (Some(_), Some(_)) => {
                Err(Refusal::invalid("`vectors` and `texts`: expected one of them, got both"))
            }
            (None, None) => {
                Err(Refusal::invalid("`vectors` or `texts`: expected one of them, got none"))
            }
        }
    }
}

/// Content of every row of a task, as it is kept.
pub(super) fn contents(side: &ServedSide, task: Task) -> Vec<Content> {
    match task {
        Task::Vectors(_, values) => values
            .chunks_exact(side.content_dim())
            .map(|values| {
                let embedder = side.embedder_identity().cloned();
                Content::Vector { embedder, values: values.to_vec() }
            })
            .collect(),
        Task::Texts(_, texts) => texts.into_iter().map(Content::Text).collect(),
        Task::Retrieve { .. } => Vec::new(),
    }
}
