//! Later entities as a table of IDs, to be joined with the artifact's.

use das_core::sid::{SidLayout, SidTable};
use das_core::{EntityIds, Side};

use super::store::Store;
use crate::artifact::Loaded;
use crate::error::{Error, Result};

/// Ids and IDs of the entities of `side` that came after the publication of `loaded`, in its space, in
/// ascending order of their IDs. The layout is the artifact's, but for a suffix that has grown.
pub fn export(store: &Store, loaded: &Loaded, side: Side) -> Result<(EntityIds, SidTable)> {
    let served = loaded.side(side);
    let served = served.ok_or_else(|| Error::Invalid(format!("the artifact has no {side} IDs")))?;
    let layout = served.layout();
    let (mut ids, mut codes) = (Vec::new(), Vec::new());
    if let Some(entries) = store.entries(loaded.id_space(), side, layout.num_digits())? {
        for entry in entries.all().map_err(|error| store.fault(error))? {
            let (own, id) = entry.map_err(|error| store.fault(error))?;
            if served.can_have(&id) && served.index().row_of_text(&id).is_none() {
                ids.push(id);
                codes.extend(own);
            }
        }
    }
    let largest = codes.chunks_exact(layout.num_digits()).filter_map(<[u32]>::last).max();
    let suffix = layout.suffix().map(|width| width.max(largest.map_or(0, |&last| last + 1)));
    let layout = SidLayout::new(layout.codebook_sizes().to_vec(), layout.collision(), suffix)?;
    let ids = match served.index().type_name() {
        "int64" => {
            let numbers = ids.iter().map(|id| id.parse());
            let numbers: Result<Vec<i64>, _> = numbers.collect();
            EntityIds::Int(numbers.map_err(|error| store.fault(format!("an id: {error}")))?)
        }
        _ => EntityIds::Text(ids),
    };
    Ok((ids, SidTable::new(layout, codes)?))
}
