//! Arrow columns as ids and codes, whatever integer, string or list type they have.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::DataType;

use crate::EntityIds;

/// Ids collected over batches; a null is refused with its row.
pub(super) enum Ids {
    Int(Vec<i64>),
    Text(Vec<String>),
}

impl Ids {
    pub(super) fn len(&self) -> usize {
        match self {
            Ids::Int(ids) => ids.len(),
            Ids::Text(ids) => ids.len(),
        }
    }

    pub(super) fn display(&self, row: usize) -> String {
        match self {
            Ids::Int(ids) => ids[row].to_string(),
            Ids::Text(ids) => ids[row].clone(),
        }
    }

    pub(super) fn into_entity_ids(self) -> EntityIds {
        match self {
            Ids::Int(ids) => EntityIds::Int(ids),
            Ids::Text(ids) => EntityIds::Text(ids),
        }
    }

    /// Appends a batch's id column to `ids`; `first` is its first row, for messages.
    pub(super) fn append(
        ids: &mut Option<Ids>,
        column: &ArrayRef,
        first: usize,
    ) -> Result<(), String> {
        if let Some(row) = (0..column.len()).find(|&row| column.is_null(row)) {
            return Err(format!("row {} is null", first + row));
        }
        let texts: Option<Vec<String>> = match column.data_type() {
            DataType::Utf8 => {
                Some(column.as_string::<i32>().iter().flatten().map(String::from).collect())
            }
            DataType::LargeUtf8 => {
                Some(column.as_string::<i64>().iter().flatten().map(String::from).collect())
            }
            DataType::Utf8View => {
                Some(column.as_string_view().iter().flatten().map(String::from).collect())
            }
            _ => None,
        };
        match (ids.as_mut(), texts) {
            (None, Some(texts)) => *ids = Some(Ids::Text(texts)),
            (Some(Ids::Text(ids)), Some(texts)) => ids.extend(texts),
            (None, None) => *ids = Some(Ids::Int(integers(column)?.values().to_vec())),
            (Some(Ids::Int(ids)), None) => ids.extend(integers(column)?.values()),
            _ => return Err("its type changes within the file".into()),
        }
        Ok(())
    }
}

/// Any integer column as int64.
fn integers(column: &dyn Array) -> Result<Int64Array, String> {
    macro_rules! widen {
        ($type:ty) => {
            Ok(column.as_primitive::<$type>().unary(i64::from))
        };
    }
    match column.data_type() {
        DataType::Int8 => widen!(Int8Type),
        DataType::Int16 => widen!(Int16Type),
        DataType::Int32 => widen!(Int32Type),
        DataType::Int64 => Ok(column.as_primitive::<Int64Type>().clone()),
        DataType::UInt8 => widen!(UInt8Type),
        DataType::UInt16 => widen!(UInt16Type),
        DataType::UInt32 => widen!(UInt32Type),
        DataType::UInt64 => column
            .as_primitive::<UInt64Type>()
            .try_unary(|value| i64::try_from(value).map_err(|_| format!("{value} exceeds int64"))),
        other => Err(format!("has type {other}, expected integers or strings")),
    }
}

/// Lists of integers of one batch.
pub(super) struct CodeLists {
    lists: ArrayRef,
    values: Int64Array,
    /// Where each list begins in `values`, and the end of the last.
    bounds: Vec<usize>,
}

/// A list column as lists of int64.
pub(super) fn code_lists(name: &str, column: &ArrayRef) -> Result<CodeLists, String> {
    let (values, bounds): (&ArrayRef, Vec<usize>) = match column.data_type() {
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            (list.values(), list.value_offsets().iter().map(|&at| at as usize).collect())
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            (list.values(), list.value_offsets().iter().map(|&at| at as usize).collect())
        }
        DataType::FixedSizeList(_, width) => {
            let list = column.as_fixed_size_list();
            (list.values(), (0..=list.len()).map(|row| row * *width as usize).collect())
        }
        other => {
            return Err(format!("column {name} has type {other}, expected a list of integers"));
        }
    };
    let values = integers(values).map_err(|message| format!("column {name}: {message}"))?;
    Ok(CodeLists { lists: column.clone(), values, bounds })
}

impl CodeLists {
    pub(super) fn row(&self, row: usize) -> Result<Vec<i64>, String> {
        if self.lists.is_null(row) {
            return Err("null, expected a list of codes".into());
        }
        (self.bounds[row]..self.bounds[row + 1]).map(|at| value_at(&self.values, at)).collect()
    }
}

fn value_at(values: &Int64Array, at: usize) -> Result<i64, String> {
    if values.is_null(at) { Err("a code is null".into()) } else { Ok(values.value(at)) }
}

/// A column by name.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("no column {name}"))
}

/// The codes of one batch, in either form.
pub(super) enum CodeColumns {
    Lists(CodeLists),
    Digits(Vec<Int64Array>),
}

impl CodeColumns {
    /// `names`: one list column, or one integer column a digit.
    pub(super) fn new(batch: &RecordBatch, names: &[String]) -> Result<CodeColumns, String> {
        let column = |name: &String| {
            batch.column_by_name(name).ok_or_else(|| format!("column {name} is gone"))
        };
        if let [name] = names
            && !column(name)?.data_type().is_integer()
        {
            return code_lists(name, column(name)?).map(CodeColumns::Lists);
        }
        let digit = |name| integers(column(name)?).map_err(|m| format!("column {name}: {m}"));
        names.iter().map(digit).collect::<Result<_, _>>().map(CodeColumns::Digits)
    }

    pub(super) fn row(&self, row: usize) -> Result<Vec<i64>, String> {
        match self {
            CodeColumns::Lists(lists) => lists.row(row),
            CodeColumns::Digits(digits) => {
                digits.iter().map(|values| value_at(values, row)).collect()
            }
        }
    }
}
