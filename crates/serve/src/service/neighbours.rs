//! The entities that share the longest prefix with one.

use std::ops::Range;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Answered, Method, RequestedSide, Service, check_rows, codes_of};
use crate::error::{Kind, Refusal};
use crate::ids::Id;
use crate::registry::Chosen;

/// Neighbours where the request does not say how many.
const DEFAULT_LIMIT: usize = 20;

/// Asks for the neighbours of an entity, or of codes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighboursRequest {
    /// Of which side.
    #[serde(default)]
    pub side: RequestedSide,
    /// The entity.
    #[serde(default)]
    pub id: Option<Id>,
    /// Or codes, at least one.
    #[serde(default)]
    pub codes: Option<Vec<u32>>,
    /// How many at most.
    #[serde(default)]
    pub limit: Option<usize>,
    /// For whom, see [`super::Call::user`].
    #[serde(default)]
    pub user: Option<String>,
}

/// The neighbours, those that share most digits first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NeighboursAnswer {
    /// By which artifact.
    #[serde(flatten)]
    pub answered: Answered,
    /// The codes whose neighbours they are.
    pub codes: Vec<u32>,
    /// The neighbours; the entity itself is none.
    pub neighbours: Vec<Neighbour>,
}

/// A neighbour.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbour {
    /// Its id.
    pub id: Id,
    /// Its semantic ID.
    pub codes: Vec<u32>,
    /// How many of the first digits it shares, at least one.
    pub shared: usize,
}

/// The entities whose IDs share the longest prefix with that of an entity, or with codes.
pub struct Neighbours;

impl Method for Neighbours {
    const NAME: &'static str = "neighbours";
    type Request = NeighboursRequest;
    type Answer = NeighboursAnswer;

    fn user(request: &NeighboursRequest) -> Option<&str> {
        request.user.as_deref()
    }

    fn rows(request: &NeighboursRequest) -> usize {
        request.limit.unwrap_or(DEFAULT_LIMIT)
    }

    async fn answer(
        service: &Service,
        chosen: &Chosen,
        _deadline: Instant,
        request: NeighboursRequest,
    ) -> Result<NeighboursAnswer, Refusal> {
        let side = chosen.side(request.side)?;
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT.min(service.limits.page_items));
        check_rows("limit", limit, service.limits.page_items)?;
        let later = service.later(&chosen.loaded, side)?;
        let codes = match (&request.id, &request.codes) {
            (Some(id), None) => codes_of(side, later.as_ref(), id)?
                .ok_or_else(|| Refusal::new(Kind::NotFound, format!("`id`: {id} is unknown")))?,
            (None, Some(codes)) => {
                let digits = side.layout().num_digits();
                if codes.is_empty() || codes.len() > digits {
                    let found = codes.len();
                    let message = format!("`codes`: {found} codes, expected 1 to {digits}");
                    return Err(Refusal::invalid(message));
                }
                codes.clone()
            }
            _ => return Err(Refusal::invalid("`id` or `codes`: expected one of them")),
        };
        let own = request.id.as_ref().and_then(|id| side.spelled(id).ok());
        let index = side.index();
        let mut neighbours: Vec<Neighbour> = Vec::new();
        // What shares more digits has been taken already: published places, and later entries.
        let mut taken: Range<u32> = 0..0;
        for shared in (1..=codes.len()).rev() {
            let places = index.places(&codes[..shared]);
            let before = places.start..if taken.is_empty() { places.start } else { taken.start };
            let after = if taken.is_empty() { places.start } else { taken.end }..places.end;
            for place in before.chain(after) {
                if neighbours.len() > limit {
                    break;
                }
                let row = index.row_at(place);
                let codes = index.codes(row).collect();
                neighbours.push(Neighbour { id: side.id(row), codes, shared });
            }
            taken = places;
            if let Some(later) = &later {
                let found = later.with_prefix(&codes[..shared], None, 2 * (limit + 1))?;
                for (found, id) in found {
                    let longer = found.get(..=shared).is_some_and(|more| codes.starts_with(more));
                    if !longer {
                        let id = side.id_of_spelling(id);
                        neighbours.push(Neighbour { id, codes: found, shared });
                    }
                }
            }
            neighbours.retain(|neighbour| own.as_deref() != Some(&neighbour.id.to_string()));
            if neighbours.len() >= limit {
                break;
            }
        }
        neighbours.truncate(limit);
        Ok(NeighboursAnswer { answered: chosen.answered(), codes, neighbours })
    }

    fn same(a: &NeighboursAnswer, b: &NeighboursAnswer) -> bool {
        a.neighbours == b.neighbours
    }
}
