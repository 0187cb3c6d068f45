//! What is known of users and items beside their IDs.

use das_core::sid::SidTable;

use crate::digest::InputDigest;
use crate::{Error, Result, Sequences};

/// A categorical feature: one value a row, 0 where it is missing or unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoricalField {
    name: String,
    cardinality: u32,
    values: Vec<u32>,
}

impl CategoricalField {
    /// A field of the given `name` whose `values` are all below `cardinality`.
    ///
    /// # Errors
    /// If the cardinality is 0 or a value is out of range.
    pub fn new(
        name: impl Into<String>,
        cardinality: u32,
        values: Vec<u32>,
    ) -> Result<CategoricalField> {
        let name = name.into();
        check_values(&name, cardinality, &values)?;
        Ok(CategoricalField { name, cardinality, values })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of categories, the missing one included.
    pub fn cardinality(&self) -> u32 {
        self.cardinality
    }

    /// The category of every row.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    pub(super) fn digest(&self, digest: &mut InputDigest) {
        digest.bytes(self.name.as_bytes());
        digest.column(&self.values);
    }
}

/// A multi-valued feature, e.g. genres: any number of values a row, of which the embeddings are
/// averaged.
#[derive(Clone, Debug, PartialEq)]
pub struct BagField {
    name: String,
    cardinality: u32,
    bags: Sequences,
}

impl BagField {
    /// A field of the given `name` with the packed values of every row, all below `cardinality`.
    ///
    /// # Errors
    /// If the cardinality is 0 or a value is out of range.
    pub fn new(name: impl Into<String>, cardinality: u32, bags: Sequences) -> Result<BagField> {
        let name = name.into();
        check_values(&name, cardinality, bags.items())?;
        Ok(BagField { name, cardinality, bags })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of different values.
    pub fn cardinality(&self) -> u32 {
        self.cardinality
    }

    /// The values of every row.
    pub fn bags(&self) -> &Sequences {
        &self.bags
    }
}

/// Users and items as a ranker sees them. IDs are row numbers; fields and semantic IDs are
/// optional and have one row for each user or item.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    pub(super) num_users: usize,
    pub(super) num_items: usize,
    pub(super) user_fields: Vec<CategoricalField>,
    pub(super) item_fields: Vec<CategoricalField>,
    pub(super) item_bags: Vec<BagField>,
    pub(super) user_sids: Option<SidTable>,
    pub(super) item_sids: Option<SidTable>,
}

impl Features {
    /// Users and items of which only the number is known.
    pub fn new(num_users: usize, num_items: usize) -> Features {
        Features {
            num_users,
            num_items,
            user_fields: Vec::new(),
            item_fields: Vec::new(),
            item_bags: Vec::new(),
            user_sids: None,
            item_sids: None,
        }
    }

    /// The same with these profile fields of users.
    ///
    /// # Errors
    /// If a field has not one value a user or two have one name.
    pub fn with_user_fields(mut self, fields: Vec<CategoricalField>) -> Result<Features> {
        check_fields("user", self.num_users, &fields)?;
        self.user_fields = fields;
        Ok(self)
    }

    /// The same with these fields of items.
    ///
    /// # Errors
    /// If a field has not one value an item or two have one name.
    pub fn with_item_fields(mut self, fields: Vec<CategoricalField>) -> Result<Features> {
        check_fields("item", self.num_items, &fields)?;
        self.item_fields = fields;
        Ok(self)
    }

    /// The same with these multi-valued fields of items.
    ///
    /// # Errors
    /// If a field has not one bag an item or two have one name.
    pub fn with_item_bags(mut self, bags: Vec<BagField>) -> Result<Features> {
        for bag in &bags {
            check_length("item", bag.name(), self.num_items, bag.bags().len())?;
        }
        check_names("item bag", bags.iter().map(BagField::name))?;
        self.item_bags = bags;
        Ok(self)
    }

    /// The multi-valued fields of items.
    pub fn item_bags(&self) -> &[BagField] {
        &self.item_bags
    }

    /// The same with the semantic IDs of users.
    ///
    /// # Errors
    /// If there is not one for each user.
    pub fn with_user_sids(mut self, sids: SidTable) -> Result<Features> {
        check_length("user", "semantic IDs", self.num_users, sids.len())?;
        self.user_sids = Some(sids);
        Ok(self)
    }

    /// The same with the semantic IDs of items, which candidates and histories share.
    ///
    /// # Errors
    /// If there is not one for each item.
    pub fn with_item_sids(mut self, sids: SidTable) -> Result<Features> {
        check_length("item", "semantic IDs", self.num_items, sids.len())?;
        self.item_sids = Some(sids);
        Ok(self)
    }

    /// Number of users.
    pub fn num_users(&self) -> usize {
        self.num_users
    }

    /// Number of items.
    pub fn num_items(&self) -> usize {
        self.num_items
    }

    pub(super) fn digest(&self, digest: &mut InputDigest) {
        self.user_fields.iter().chain(&self.item_fields).for_each(|field| field.digest(digest));
        for bag in &self.item_bags {
            digest.bytes(bag.name().as_bytes());
            digest.sequences(bag.bags());
        }
        for sids in [&self.user_sids, &self.item_sids] {
            digest.column(sids.as_ref().map_or(&[], SidTable::codes));
        }
    }
}

/// Checks that each row has one value of each field, and that names differ.
pub(super) fn check_fields(entity: &str, rows: usize, fields: &[CategoricalField]) -> Result<()> {
    for field in fields {
        check_length(entity, field.name(), rows, field.values().len())?;
    }
    check_names(entity, fields.iter().map(CategoricalField::name))
}

fn check_length(entity: &str, name: &str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{entity} `{name}`: expected {expected} rows, one for each {entity}, found {found}"
    )))
}

fn check_names<'a>(entity: &str, names: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    for (at, name) in names.clone().enumerate() {
        if names.clone().take(at).any(|other| other == name) {
            return Err(Error::Invalid(format!("two {entity} fields are named `{name}`")));
        }
    }
    Ok(())
}

fn check_values(name: &str, cardinality: u32, values: &[u32]) -> Result<()> {
    if cardinality == 0 {
        return Err(Error::Invalid(format!("field `{name}`: expected at least one category")));
    }
    match values.iter().position(|&value| value >= cardinality) {
        None => Ok(()),
        Some(at) => Err(Error::Invalid(format!(
            "field `{name}`: value {at} is {}, expected less than {cardinality}",
            values[at]
        ))),
    }
}
