//! The ID of a new entity under the artifact's collision policy.

use das_core::sid::collision::nearest_free;
use das_core::sid::{CollisionPolicy, LastLevel};
use redb::ReadableTable;

use super::keys;
use super::store::{Tables, range};
use crate::artifact::ServedSide;

/// The ID of a new entity with the `learned` codes, told apart from all that `sides` were published with
/// (at least one, all of the same ID space) and all in `tables`, as [`das_core::sid::collision::extend`] would:
///
/// - `suffix`: the next number after those of the same codes;
/// - `greedy`, `sinkhorn`: where the ID is taken, the nearest last code that is free behind the codes before
///   it; where none is free, the learned codes, shared;
/// - `none`: the learned codes.
///
/// `last` holds the last level of this entity alone; policies that reassign it need it.
pub(super) fn assign(
    sides: &[&ServedSide],
    tables: &Tables<'_>,
    learned: &[u32],
    last: Option<&LastLevel<'_>>,
) -> Result<Vec<u32>, redb::StorageError> {
    match (sides[0].layout().collision(), last) {
        (CollisionPolicy::Suffix, _) => {
            Ok([learned, &[next_suffix(sides, tables, learned)?]].concat())
        }
        (CollisionPolicy::None, _) | (_, None) => Ok(learned.to_vec()),
        (CollisionPolicy::Greedy | CollisionPolicy::Sinkhorn, Some(last)) => {
            let mut id = learned.to_vec();
            if is_free(sides, tables, &id)? {
                return Ok(id);
            }
            let mut failed = None;
            let place = id.len() - 1;
            let free = nearest_free(last, 0, |code| {
                id[place] = code;
                is_free(sides, tables, &id).unwrap_or_else(|error| {
                    failed.get_or_insert(error);
                    false
                })
            });
            id[place] = free.unwrap_or(learned[place]);
            failed.map_or(Ok(id), Err)
        }
    }
}

/// The number after the largest suffix of the same learned codes; 0 where there is none.
fn next_suffix(
    sides: &[&ServedSide],
    tables: &Tables<'_>,
    learned: &[u32],
) -> Result<u32, redb::StorageError> {
    let published = sides.iter().filter_map(|side| {
        let index = side.index();
        let last = index.places(learned).next_back()?;
        index.codes(index.row_at(last)).last()
    });
    let later = range(&tables.sids, learned)?.next_back().transpose()?;
    let later = later.and_then(|(key, _)| {
        let (codes, _) = keys::sid_of(key.value(), learned.len() + 1)?;
        codes.last().copied()
    });
    Ok(published.chain(later).max().map_or(0, |largest| largest + 1))
}

fn is_free(
    sides: &[&ServedSide],
    tables: &Tables<'_>,
    id: &[u32],
) -> Result<bool, redb::StorageError> {
    let published = sides.iter().any(|side| !side.index().places(id).is_empty());
    Ok(!published && range(&tables.sids, id)?.next().is_none())
}

/// What the store has of an entity in the space of `tables`.
pub(super) fn known(tables: &Tables<'_>, id: &str) -> Result<Option<Vec<u32>>, redb::StorageError> {
    Ok(tables.codes.get(id.as_bytes())?.map(|codes| keys::codes_of(codes.value())))
}
