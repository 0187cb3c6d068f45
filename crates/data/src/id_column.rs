//! Id columns: int64 or string, never null.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;

use arrow_schema::{DataType, Field};
use das_core::EntityIds;

use crate::parquet_file::ParquetFile;
use crate::{Error, Result};

pub(crate) const ID_TYPES: &str = "int64 or string";

/// How the ids of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdKind {
    Int,
    Text,
}

impl IdKind {
    /// The kind of a Parquet column; other types are an error.
    pub(crate) fn of(file: &ParquetFile, field: &Field) -> Result<IdKind> {
        match field.data_type() {
            data_type if data_type.is_integer() => Ok(IdKind::Int),
            DataType::Utf8 => Ok(IdKind::Text),
            _ => Err(file.wrong_type(field, ID_TYPES)),
        }
    }

    /// The kind of ids at hand.
    pub(crate) fn of_ids(ids: &EntityIds) -> IdKind {
        match ids {
            EntityIds::Int(_) => IdKind::Int,
            EntityIds::Text(_) => IdKind::Text,
        }
    }
}

/// Reads the id column `name`; ids may repeat.
pub(crate) fn read(file: &ParquetFile, name: &str) -> Result<EntityIds> {
    let kind = IdKind::of(file, file.require(name, ID_TYPES)?)?;
    let mut ids = match kind {
        IdKind::Int => EntityIds::Int(Vec::new()),
        IdKind::Text => EntityIds::Text(Vec::new()),
    };
    for batch in file.batches(&[name])? {
        let (start, batch) = batch?;
        match &mut ids {
            EntityIds::Int(ids) => ids.extend_from_slice(file.int64(name, start, &batch)?.values()),
            EntityIds::Text(ids) => {
                let strings = file.strings(name, start, &batch)?;
                ids.extend(strings.iter().flatten().map(str::to_owned));
            }
        }
    }
    Ok(ids)
}

/// [`read`] for a table in which an id stands once.
pub(crate) fn read_unique(file: &ParquetFile, name: &str) -> Result<EntityIds> {
    let ids = read(file, name)?;
    require_unique(file.path(), name, &ids)?;
    Ok(ids)
}

/// Refuses ids of which two are equal.
pub(crate) fn require_unique(path: &Path, name: &str, ids: &EntityIds) -> Result<()> {
    match ids.index() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::file(path, format!("column `{name}`: {error}"))),
    }
}

/// Numbers ids in the order in which they come.
#[derive(Debug, Default)]
pub(crate) struct Interner<K> {
    rows: HashMap<K, u32>,
    ids: Vec<K>,
}

impl<K: Hash + Eq + Clone + Ord> Interner<K> {
    /// Starts with ids that already have rows; they must be unique.
    pub(crate) fn with_known(ids: Vec<K>) -> Interner<K> {
        let rows = ids.iter().cloned().zip(0..).collect();
        Interner { rows, ids }
    }

    /// The row of `id`, a new one where it was not seen before.
    pub(crate) fn row<Q>(&mut self, id: &Q) -> u32
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(&row) = self.rows.get(id) {
            return row;
        }
        let row = self.ids.len() as u32;
        self.rows.insert(id.to_owned(), row);
        self.ids.push(id.to_owned());
        row
    }

    /// The ids, by row.
    pub(crate) fn ids(&self) -> &[K] {
        &self.ids
    }

    /// Forgets the ids that `rows` do not use, and renumbers `rows`.
    pub(crate) fn compact(&mut self, rows: &mut [u32]) {
        let old = std::mem::take(&mut self.ids);
        self.rows.clear();
        let mut new_rows = vec![None; old.len()];
        for row in rows {
            let old_row = *row as usize;
            *row = *new_rows[old_row].get_or_insert_with(|| self.row(&old[old_row]));
        }
    }

    /// The ids with everything after the first `known` sorted, and the new row of each old one:
    /// an order that does not depend on where in a log an id came first.
    pub(crate) fn into_sorted(self, known: usize) -> (Vec<K>, Vec<u32>) {
        drop(self.rows);
        let mut order: Vec<u32> = (0..self.ids.len() as u32).collect();
        order[known..].sort_by(|&a, &b| self.ids[a as usize].cmp(&self.ids[b as usize]));
        let mut new_rows = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            new_rows[old as usize] = new as u32;
        }
        let ids = order.iter().map(|&old| self.ids[old as usize].clone()).collect();
        (ids, new_rows)
    }
}
