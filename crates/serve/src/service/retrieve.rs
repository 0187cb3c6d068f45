//! History → the next items.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Answered, Method, RequestedSide, Service, check_rows};
use crate::batch::{Done, Task};
use crate::error::{Kind, Refusal};
use crate::ids::Id;
use crate::lists;
use crate::registry::Chosen;

/// Items of a retrieval where the request does not say how many.
const DEFAULT_ITEMS: usize = 20;

/// The beam is made wider by at most so many items that may not be returned.
const MOST_ROOM: usize = 256;

/// Asks what users will click next.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrieveRequest {
    /// Items that each user clicked, from the oldest to the newest. As many of the newest count as the retriever
    /// was trained with; `exclude_seen` leaves out all.
    #[serde(deserialize_with = "lists::nested")]
    pub histories: Vec<Vec<Id>>,
    /// How many items for each.
    #[serde(default)]
    pub k: Option<usize>,
    /// Whether items of the history are left out.
    #[serde(default)]
    pub exclude_seen: bool,
    /// For whom, see [`super::Call::user`].
    #[serde(default)]
    pub user: Option<String>,
}

/// What they are likely to click.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetrieveAnswer {
    /// By which artifact.
    #[serde(flatten)]
    pub answered: Answered,
    /// Items for each history, the most probable first.
    pub results: Vec<Vec<RetrievedItem>>,
    /// Items of each history that the retriever does not know and has passed over.
    pub unknown: Vec<Vec<Id>>,
}

/// A retrieved item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetrievedItem {
    /// Its id.
    pub id: Id,
    /// Its semantic ID.
    pub codes: Vec<u32>,
    /// ln p.
    pub log_probability: f32,
}

/// The items that the artifact's retriever finds most probable after each history. Items that came
/// after publication are not in its catalogue.
pub struct Retrieve;

impl Method for Retrieve {
    const NAME: &'static str = "retrieve";
    const SHADOWED: bool = true;
    type Request = RetrieveRequest;
    type Answer = RetrieveAnswer;

    fn user(request: &RetrieveRequest) -> Option<&str> {
        request.user.as_deref()
    }

    fn rows(request: &RetrieveRequest) -> usize {
        request.histories.len()
    }

    async fn answer(
        service: &Service,
        chosen: &Chosen,
        deadline: Instant,
        request: RetrieveRequest,
    ) -> Result<RetrieveAnswer, Refusal> {
        let side = chosen.side(RequestedSide::Item)?;
        if chosen.loaded.retriever().is_none() {
            let message = "this artifact has no retriever; `das train-retriever` attaches one";
            return Err(Refusal::new(Kind::Unsupported, message));
        }
        check_rows("histories", request.histories.len(), service.limits.histories)?;
        let k = request.k.unwrap_or(DEFAULT_ITEMS.min(service.limits.page_items));
        check_rows("k", k, service.limits.page_items)?;
        let mut unknown = vec![Vec::new(); request.histories.len()];
        let mut histories = Vec::with_capacity(request.histories.len());
        for (history, unknown) in request.histories.into_iter().zip(&mut unknown) {
            check_rows("histories", history.len(), service.limits.lookup_ids)?;
            let mut rows = Vec::with_capacity(history.len());
            for id in history {
                match side.row_of(&id) {
                    Some(row) => rows.push(row),
                    None => unknown.push(id),
                }
            }
            if rows.is_empty() {
                return Err(Refusal::invalid("`histories`: a history without a known item"));
            }
            histories.push(rows);
        }
        let exclude_seen = request.exclude_seen;
        let longest = histories.iter().map(Vec::len).max().unwrap_or(0);
        // In steps, so that requests of about the same length are worked on together.
        let room = if exclude_seen { longest.next_power_of_two().min(MOST_ROOM) } else { 0 };
        let task = Task::Retrieve { histories, k, exclude_seen, room };
        let done = service.batcher.run(chosen.loaded.clone(), task, deadline).await?;
        let Done::Found(found) = done else {
            return Err(Refusal::internal("a retrieval was answered by codes"));
        };
        let index = side.index();
        let item = |found: crate::artifact::Found| RetrievedItem {
            id: side.id(found.row),
            codes: index.codes(found.row).collect(),
            log_probability: found.log_probability,
        };
        let results = found.into_iter().map(|items| items.into_iter().map(item).collect());
        Ok(RetrieveAnswer { answered: chosen.answered(), results: results.collect(), unknown })
    }

    fn same(a: &RetrieveAnswer, b: &RetrieveAnswer) -> bool {
        a.results == b.results
    }
}
