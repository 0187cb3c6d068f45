//! What a trained ranker remembers of its inputs: their shape, and the IDs it has seen.

use das_core::sid::SidTable;
use serde::{Deserialize, Serialize};

use super::features::{BagField, CategoricalField, Features};
use super::impressions::Impressions;
use crate::{Error, Result};

/// The table row of an ID that training never saw.
pub(super) const UNKNOWN: u32 = 0;

/// The fields that a ranker was trained on, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Schema {
    pub(super) user: EntitySchema,
    pub(super) item: EntitySchema,
    pub(super) context: Vec<FieldSchema>,
}

/// The fields of users or of items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntitySchema {
    pub(super) fields: Vec<FieldSchema>,
    pub(super) bags: Vec<FieldSchema>,
    /// Codes of each learned level of the semantic IDs; empty without them.
    pub(super) sid_levels: Vec<u32>,
}

/// Name and cardinality of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldSchema {
    pub(super) name: String,
    pub(super) cardinality: u32,
}

impl Schema {
    pub(super) fn of(features: &Features, impressions: &Impressions) -> Schema {
        let levels = |sids: &Option<SidTable>| {
            sids.as_ref().map_or(Vec::new(), |sids| sids.layout().codebook_sizes().to_vec())
        };
        Schema {
            user: EntitySchema {
                fields: categorical(&features.user_fields),
                bags: Vec::new(),
                sid_levels: levels(&features.user_sids),
            },
            item: EntitySchema {
                fields: categorical(&features.item_fields),
                bags: features.item_bags.iter().map(FieldSchema::of_bag).collect(),
                sid_levels: levels(&features.item_sids),
            },
            context: categorical(impressions.context()),
        }
    }

    /// Checks that `found`, the inputs of a later call, has the very fields of training.
    pub(super) fn check(&self, found: &Schema) -> Result<()> {
        let parts = [
            ("user fields", &self.user.fields, &found.user.fields),
            ("user bags", &self.user.bags, &found.user.bags),
            ("item fields", &self.item.fields, &found.item.fields),
            ("item bags", &self.item.bags, &found.item.bags),
            ("context fields", &self.context, &found.context),
        ];
        for (what, expected, found) in parts {
            if expected != found {
                return Err(Error::Invalid(format!(
                    "{what}: the ranker was trained on {}, found {}",
                    names(expected),
                    names(found)
                )));
            }
        }
        let sids = [("user", &self.user, &found.user), ("item", &self.item, &found.item)];
        for (what, expected, found) in sids {
            if expected.sid_levels != found.sid_levels {
                return Err(Error::Invalid(format!(
                    "semantic IDs of {what}s: the ranker was trained on levels of {:?} codes, \
                     found {:?}",
                    expected.sid_levels, found.sid_levels
                )));
            }
        }
        Ok(())
    }
}

impl FieldSchema {
    fn of_bag(bag: &BagField) -> FieldSchema {
        FieldSchema { name: bag.name().to_owned(), cardinality: bag.cardinality() }
    }
}

fn categorical(fields: &[CategoricalField]) -> Vec<FieldSchema> {
    let schema = |field: &CategoricalField| FieldSchema {
        name: field.name().to_owned(),
        cardinality: field.cardinality(),
    };
    fields.iter().map(schema).collect()
}

fn names(fields: &[FieldSchema]) -> String {
    let name = |field: &FieldSchema| format!("{} ({})", field.name, field.cardinality);
    if fields.is_empty() {
        return "none".to_owned();
    }
    fields.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The rows of an ID table: one for each ID of the training rows, and [`UNKNOWN`] for all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdRows {
    rows: Vec<u32>,
    known: usize,
}

impl IdRows {
    /// Gives the IDs below `count` that occur in `seen` rows of their own, in ascending order.
    pub(super) fn new(count: usize, seen: impl Iterator<Item = u32>) -> IdRows {
        let mut rows = vec![UNKNOWN; count];
        seen.for_each(|id| rows[id as usize] = 1);
        let mut known = 0;
        for row in rows.iter_mut().filter(|row| **row != UNKNOWN) {
            known += 1;
            *row = known;
        }
        IdRows { rows, known: known as usize }
    }

    /// Takes the rows that [`IdRows::values`] gave.
    ///
    /// # Errors
    /// If they are not ascending from 1 but for the unknown ones.
    pub(super) fn from_values(name: &str, rows: Vec<u32>) -> Result<IdRows> {
        let mut known = 0;
        for (id, &row) in rows.iter().enumerate().filter(|&(_, &row)| row != UNKNOWN) {
            if row != known + 1 {
                let expected = known + 1;
                let message = format!(
                    "tensor `{name}`: ID {id} has row {row}, expected {expected} or {UNKNOWN}"
                );
                return Err(Error::Stored { model: "ranker", message });
            }
            known = row;
        }
        Ok(IdRows { rows, known: known as usize })
    }

    /// The row of an ID, which may be one that came after training.
    pub(super) fn row(&self, id: u32) -> u32 {
        self.rows.get(id as usize).copied().unwrap_or(UNKNOWN)
    }

    /// The row of every ID of training.
    pub(super) fn values(&self) -> &[u32] {
        &self.rows
    }

    /// Rows of the table: the known IDs and the unknown one.
    pub(super) fn table_rows(&self) -> usize {
        self.known + 1
    }
}
