//! Columns of entity tables and times as categorical fields.

use std::collections::BTreeMap;

use das_data::{ColumnKind, EntityTable, TextColumn};
use das_recommend::Sequences;
use das_recommend::ranker::{BagField, CategoricalField};

use crate::Result;

/// Numbers with more different values than this are cut into quantile buckets.
const MOST_NUMBERS: usize = 32;

/// Buckets of such a column.
const BUCKETS: usize = 10;

/// Texts with more different values are no category but prose or an identifier.
const MOST_CATEGORIES: usize = 1000;

/// Most values of a list column; the most frequent ones are kept.
const MOST_BAG_VALUES: usize = 5000;

/// One field for each column of `table` that tells groups of entities apart: texts and numbers
/// of few values as they are, numbers of many values in quantile buckets. Columns of all but
/// unique texts, such as titles, and lists are left out.
pub(super) fn categorical(table: &EntityTable) -> Result<Vec<CategoricalField>> {
    let mut fields = Vec::new();
    for column in table.columns() {
        if let Some((cardinality, values)) = encode(column, table.len()) {
            fields.push(CategoricalField::new(column.name(), cardinality, values)?);
        }
    }
    Ok(fields)
}

/// One multi-valued field for each list column.
pub(super) fn bags(table: &EntityTable) -> Result<Vec<BagField>> {
    let lists = table.columns().iter().filter(|column| column.kind() == ColumnKind::List);
    lists.map(|column| bag(column, table.len())).collect()
}

/// Number of categories and the category of each row, 0 for none; nothing for a column that
/// makes no categories.
fn encode(column: &TextColumn, rows: usize) -> Option<(u32, Vec<u32>)> {
    if column.kind() == ColumnKind::List {
        return None;
    }
    let text = |row: usize| Some(column.first(row)).filter(|text| !text.is_empty());
    let counts = count((0..rows).filter_map(text));
    let filled: usize = counts.values().sum();
    if column.kind() == ColumnKind::Number && counts.len() > MOST_NUMBERS {
        let number = |row| text(row)?.parse::<f64>().ok().filter(|number| number.is_finite());
        return buckets(&(0..rows).map(number).collect::<Vec<_>>());
    }
    if counts.len() < 2 || counts.len() > MOST_CATEGORIES || counts.len() * 2 > filled {
        return None;
    }
    let numbers: BTreeMap<&str, u32> = counts.into_keys().zip(1..).collect();
    let value = |row: usize| text(row).map_or(0, |text| numbers[text]);
    Some((numbers.len() as u32 + 1, (0..rows).map(value).collect()))
}

/// Quantile buckets from 1: the number of cuts below a value, plus one. Cuts that coincide make
/// one bucket.
fn buckets(values: &[Option<f64>]) -> Option<(u32, Vec<u32>)> {
    let mut sorted: Vec<f64> = values.iter().copied().flatten().collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let mut cuts: Vec<f64> = (1..BUCKETS).map(|cut| sorted[cut * last / BUCKETS]).collect();
    cuts.dedup();
    let bucket = |value: &Option<f64>| {
        value.map_or(0, |value| cuts.partition_point(|&cut| cut < value) as u32 + 1)
    };
    Some((cuts.len() as u32 + 2, values.iter().map(bucket).collect()))
}

fn bag(column: &TextColumn, rows: usize) -> Result<BagField> {
    let counts = count((0..rows).flat_map(|row| column.parts(row)));
    let mut kept: Vec<(&str, usize)> = counts.into_iter().collect();
    kept.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    kept.truncate(MOST_BAG_VALUES);
    let numbers: BTreeMap<&str, u32> = kept.iter().map(|&(text, _)| text).zip(0..).collect();
    let mut offsets = vec![0];
    let mut values = Vec::new();
    for row in 0..rows {
        values.extend(column.parts(row).filter_map(|part| numbers.get(part)));
        offsets.push(values.len());
    }
    let cardinality = numbers.len().max(1) as u32;
    Ok(BagField::new(column.name(), cardinality, Sequences::new(offsets, values)?)?)
}

fn count<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    texts.for_each(|text| *counts.entry(text).or_default() += 1);
    counts
}

/// Units a second of times that look like a Unix time in seconds, milliseconds or microseconds:
/// all between 1973 and 2099. None for other times.
pub(super) fn units_per_second(times: impl Iterator<Item = i64> + Clone) -> Option<i64> {
    const YEARS: std::ops::Range<i64> = 100_000_000..4_100_000_000;
    let fits = |unit: &i64| times.clone().all(|time| YEARS.contains(&(time / unit)));
    [1, 1_000, 1_000_000].into_iter().find(fits).filter(|_| times.clone().next().is_some())
}

/// Hour of the day and day of the week (UTC) of each time.
pub(super) fn clock(times: &[i64], units_per_second: i64) -> Result<Vec<CategoricalField>> {
    let field = |name, values: i64, of: &dyn Fn(i64) -> i64| {
        let value = |&time: &i64| of(time.div_euclid(units_per_second)).rem_euclid(values) + 1;
        let values_of = times.iter().map(|time| value(time) as u32).collect();
        CategoricalField::new(name, values as u32 + 1, values_of)
    };
    // 1970-01-01 was a Thursday, day 3 of a week that begins on Monday.
    let weekday = |second: i64| second.div_euclid(86_400) + 3;
    Ok(vec![field("hour", 24, &|second| second.div_euclid(3600))?, field("weekday", 7, &weekday)?])
}
