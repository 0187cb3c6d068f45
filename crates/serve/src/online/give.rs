//! IDs for new entities in one ID space.

use das_core::Side;
use das_core::sid::LastLevel;
use redb::WriteTransaction;

use super::assign::{assign, known};
use super::content::{Content, vectors};
use super::keys;
use super::store::{Store, Tables};
use super::{Status, Upserted};
use crate::artifact::{Loaded, ServedSide};
use crate::error::Result;

/// The artifacts of one ID space that are served: the same tokenizer, perhaps other tables.
pub(super) struct Space<'a> {
    name: &'a str,
    members: Vec<&'a Loaded>,
}

/// Artifacts by their ID space, each once.
pub(super) fn spaces<'a>(artifacts: impl IntoIterator<Item = &'a Loaded>) -> Vec<Space<'a>> {
    let mut spaces: Vec<Space<'a>> = Vec::new();
    for loaded in artifacts {
        match spaces.iter_mut().find(|space| space.name == loaded.id_space()) {
            None => spaces.push(Space { name: loaded.id_space(), members: vec![loaded] }),
            Some(space) => {
                if !space.members.iter().any(|member| std::ptr::eq(*member, loaded)) {
                    space.members.push(loaded);
                }
            }
        }
    }
    spaces
}

impl<'a> Space<'a> {
    /// Its name, as manifests have it.
    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    /// Whether it is that of an artifact.
    pub(super) fn is_of(&self, loaded: &Loaded) -> bool {
        self.name == loaded.id_space()
    }

    /// The IDs of entities, given out now where they have none; none for those whose content these
    /// artifacts cannot encode, or where they have no such side.
    pub(super) fn give(
        &self,
        store: &Store,
        transaction: &WriteTransaction,
        side: Side,
        rows: &[(&str, &Content)],
    ) -> Result<Vec<Option<Upserted>>> {
        let sides: Vec<&ServedSide> =
            self.members.iter().filter_map(|loaded| loaded.side(side)).collect();
        let Some(&first) = sides.first() else { return Ok(vec![None; rows.len()]) };
        let mut tables = store.tables(transaction, self.name, side)?;
        let mut given: Vec<Option<Upserted>> = Vec::with_capacity(rows.len());
        for (id, _) in rows {
            given.push(has(store, &mut tables, &sides, id)?);
        }
        // Ids that another artifact's side could have, and this one's could not, have no place here.
        let new =
            (0..rows.len()).filter(|&row| given[row].is_none() && first.can_have(rows[row].0));
        let new: Vec<usize> = new.collect();
        let contents: Vec<&Content> = new.iter().map(|&row| rows[row].1).collect();
        let vectors = vectors(&contents, first);
        let (new, vectors): (Vec<usize>, Vec<Vec<f32>>) =
            new.into_iter().zip(vectors).filter_map(|(row, vector)| Some((row, vector?))).unzip();
        if new.is_empty() {
            return Ok(given);
        }
        let tokenizer = self.members[0].tokenizer();
        let encoded = tokenizer.encode_rows(side, &vectors.concat())?;
        let levels = first.layout().num_levels();
        let dim = encoded.last_residuals.len() / new.len();
        let reassigns = first.layout().collision().reassigns();
        for (at, &row) in new.iter().enumerate() {
            let id = rows[row].0;
            // The same entity may come twice in one transaction.
            let codes = known(&tables, id).map_err(|error| store.fault(error))?;
            if let Some(codes) = codes {
                given[row] = Some(Upserted { codes, status: Status::Known });
                continue;
            }
            let learned = &encoded.codes[at * levels..][..levels];
            let residual = &encoded.last_residuals[at * dim..][..dim];
            // Content so large that the encoder overflows has no code that means anything.
            if !residual.iter().all(|value| value.is_finite()) {
                continue;
            }
            let last = reassigns
                .then(|| LastLevel::new(residual, tokenizer.last_codebook(side), dim))
                .transpose()?;
            let codes = assign(&sides, &tables, learned, last.as_ref());
            let codes = codes.map_err(|error| store.fault(error))?;
            keep(store, &mut tables, id, &codes)?;
            given[row] = Some(Upserted { codes, status: Status::New });
        }
        Ok(given)
    }
}

/// The ID that an entity has already. Where one artifact of the space was published with it and
/// another without, it is kept for the other.
fn has(
    store: &Store,
    tables: &mut Tables<'_>,
    sides: &[&ServedSide],
    id: &str,
) -> Result<Option<Upserted>> {
    let rows: Vec<Option<u32>> = sides.iter().map(|side| side.index().row_of_text(id)).collect();
    if let Some((side, row)) = sides.iter().zip(&rows).find_map(|(side, row)| Some((side, (*row)?)))
    {
        let codes: Vec<u32> = side.index().codes(row).collect();
        if rows.contains(&None) && known(tables, id).map_err(|error| store.fault(error))?.is_none()
        {
            keep(store, tables, id, &codes)?;
            let published = sides.iter().zip(&rows).filter(|(_, row)| row.is_some());
            published.for_each(|(side, _)| side.set_doubled());
        }
        return Ok(Some(Upserted { codes, status: Status::Published }));
    }
    let codes = known(tables, id).map_err(|error| store.fault(error))?;
    Ok(codes.map(|codes| Upserted { codes, status: Status::Known }))
}

fn keep(store: &Store, tables: &mut Tables<'_>, id: &str, codes: &[u32]) -> Result<()> {
    let bytes = keys::of_codes(codes);
    tables.codes.insert(id.as_bytes(), bytes.as_slice()).map_err(|error| store.fault(error))?;
    let key = keys::of_sid(codes, id);
    tables.sids.insert(key.as_slice(), ()).map_err(|error| store.fault(error))?;
    Ok(())
}
