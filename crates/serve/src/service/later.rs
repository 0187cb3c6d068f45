//! Entities that came after publication, as one artifact sees them.

use super::Service;
use crate::artifact::{Loaded, ServedSide};
use crate::error::Refusal;
use crate::ids::Id;
use crate::online::{Entries, Later as Entry};

/// Later entities of a side at one moment, without those that the artifact was published with too.
pub(super) struct Later<'a> {
    entries: Entries,
    side: &'a ServedSide,
}

impl Service {
    /// What came after the publication of `side`, in the space of `loaded`.
    pub(super) fn later<'a>(
        &self,
        loaded: &Loaded,
        side: &'a ServedSide,
    ) -> Result<Option<Later<'a>>, Refusal> {
        let digits = side.layout().num_digits();
        let entries = self.committer.store().entries(loaded.id_space(), side.side(), digits);
        Ok(entries.map_err(Refusal::internal)?.map(|entries| Later { entries, side }))
    }
}

impl Later<'_> {
    /// The ID of an entity.
    pub(super) fn codes_of(&self, id: &Id) -> Result<Option<Vec<u32>>, Refusal> {
        self.side.spelled(id).map_or(Ok(None), |id| self.entries.codes_of(&id))
    }

    /// How many IDs begin with `prefix`.
    pub(super) fn count(&self, prefix: &[u32]) -> Result<usize, Refusal> {
        if !self.side.is_doubled() {
            return self.entries.count(prefix);
        }
        self.own(prefix, None)?.map(|entry| entry.map(|_| 1)).sum()
    }

    /// IDs that begin with `prefix` and whose they are, in ascending order: those after the entry `after`, at most
    /// `limit`.
    pub(super) fn with_prefix(
        &self,
        prefix: &[u32],
        after: Option<&Entry>,
        limit: usize,
    ) -> Result<Vec<Entry>, Refusal> {
        self.own(prefix, after)?.take(limit).collect()
    }

    fn own(
        &self,
        prefix: &[u32],
        after: Option<&Entry>,
    ) -> Result<impl Iterator<Item = Result<Entry, Refusal>> + '_, Refusal> {
        let index = self.side.index();
        let is_own = |(_, id): &Entry| index.row_of_text(id).is_none();
        let entries = self.entries.with_prefix(prefix, after)?;
        Ok(entries.filter(move |entry| entry.as_ref().map_or(true, is_own)))
    }
}
