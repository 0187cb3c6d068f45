//! Recommending the next item by the IDs of a history.

use das_core::sid::files::SidFile;
use das_core::sid::index::SidIndex;
use das_recommend::Retriever;
use das_recommend::generative::Seen;

use crate::error::{Error, Refusal, Result};

/// A retriever, and where the items of the index stand in its catalogue.
#[derive(Debug)]
pub struct LoadedRetriever {
    model: Retriever,
    /// The catalogue's row of every row of the index.
    catalogue_of_index: Vec<u32>,
    /// The index's row of every row of the catalogue.
    index_of_catalogue: Vec<u32>,
}

/// An item that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its row in the index.
    pub row: u32,
    /// ln p of the item: that of its ID, shared equally among the items on it.
    pub log_probability: f32,
}

impl LoadedRetriever {
    /// Joins a retriever over the rows of `sids` with the index of the same IDs.
    pub(super) fn new(
        model: Retriever,
        sids: &SidFile,
        index: &SidIndex,
    ) -> Result<LoadedRetriever> {
        let row_of = |row: usize| index.row_of(sids.ids.get(row));
        let index_of_catalogue: Option<Vec<u32>> = (0..sids.table.len()).map(row_of).collect();
        let index_of_catalogue = index_of_catalogue.filter(|rows| rows.len() == index.len());
        let index_of_catalogue = index_of_catalogue
            .ok_or_else(|| Error::Invalid("the index and the table of IDs differ".into()))?;
        let mut catalogue_of_index = vec![0; index.len()];
        for (row, &at) in index_of_catalogue.iter().enumerate() {
            catalogue_of_index[at as usize] = row as u32;
        }
        Ok(LoadedRetriever { model, catalogue_of_index, index_of_catalogue })
    }

    /// For each history, rows of the index from the oldest to the newest, the `k` most probable next
    /// items that a search with the retriever's own beam finds, the best first. `room` is how many items more the beam is
    /// to hold than are asked for.
    pub fn retrieve(
        &self,
        histories: &[Vec<u32>],
        k: usize,
        exclude_seen: bool,
        room: usize,
    ) -> Result<Vec<Vec<Found>>, Refusal> {
        let rows = |history: &Vec<u32>| -> Vec<u32> {
            history.iter().map(|&row| self.catalogue_of_index[row as usize]).collect()
        };
        let histories: Vec<Vec<u32>> = histories.iter().map(rows).collect();
        let histories: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
        let seen = if exclude_seen { Seen::Excluded } else { Seen::Included };
        let width = self.model.config().beam.max(k + room);
        let found =
            self.model.beam_search(&histories, width, k, seen).map_err(Refusal::internal)?;
        let items = |found: Vec<das_recommend::Retrieved>| -> Vec<Found> {
            let mut items: Vec<Found> = found
                .into_iter()
                .flat_map(|id| {
                    let log_probability = id.item_log_probability;
                    let row = |item: u32| self.index_of_catalogue[item as usize];
                    id.items.into_iter().map(move |item| Found { row: row(item), log_probability })
                })
                .collect();
            items.sort_by(|a, b| b.log_probability.total_cmp(&a.log_probability));
            items.truncate(k);
            items
        };
        Ok(found.into_iter().map(items).collect())
    }
}
