//! Bringing the ids of a log and the rows of an entity table together.

use std::collections::HashMap;
use std::path::Path;

use das_core::{EntityIds, Side};

use crate::Result;
use crate::table::{EntityTable, TableBuilder, all_integers, typed_ids};

/// One side of a log after its source was read whole.
pub(super) struct Resolved {
    /// The ids that rows of the log refer to; the table's come first.
    pub(super) ids: EntityIds,
    /// The row in `ids` of each name of the log.
    pub(super) rows: Vec<u32>,
    /// The table to write; items always have one.
    pub(super) table: Option<EntityTable>,
    /// Names of the log that the source does not describe.
    pub(super) undescribed: usize,
}

impl Resolved {
    /// Names that `described` does not have come after it, ascending. Items among them get a
    /// row without text, since a data set describes every item.
    pub(super) fn new(
        source: &Path,
        side: Side,
        names: &[String],
        described: Option<TableBuilder>,
    ) -> Result<Resolved> {
        let known = described.as_ref().map_or(&[][..], TableBuilder::ids);
        let integers = all_integers(known) && all_integers(names);
        let mut rows_of: HashMap<&str, u32> = known.iter().map(String::as_str).zip(0..).collect();
        let mut extra: Vec<String> =
            names.iter().filter(|name| !rows_of.contains_key(name.as_str())).cloned().collect();
        if integers {
            extra.sort_by_key(|name| name.parse::<i64>().ok());
        } else {
            extra.sort();
        }
        rows_of.extend(extra.iter().map(String::as_str).zip(known.len() as u32..));
        let rows = names.iter().map(|name| rows_of[name.as_str()]).collect();
        let undescribed = extra.len();
        let ids = typed_ids(known.iter().chain(&extra).cloned().collect(), integers);

        let builder = match side {
            Side::User => described,
            Side::Item => {
                let mut builder = described.unwrap_or_else(|| TableBuilder::new(side));
                extra.into_iter().for_each(|id| builder.begin(id));
                Some(builder)
            }
        };
        let table = builder.map(|builder| builder.finish(source, integers)).transpose()?;
        Ok(Resolved { ids, rows, table, undescribed })
    }
}
