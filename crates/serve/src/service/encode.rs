//! Content → codes.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Answered, Method, RequestedSide, Service};
use crate::batch::Done;
use crate::error::Refusal;
use crate::lists;
use crate::registry::Chosen;
use crate::scan::HoldsVectors;
use crate::vectors::Vectors;

/// Asks for the learned codes of content.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodeRequest {
    /// Of which side.
    #[serde(default)]
    pub side: RequestedSide,
    /// Content vectors, of the width of the artifact's.
    #[serde(default)]
    pub vectors: Option<Vectors>,
    /// Or texts, as the artifact's embedder met them in training.
    #[serde(default, deserialize_with = "lists::optional")]
    pub texts: Option<Vec<String>>,
    /// For whom, see [`super::Call::user`].
    #[serde(default)]
    pub user: Option<String>,
}

/// The codes, in the order of the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncodeAnswer {
    /// By which artifact.
    #[serde(flatten)]
    pub answered: Answered,
    /// The learned codes of every row: the ID without what tells apart entities of equal codes, which only
    /// an entity with an id can have ([`super::Upsert`]).
    pub codes: Vec<Vec<u32>>,
}

impl HoldsVectors for EncodeRequest {
    fn put(&mut self, vectors: Vectors) {
        self.vectors = Some(vectors);
    }
}

/// Content → learned codes. Nothing is kept.
pub struct Encode;

impl Method for Encode {
    const NAME: &'static str = "encode";
    const SHADOWED: bool = true;
    type Request = EncodeRequest;
    type Answer = EncodeAnswer;

    fn user(request: &EncodeRequest) -> Option<&str> {
        request.user.as_deref()
    }

    fn rows(request: &EncodeRequest) -> usize {
        request.vectors.as_ref().map_or(0, Vectors::rows)
            + request.texts.as_ref().map_or(0, Vec::len)
    }

    async fn answer(
        service: &Service,
        chosen: &Chosen,
        deadline: Instant,
        request: EncodeRequest,
    ) -> Result<EncodeAnswer, Refusal> {
        let side = chosen.side(request.side)?;
        let levels = side.layout().num_levels();
        let task = service.task(side, request.vectors, request.texts)?;
        match service.batcher.run(chosen.loaded.clone(), task, deadline).await? {
            Done::Codes(codes) => Ok(EncodeAnswer {
                answered: chosen.answered(),
                codes: codes.chunks_exact(levels).map(<[u32]>::to_vec).collect(),
            }),
            Done::Found(_) => Err(Refusal::internal("an encode was answered by a retrieval")),
        }
    }

    fn same(a: &EncodeAnswer, b: &EncodeAnswer) -> bool {
        a.codes == b.codes
    }
}
