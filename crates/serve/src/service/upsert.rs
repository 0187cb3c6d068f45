//! New entities: content and ids → durable IDs.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::content::contents;
use super::{Answered, Method, RequestedSide, Service, check_id};
use crate::error::Refusal;
use crate::ids::Id;
use crate::lists;
use crate::online::{Status, Upserted};
use crate::registry::Chosen;
use crate::scan::HoldsVectors;
use crate::vectors::Vectors;

/// Asks for durable IDs of entities.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpsertRequest {
    /// Of which side.
    #[serde(default)]
    pub side: RequestedSide,
    /// Whose.
    #[serde(deserialize_with = "lists::list")]
    pub ids: Vec<Id>,
    /// Content vectors, a row an id.
    #[serde(default)]
    pub vectors: Option<Vectors>,
    /// Or texts.
    #[serde(default, deserialize_with = "lists::optional")]
    pub texts: Option<Vec<String>>,
    /// For whom, see [`super::Call::user`].
    #[serde(default)]
    pub user: Option<String>,
}

/// The IDs, in the order of the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpsertAnswer {
    /// By which artifact.
    #[serde(flatten)]
    pub answered: Answered,
    /// A row for each id.
    pub results: Vec<UpsertRow>,
}

/// The ID of an entity, durable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpsertRow {
    /// The id as sent.
    pub id: Id,
    /// Its semantic ID, from now on.
    pub codes: Vec<u32>,
    /// Whether it had it before.
    pub status: Status,
}

impl HoldsVectors for UpsertRequest {
    fn put(&mut self, vectors: Vectors) {
        self.vectors = Some(vectors);
    }
}

/// Gives entities IDs that are told apart from all others under the artifact's collision policy. An
/// entity that has one keeps it. Once this has answered, they are durable.
pub struct Upsert;

impl Method for Upsert {
    const NAME: &'static str = "upsert";
    type Request = UpsertRequest;
    type Answer = UpsertAnswer;

    fn user(request: &UpsertRequest) -> Option<&str> {
        request.user.as_deref()
    }

    fn rows(request: &UpsertRequest) -> usize {
        request.ids.len()
    }

    async fn answer(
        service: &Service,
        chosen: &Chosen,
        deadline: Instant,
        request: UpsertRequest,
    ) -> Result<UpsertAnswer, Refusal> {
        let side = chosen.side(request.side)?;
        let task = service.task(side, request.vectors, request.texts)?;
        let rows = task.rows(&chosen.loaded);
        if request.ids.len() != rows {
            let found = request.ids.len();
            return Err(Refusal::invalid(format!("`ids`: {found} ids for {rows} rows of content")));
        }
        let spelled = |(row, id): (usize, &Id)| {
            check_id("ids", row, id)?;
            let spelled = side.spelled(id);
            spelled.map_err(|why| Refusal::invalid(format!("`ids` row {row}: {why}")))
        };
        let spelled: Vec<String> =
            request.ids.iter().enumerate().map(spelled).collect::<Result<_, _>>()?;
        let rows = spelled.into_iter().zip(contents(side, task)).collect();
        let given =
            service.committer.upsert(side.side(), rows, chosen.loaded.clone(), deadline).await?;
        for status in Status::ALL {
            let rows = given.iter().filter(|given| given.status == status).count();
            service.metrics.upserted(side.side(), status.name(), rows);
        }
        let row = |(id, Upserted { codes, status })| UpsertRow { id, codes, status };
        let results = request.ids.into_iter().zip(given).map(row).collect();
        Ok(UpsertAnswer { answered: chosen.answered(), results })
    }

    fn same(a: &UpsertAnswer, b: &UpsertAnswer) -> bool {
        a.results == b.results
    }
}
