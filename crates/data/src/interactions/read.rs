//! Reading `interactions.parquet`, one column at a time.

use std::path::Path;

use arrow_schema::DataType;
use das_core::{EntityIds, Side};

use super::{Interactions, LogColumns, OrderKind};
use crate::id_column::{ID_TYPES, IdKind, Interner};
use crate::parquet_file::ParquetFile;
use crate::{Error, Result};

const LABEL_TYPES: &str = "0/1 as integer, bool or float";
const WEIGHT_TYPES: &str = "a number";
const TIME_TYPES: &str = "an integer, a timestamp or a finite float";

pub(super) fn read(
    path: &Path,
    item_ids: &EntityIds,
    known_users: Option<&EntityIds>,
) -> Result<(Interactions, EntityIds)> {
    let file = ParquetFile::open(path)?;
    let (users, user_ids) = read_users(&file, known_users)?;
    if users.is_empty() {
        return Err(Error::file(path, "the log has no rows"));
    }
    if u32::try_from(users.len()).is_err() {
        let message = format!("{} rows, expected fewer than 2^32", users.len());
        return Err(Error::file(path, message));
    }
    let items = read_items(&file, item_ids)?;
    let (order_kind, order) = read_order(&file)?;
    let labels = read_labels(&file)?;
    let weights = read_weights(&file)?;
    let lengths = [
        Some(items.len()),
        Some(order.len()),
        labels.as_ref().map(Vec::len),
        weights.as_ref().map(Vec::len),
    ];
    if lengths.into_iter().flatten().any(|length| length != users.len()) {
        return Err(Error::file(path, "the columns differ in length"));
    }
    let columns = LogColumns { users, items, order_kind, order, labels, weights, ratings: None };
    Ok((Interactions::new(user_ids.len(), columns), user_ids))
}

/// The log must write ids as the entity table does: `12` and `"12"` would otherwise be told
/// apart in one place and confused in another.
fn id_kind(file: &ParquetFile, column: &str, table: Option<&EntityIds>) -> Result<IdKind> {
    let field = file.require(column, ID_TYPES)?;
    let kind = IdKind::of(file, field)?;
    match table.map(IdKind::of_ids) {
        Some(IdKind::Int) if kind != IdKind::Int => {
            Err(file.wrong_type(field, "int64, as in the entity table beside it"))
        }
        Some(IdKind::Text) if kind != IdKind::Text => {
            Err(file.wrong_type(field, "string, as in the entity table beside it"))
        }
        _ => Ok(kind),
    }
}

fn read_users(file: &ParquetFile, known: Option<&EntityIds>) -> Result<(Vec<u32>, EntityIds)> {
    let name = Side::User.id_column();
    let mut rows = Vec::new();
    let (new_rows, ids) = match id_kind(file, name, known)? {
        IdKind::Int => {
            let known = if let Some(EntityIds::Int(ids)) = known { ids.clone() } else { vec![] };
            let described = known.len();
            let mut interner = Interner::with_known(known);
            for batch in file.batches(&[name])? {
                let (start, batch) = batch?;
                rows.extend(
                    file.int64(name, start, &batch)?.values().iter().map(|id| interner.row(id)),
                );
            }
            let (ids, new_rows) = interner.into_sorted(described);
            (new_rows, EntityIds::Int(ids))
        }
        IdKind::Text => {
            let known = if let Some(EntityIds::Text(ids)) = known { ids.clone() } else { vec![] };
            let described = known.len();
            let mut interner = Interner::with_known(known);
            for batch in file.batches(&[name])? {
                let (start, batch) = batch?;
                let strings = file.strings(name, start, &batch)?;
                rows.extend(strings.iter().flatten().map(|id| interner.row(id)));
            }
            let (ids, new_rows) = interner.into_sorted(described);
            (new_rows, EntityIds::Text(ids))
        }
    };
    rows.iter_mut().for_each(|row| *row = new_rows[*row as usize]);
    Ok((rows, ids))
}

fn read_items(file: &ParquetFile, item_ids: &EntityIds) -> Result<Vec<u32>> {
    let name = Side::Item.id_column();
    let kind = id_kind(file, name, Some(item_ids))?;
    let index = item_ids.index()?;
    let unknown = |row: usize, id: &dyn std::fmt::Display| {
        Error::row(file.path(), row, format!("item_id {id} is not in the items table"))
    };
    let mut rows = Vec::new();
    for batch in file.batches(&[name])? {
        let (start, batch) = batch?;
        match kind {
            IdKind::Int => {
                for (at, &id) in file.int64(name, start, &batch)?.values().iter().enumerate() {
                    rows.push(index.row_of_int(id).ok_or_else(|| unknown(start + at, &id))?);
                }
            }
            IdKind::Text => {
                let strings = file.strings(name, start, &batch)?;
                for (at, id) in strings.iter().flatten().enumerate() {
                    rows.push(index.row_of_text(id).ok_or_else(|| unknown(start + at, &id))?);
                }
            }
        }
    }
    Ok(rows)
}

fn read_order(file: &ParquetFile) -> Result<(OrderKind, Vec<i64>)> {
    if let Some(field) = file.find("timestamp") {
        let name = field.name();
        let times = match field.data_type() {
            DataType::Timestamp(..) | DataType::Date32 => read_int64(file, name)?,
            data_type if data_type.is_integer() => read_int64(file, name)?,
            data_type if data_type.is_floating() => {
                let times = read_float64(file, name, "a finite number", |time| time.is_finite())?;
                scaled_times(&times).map_err(|m| Error::file(file.path(), m))?
            }
            _ => return Err(file.wrong_type(field, TIME_TYPES)),
        };
        return Ok((OrderKind::Timestamp, times));
    }
    let field = match file.find("position") {
        Some(field) => field,
        None => file.require("timestamp", "that or `position`, integers")?,
    };
    if !field.data_type().is_integer() {
        return Err(file.wrong_type(field, "an integer"));
    }
    Ok((OrderKind::Position, read_int64(file, field.name())?))
}

/// Float times as integers: as they are where all are whole, else in millionths.
pub(crate) fn scaled_times(times: &[f64]) -> Result<Vec<i64>, String> {
    let whole = times.iter().all(|time| time.fract() == 0.0);
    let scale = if whole { 1.0 } else { 1e6 };
    // 2^63 as a float; beyond it a conversion would saturate and orders be lost.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    times
        .iter()
        .map(|&time| {
            let scaled = (time * scale).round();
            if scaled.abs() < LIMIT {
                Ok(scaled as i64)
            } else {
                Err(format!("column `timestamp`: {time} is out of range"))
            }
        })
        .collect()
}

fn read_int64(file: &ParquetFile, name: &str) -> Result<Vec<i64>> {
    let mut values = Vec::new();
    for batch in file.batches(&[name])? {
        let (start, batch) = batch?;
        values.extend_from_slice(file.int64(name, start, &batch)?.values());
    }
    Ok(values)
}

fn read_float64(
    file: &ParquetFile,
    name: &str,
    expected: &str,
    accept: impl Fn(f64) -> bool,
) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    for batch in file.batches(&[name])? {
        let (start, batch) = batch?;
        let batch = file.float64(name, start, &batch)?;
        if let Some(at) = batch.values().iter().position(|&value| !accept(value)) {
            let found = batch.value(at);
            let message = format!("column `{name}`: expected {expected}, found {found}");
            return Err(Error::row(file.path(), start + at, message));
        }
        values.extend_from_slice(batch.values());
    }
    Ok(values)
}

fn read_labels(file: &ParquetFile) -> Result<Option<Vec<bool>>> {
    let Some(field) = file.find("label") else { return Ok(None) };
    let data_type = field.data_type();
    if !(data_type.is_numeric() || *data_type == DataType::Boolean) {
        return Err(file.wrong_type(field, LABEL_TYPES));
    }
    let labels = read_float64(file, field.name(), "0 or 1", |label| label == 0.0 || label == 1.0)?;
    Ok(Some(labels.into_iter().map(|label| label == 1.0).collect()))
}

fn read_weights(file: &ParquetFile) -> Result<Option<Vec<f32>>> {
    let Some(field) = file.find("weight") else { return Ok(None) };
    if !field.data_type().is_numeric() {
        return Err(file.wrong_type(field, WEIGHT_TYPES));
    }
    let accept = |weight: f64| weight >= 0.0 && (weight as f32).is_finite();
    let weights = read_float64(file, field.name(), "a finite number ≥ 0", accept)?;
    Ok(Some(weights.into_iter().map(|weight| weight as f32).collect()))
}
