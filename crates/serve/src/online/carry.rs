//! Earlier entities under a new artifact.

use std::sync::Arc;

use das_core::Side;
use das_core::sid::CollisionPolicy;
use redb::ReadableTable;

use super::content::Content;
use super::give::spaces;
use super::store::Store;
use crate::artifact::Loaded;
use crate::error::{Error, Result};

/// Entities of one transaction.
const CHUNK: usize = 4096;

/// What became of earlier entities when an artifact was made ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarriedOver {
    /// Entities that have an ID in its space.
    pub carried: usize,
    /// Entities that it cannot encode, since their content is of another kind or width.
    pub left: usize,
}

/// Whether an artifact can be served with this store: no ID that was given out in its space may be that of another
/// entity there.
///
/// # Errors
/// If `loaded` was published with another ID for an entity than was given out here, or with its ID for another
/// entity.
pub(super) fn check(store: &Store, loaded: &Loaded) -> Result<()> {
    Side::BOTH.into_iter().try_for_each(|side| agrees(store, loaded, side))
}

/// Gives every entity of the store an ID in the space of `loaded`, beside the `active` artifacts. Before anything
/// is given out for it, an artifact is to pass [`check`].
pub(super) fn carry_over(
    store: &Store,
    loaded: &Arc<Loaded>,
    active: &[Arc<Loaded>],
) -> Result<CarriedOver> {
    let mut carried = CarriedOver::default();
    for side in Side::BOTH {
        let Some(contents) = store.contents(side)? else { continue };
        let mut entries = contents.iter().map_err(|error| store.fault(error))?;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            for entry in entries.by_ref().take(CHUNK) {
                let (id, content) = entry.map_err(|error| store.fault(error))?;
                let id = std::str::from_utf8(id.value()).map_err(|error| store.fault(error))?;
                let content = Content::from_bytes(content.value());
                let content = content.ok_or_else(|| store.fault(format!("content of {id}")))?;
                chunk.push((id.to_string(), content));
            }
            if chunk.is_empty() {
                break;
            }
            let rows: Vec<(&str, &Content)> =
                chunk.iter().map(|(id, content)| (id.as_str(), content)).collect();
            let artifacts = std::iter::once(loaded).chain(active).map(|loaded| &**loaded);
            let transaction = store.write()?;
            for space in spaces(artifacts).iter().filter(|space| space.is_of(loaded)) {
                let given = space.give(store, &transaction, side, &rows)?;
                let with = given.iter().flatten().count();
                carried.carried += with;
                carried.left += given.len() - with;
            }
            transaction.commit().map_err(|error| store.fault(error))?;
        }
    }
    Ok(carried)
}

/// IDs given out in this space must be those that the artifact was published with, and nobody else's. Notes which
/// entities stand in both.
fn agrees(store: &Store, loaded: &Loaded, side: Side) -> Result<()> {
    let Some(served) = loaded.side(side) else { return Ok(()) };
    let digits = served.layout().num_digits();
    let Some(entries) = store.entries(loaded.id_space(), side, digits)? else { return Ok(()) };
    // Other policies have entities share an ID, where they must.
    let unique = served.layout().collision() == CollisionPolicy::Suffix;
    let index = served.index();
    let fault = |refusal: crate::error::Refusal| store.fault(refusal);
    for entry in entries.all().map_err(fault)? {
        let (codes, id) = entry.map_err(fault)?;
        let published = index.row_of_text(&id);
        if published.is_some_and(|row| !index.codes(row).eq(codes.iter().copied())) {
            return Err(Error::Invalid(format!(
                "{side} {id} was given the ID {codes:?} in this ID space, and the artifact has \
                 another one for it"
            )));
        }
        if published.is_some() {
            served.set_doubled();
            continue;
        }
        let owner = index.places(&codes).next().map(|place| index.id(index.row_at(place)));
        if let (Some(owner), true) = (owner, unique) {
            return Err(Error::Invalid(format!(
                "{side} {id} was given the ID {codes:?} in this ID space, and the artifact has it \
                 for {owner}"
            )));
        }
    }
    Ok(())
}
