//! Ranks of targets in what a generative retriever finds.

use das_core::metrics::TiedRank;
use das_recommend::generative::{Seen, target_ranks};
use das_recommend::{Query, Retriever};

use super::Context;
use super::generative::{LAST_CUTOFF, Ranks};
use crate::Result;
use crate::presets::Search;

/// Queries searched between two looks at the progress.
const BLOCK: usize = 256;

/// The rank of what was not found: below every cut-off, and of no worth to the MRR.
const NOT_FOUND: TiedRank = TiedRank { above: u32::MAX as usize, tied: 0 };

/// Ranks among items and among IDs, up to the last cut-off, by beam search or exactly.
pub(super) fn retriever_ranks(
    model: &Retriever,
    queries: &[Query],
    search: &Search,
    context: Context<'_>,
) -> Result<Ranks> {
    let (mut items, mut sids) = (Vec::new(), Vec::new());
    context.progress.begin("searching", Some(queries.len() as u64));
    for block in queries.chunks(BLOCK) {
        context.cancel.check()?;
        let histories: Vec<&[u32]> = block.iter().map(|query| &query.history[..]).collect();
        let found = if search.exact {
            model.exact(&histories, LAST_CUTOFF, Seen::Included)?
        } else {
            let width = search.beam.max(LAST_CUTOFF);
            model.beam_search(&histories, width, LAST_CUTOFF, Seen::Included)?
        };
        for (query, found) in block.iter().zip(&found) {
            let ranks = target_ranks(found, query.target);
            items.push(ranks.map_or(NOT_FOUND, |ranks| ranks.item));
            sids.push(ranks.map_or(NOT_FOUND, |ranks| ranks.sid));
        }
        context.progress.update(items.len() as u64, "");
    }
    context.progress.end();
    Ok(Ranks { items, sids: Some(sids) })
}
