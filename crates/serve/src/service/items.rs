//! Prefix → items, page by page.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Answered, Entity, Method, RequestedSide, Service, check_rows};
use crate::error::Refusal;
use crate::registry::Chosen;

/// Items of a page where the request does not say.
const DEFAULT_LIMIT: usize = 100;

/// Asks for the entities whose IDs begin with some codes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsRequest {
    /// Of which side.
    #[serde(default)]
    pub side: RequestedSide,
    /// The first codes; none for all.
    #[serde(default)]
    pub prefix: Vec<u32>,
    /// How many at most.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Where the page before ended, [`ItemsAnswer::next`].
    #[serde(default)]
    pub page: Option<String>,
    /// For whom, see [`super::Call::user`].
    #[serde(default)]
    pub user: Option<String>,
}

/// A page of entities in ascending order of their IDs: those of publication, then later ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemsAnswer {
    /// By which artifact.
    #[serde(flatten)]
    pub answered: Answered,
    /// How many there are on all pages.
    pub total: usize,
    /// Those of this page.
    pub items: Vec<Entity>,
    /// What to ask for to get the next page; none on the last.
    pub next: Option<String>,
}

/// A page of the entities whose IDs begin with a prefix.
pub struct Items;

impl Method for Items {
    const NAME: &'static str = "items";
    type Request = ItemsRequest;
    type Answer = ItemsAnswer;

    fn user(request: &ItemsRequest) -> Option<&str> {
        request.user.as_deref()
    }

    fn rows(request: &ItemsRequest) -> usize {
        request.limit.unwrap_or(DEFAULT_LIMIT)
    }

    async fn answer(
        service: &Service,
        chosen: &Chosen,
        _deadline: Instant,
        request: ItemsRequest,
    ) -> Result<ItemsAnswer, Refusal> {
        let side = chosen.side(request.side)?;
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT.min(service.limits.page_items));
        check_rows("limit", limit, service.limits.page_items)?;
        let digits = side.layout().num_digits();
        if request.prefix.len() > digits {
            let found = request.prefix.len();
            return Err(Refusal::invalid(format!("`prefix`: {found} codes, IDs have {digits}")));
        }
        let start = match &request.page {
            None => 0,
            Some(page) => page_start(page, chosen.loaded.version())?,
        };
        let index = side.index();
        let places = index.places(&request.prefix);
        let published = places.len();
        let later = service.later(&chosen.loaded, side)?;
        let of_later = match &later {
            Some(later) => later.count(&request.prefix)?,
            None => 0,
        };
        let mut items: Vec<Entity> = places
            .skip(start)
            .take(limit)
            .map(|place| {
                let row = index.row_at(place);
                Entity { id: side.id(row), codes: index.codes(row).collect() }
            })
            .collect();
        if let (Some(later), true) = (&later, items.len() < limit) {
            let skip = start.saturating_sub(published);
            let found = later.with_prefix(&request.prefix, skip, limit - items.len())?;
            items.extend(
                found.into_iter().map(|(codes, id)| Entity { id: side.id_of_spelling(id), codes }),
            );
        }
        let (total, end) = (published + of_later, start.saturating_add(items.len()));
        let next = (end < total && !items.is_empty())
            .then(|| format!("{}-{end}", chosen.loaded.version()));
        Ok(ItemsAnswer { answered: chosen.answered(), total, items, next })
    }

    fn same(a: &ItemsAnswer, b: &ItemsAnswer) -> bool {
        a.items == b.items
    }
}

/// Where the page begins, if it was named by this version.
fn page_start(page: &str, version: &str) -> Result<usize, Refusal> {
    let invalid = || Refusal::invalid("`page`: expected the `next` of the page before");
    let (of, start) = page.split_once('-').ok_or_else(invalid)?;
    let start = start.parse().map_err(|_| invalid())?;
    if of != version {
        return Err(Refusal::invalid(format!(
            "`page`: it was begun under version {of}, {version} is served now; begin again"
        )));
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_of_its_version() {
        assert_eq!(page_start("abc-17", "abc"), Ok(17));
        assert!(page_start("abd-17", "abc").unwrap_err().message.contains("begin again"));
        for bad in ["", "abc", "abc-", "abc-x", "abc--1", "abc-99999999999999999999999"] {
            assert!(page_start(bad, "abc").is_err(), "{bad}");
        }
    }
}
