//! Ids → IDs.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Answered, Method, RequestedSide, Service, check_rows};
use crate::artifact::ServedSide;
use crate::error::Refusal;
use crate::ids::Id;
use crate::lists;
use crate::registry::Chosen;

/// More ids than this are looked up where it holds up nobody else: their pages may have to be read.
const MANY: usize = 500;

/// Asks for the IDs of entities.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRequest {
    /// Of which side.
    #[serde(default)]
    pub side: RequestedSide,
    /// Whose.
    #[serde(deserialize_with = "lists::list")]
    pub ids: Vec<Id>,
    /// For whom, see [`super::Call::user`].
    #[serde(default)]
    pub user: Option<String>,
}

/// The IDs, in the order of the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LookupAnswer {
    /// By which artifact.
    #[serde(flatten)]
    pub answered: Answered,
    /// A row for each id.
    pub results: Vec<LookupRow>,
}

/// What is known of an id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LookupRow {
    /// The id as asked for.
    pub id: Id,
    /// Its semantic ID; none where it is unknown.
    pub codes: Option<Vec<u32>>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

/// Ids → IDs; those that are unknown say so, each for itself.
pub struct Lookup;

impl Method for Lookup {
    const NAME: &'static str = "lookup";
    const SHADOWED: bool = true;
    type Request = LookupRequest;
    type Answer = LookupAnswer;

    fn user(request: &LookupRequest) -> Option<&str> {
        request.user.as_deref()
    }

    fn rows(request: &LookupRequest) -> usize {
        request.ids.len()
    }

    async fn answer(
        service: &Service,
        chosen: &Chosen,
        _deadline: Instant,
        request: LookupRequest,
    ) -> Result<LookupAnswer, Refusal> {
        check_rows("ids", request.ids.len(), service.limits.lookup_ids)?;
        let many = request.ids.len() > MANY;
        let side = chosen.side(request.side)?;
        let ids = request.ids;
        let work = || look_up(service, chosen, side, ids);
        let results = if many { tokio::task::block_in_place(work)? } else { work()? };
        Ok(LookupAnswer { answered: chosen.answered(), results })
    }

    fn same(a: &LookupAnswer, b: &LookupAnswer) -> bool {
        a.results == b.results
    }
}

fn look_up(
    service: &Service,
    chosen: &Chosen,
    side: &ServedSide,
    ids: Vec<Id>,
) -> Result<Vec<LookupRow>, Refusal> {
    let published = |id: &Id| Some(side.index().codes(side.row_of(id)?).collect());
    let found: Vec<Option<Vec<u32>>> = ids.iter().map(published).collect();
    // Published IDs are there whatever becomes of the store of later ones.
    let later = match found.iter().all(Option::is_some) {
        true => None,
        false => service.later(&chosen.loaded, side)?,
    };
    let row = |(id, published): (Id, Option<Vec<u32>>)| {
        let codes = match (published, &later) {
            (Some(codes), _) => Some(codes),
            (None, Some(later)) => later.codes_of(&id)?,
            (None, None) => None,
        };
        let error = codes.is_none().then_some("unknown id");
        Ok(LookupRow { id, codes, error })
    };
    ids.into_iter().zip(found).map(row).collect()
}
