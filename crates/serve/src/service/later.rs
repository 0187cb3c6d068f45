//! Entities that came after publication, as one artifact sees them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Service;
use crate::artifact::{Loaded, ServedSide};
use crate::error::Refusal;
use crate::ids::Id;
use crate::online::{Entries, Later as Entry};

/// Later entities of a side at one moment, without those that the artifact was published with too.
pub(super) struct Later {
    entries: Entries,
    doubled: Arc<BTreeSet<Entry>>,
}

impl Service {
    /// What came after the publication of `side`, in the space of `loaded`.
    pub(super) fn later(
        &self,
        loaded: &Loaded,
        side: &ServedSide,
    ) -> Result<Option<Later>, Refusal> {
        let digits = side.layout().num_digits();
        let entries = self.committer.store().entries(loaded.id_space(), side.side(), digits);
        let entries = entries.map_err(Refusal::internal)?;
        Ok(entries.map(|entries| Later { entries, doubled: side.doubled() }))
    }
}

impl Later {
    /// The ID of an entity.
    pub(super) fn codes_of(&self, side: &ServedSide, id: &Id) -> Result<Option<Vec<u32>>, Refusal> {
        side.spelled(id).map_or(Ok(None), |id| self.entries.codes_of(&id))
    }

    /// How many IDs begin with `prefix`.
    pub(super) fn count(&self, prefix: &[u32]) -> Result<usize, Refusal> {
        let doubled = self.doubled.iter().filter(|(codes, _)| codes.starts_with(prefix)).count();
        Ok(self.entries.count(prefix)?.saturating_sub(doubled))
    }

    /// IDs that begin with `prefix` and whose they are, in ascending order: those after the entry `after`, at most
    /// `limit`.
    pub(super) fn with_prefix(
        &self,
        prefix: &[u32],
        after: Option<&Entry>,
        limit: usize,
    ) -> Result<Vec<Entry>, Refusal> {
        let entries = self.entries.with_prefix(prefix, after)?;
        let own = entries
            .filter(|entry| entry.as_ref().map_or(true, |entry| !self.doubled.contains(entry)));
        own.take(limit).collect()
    }
}
