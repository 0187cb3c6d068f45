//! Prefix → items, page by page.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Answered, Entity, Method, RequestedSide, Service, check_rows};
use crate::error::Refusal;
use crate::online::Later;
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
        let version = chosen.loaded.version();
        let start = match &request.page {
            None => Start::Published(0),
            Some(page) => Start::parse(page, version, digits)?,
        };
        let index = side.index();
        let places = index.places(&request.prefix);
        let published = places.len();
        let later = service.later(&chosen.loaded, side)?;
        let of_later = match &later {
            Some(later) => later.count(&request.prefix)?,
            None => 0,
        };
        let (skip, after) = match &start {
            Start::Published(skip) => (*skip, None),
            Start::After((codes, _)) if !codes.starts_with(&request.prefix) => {
                return Err(Refusal::invalid("`page`: it is one of another prefix"));
            }
            Start::After(entry) => (published, Some(entry)),
        };
        let entity = |place| {
            let row = index.row_at(place);
            Entity { id: side.id(row), codes: index.codes(row).collect() }
        };
        let mut items: Vec<Entity> = places.skip(skip).take(limit).map(entity).collect();
        let mut next = Some(Start::Published(skip.saturating_add(items.len())))
            .filter(|_| skip.saturating_add(items.len()) < published || of_later > 0);
        if let (Some(later), true) = (&later, items.len() < limit) {
            let room = limit - items.len();
            // One more tells whether there is a next page.
            let mut found = later.with_prefix(&request.prefix, after, room + 1)?;
            let more = found.len() > room;
            found.truncate(room);
            next = found.last().filter(|_| more).cloned().map(Start::After);
            items.extend(
                found.into_iter().map(|(codes, id)| Entity { id: side.id_of_spelling(id), codes }),
            );
        }
        let next = next.map(|next| next.spelled(version));
        Ok(ItemsAnswer { answered: chosen.answered(), total: published + of_later, items, next })
    }

    fn same(a: &ItemsAnswer, b: &ItemsAnswer) -> bool {
        a.items == b.items
    }
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Start {
    /// After so many of publication.
    Published(usize),
    /// After this later one, wherever it stands by then.
    After(Later),
}

impl Start {
    /// As clients get it: the version and a number, or the version, `x`, and the key of the entry.
    fn spelled(&self, version: &str) -> String {
        match self {
            Start::Published(number) => format!("{version}-{number}"),
            Start::After((codes, id)) => {
                let codes = codes.iter().flat_map(|code| code.to_be_bytes());
                let hex = codes.chain(id.bytes()).map(|byte| format!("{byte:02x}"));
                format!("{version}-x{}", hex.collect::<String>())
            }
        }
    }

    /// Reads [`Start::spelled`], if it is of this version.
    fn parse(page: &str, version: &str, digits: usize) -> Result<Start, Refusal> {
        let invalid = || Refusal::invalid("`page`: expected the `next` of the page before");
        let (of, start) = page.split_once('-').ok_or_else(invalid)?;
        let start = match start.strip_prefix('x') {
            None => Start::Published(start.parse().map_err(|_| invalid())?),
            Some(hex) => Start::After(entry_of(hex, digits).ok_or_else(invalid)?),
        };
        if of != version {
            return Err(Refusal::invalid(format!(
                "`page`: it was begun under version {of}, {version} is served now; begin again"
            )));
        }
        Ok(start)
    }
}

fn entry_of(hex: &str, digits: usize) -> Option<Later> {
    let bytes: Option<Vec<u8>> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let bytes = bytes.filter(|_| hex.len().is_multiple_of(2))?;
    let (codes, id) = bytes.split_at_checked(digits * 4)?;
    let (codes, _) = codes.as_chunks::<4>();
    let codes = codes.iter().map(|code| u32::from_be_bytes(*code)).collect();
    Some((codes, std::str::from_utf8(id).ok()?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_of_its_version() {
        let entry = (vec![3, 299], "ä".to_string());
        for start in [Start::Published(17), Start::After(entry)] {
            let page = start.spelled("abc");
            assert_eq!(Start::parse(&page, "abc", 2), Ok(start));
            let refused = Start::parse(&page, "abd", 2).unwrap_err();
            assert!(refused.message.contains("begin again"), "{refused}");
        }
        for bad in [
            "",
            "abc",
            "abc-",
            "abc-x",
            "abc-x0",
            "abc-xzz",
            "abc--1",
            "abc-99999999999999999999999",
        ] {
            assert!(Start::parse(bad, "abc", 2).is_err(), "{bad}");
        }
    }
}
