//! Columns as the few types that are worked with: integers, floats, texts.
//!
//! These are the conversions that Parquet columns need. Arrow's own (`arrow-cast`) know all pairs of types, and
//! took a fifth of the time in which DAS is built.

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::as_datetime;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, Float32Array, Float64Array, Int64Array, StringArray};
use arrow_schema::{DataType, TimeUnit};

use crate::parquet_file::type_name;

/// Integers, and dates and times as what they count since 1970 in their own unit. Nulls stay.
pub(crate) fn to_int64(array: &dyn Array) -> Result<Int64Array, String> {
    match array.data_type() {
        DataType::Int64 => Ok(array.as_primitive::<Int64Type>().clone()),
        DataType::Int32 => Ok(widened::<Int32Type>(array)),
        DataType::Int16 => Ok(widened::<Int16Type>(array)),
        DataType::Int8 => Ok(widened::<Int8Type>(array)),
        DataType::UInt32 => Ok(widened::<UInt32Type>(array)),
        DataType::UInt16 => Ok(widened::<UInt16Type>(array)),
        DataType::UInt8 => Ok(widened::<UInt8Type>(array)),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().try_unary(|value| {
            i64::try_from(value).map_err(|_| format!("{value} does not fit int64"))
        }),
        DataType::Date32 => Ok(widened::<Date32Type>(array)),
        DataType::Timestamp(TimeUnit::Second, _) => Ok(counted::<TimestampSecondType>(array)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Ok(counted::<TimestampMillisecondType>(array))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(counted::<TimestampMicrosecondType>(array))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Ok(counted::<TimestampNanosecondType>(array))
        }
        other => Err(unexpected(other, "an integer")),
    }
}

/// Numbers and truth values. Nulls stay; integers beyond 2^53 are rounded.
pub(crate) fn to_float64(array: &dyn Array) -> Result<Float64Array, String> {
    Ok(match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().clone(),
        DataType::Float32 => array.as_primitive::<Float32Type>().unary(f64::from),
        DataType::Float16 => array.as_primitive::<Float16Type>().unary(f64::from),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().unary(|value| value as f64),
        DataType::Boolean => array
            .as_boolean()
            .iter()
            .map(|value| value.map(|value| f64::from(u8::from(value))))
            .collect(),
        DataType::Decimal32(..) => decimals::<Decimal32Type>(array),
        DataType::Decimal64(..) => decimals::<Decimal64Type>(array),
        DataType::Decimal128(..) => decimals::<Decimal128Type>(array),
        DataType::Decimal256(..) => decimals::<Decimal256Type>(array),
        other if other.is_integer() => {
            to_int64(array)?.unary::<_, Float64Type>(|value| value as f64)
        }
        other => return Err(unexpected(other, "a number")),
    })
}

/// Floats as float32, rounded to the nearest. Nulls stay.
pub(crate) fn to_float32(array: &dyn Array) -> Result<Float32Array, String> {
    match array.data_type() {
        DataType::Float32 => Ok(array.as_primitive::<Float32Type>().clone()),
        DataType::Float64 => Ok(array.as_primitive::<Float64Type>().unary(|value| value as f32)),
        DataType::Float16 => Ok(array.as_primitive::<Float16Type>().unary(f32::from)),
        other => Err(unexpected(other, "floats")),
    }
}

/// Texts, and numbers, truth values, dates and times by their usual spelling (ISO 8601). Nulls stay.
pub(crate) fn to_strings(array: &dyn Array) -> Result<StringArray, String> {
    Ok(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().clone(),
        DataType::Boolean => spelled(array.as_boolean().iter()),
        // The shortest spelling that is the same number, with a point or an exponent.
        DataType::Float64 => debugged(array.as_primitive::<Float64Type>().iter()),
        DataType::Float32 => debugged(array.as_primitive::<Float32Type>().iter()),
        DataType::Float16 => {
            debugged(array.as_primitive::<Float16Type>().iter().map(|value| value.map(f32::from)))
        }
        DataType::UInt64 => spelled(array.as_primitive::<UInt64Type>().iter()),
        DataType::Decimal32(..) => spelled_decimals::<Decimal32Type>(array),
        DataType::Decimal64(..) => spelled_decimals::<Decimal64Type>(array),
        DataType::Decimal128(..) => spelled_decimals::<Decimal128Type>(array),
        DataType::Decimal256(..) => spelled_decimals::<Decimal256Type>(array),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            by_row(array, |row| days.value_as_date(row).map(|date| date.to_string()))?
        }
        DataType::Timestamp(unit, zone) => {
            let zone = zone.is_some();
            match unit {
                TimeUnit::Second => times::<TimestampSecondType>(array, zone)?,
                TimeUnit::Millisecond => times::<TimestampMillisecondType>(array, zone)?,
                TimeUnit::Microsecond => times::<TimestampMicrosecondType>(array, zone)?,
                TimeUnit::Nanosecond => times::<TimestampNanosecondType>(array, zone)?,
            }
        }
        other if other.is_integer() => spelled(to_int64(array)?.iter()),
        other => return Err(unexpected(other, "text or a number")),
    })
}

fn widened<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &dyn Array) -> Int64Array {
    array.as_primitive::<T>().unary(Into::into)
}

fn counted<T: ArrowTimestampType>(array: &dyn Array) -> Int64Array {
    array.as_primitive::<T>().reinterpret_cast()
}

fn decimals<T: DecimalType>(array: &dyn Array) -> Float64Array {
    let decimals = array.as_primitive::<T>();
    let value = |row| decimals.value_as_string(row).parse().unwrap_or(f64::NAN);
    (0..array.len()).map(|row| array.is_valid(row).then(|| value(row))).collect()
}

fn spelled_decimals<T: DecimalType>(array: &dyn Array) -> StringArray {
    let decimals = array.as_primitive::<T>();
    let value = |row| array.is_valid(row).then(|| decimals.value_as_string(row));
    (0..array.len()).map(value).collect()
}

fn spelled<V: std::fmt::Display>(values: impl Iterator<Item = Option<V>>) -> StringArray {
    values.map(|value| value.map(|value| value.to_string())).collect()
}

fn debugged<V: std::fmt::Debug>(values: impl Iterator<Item = Option<V>>) -> StringArray {
    values.map(|value| value.map(|value| format!("{value:?}"))).collect()
}

/// Times as `1970-01-01T00:00:01.500`, those of a zone with the `Z` of UTC, which they are kept in.
fn times<T: ArrowTimestampType>(array: &dyn Array, zone: bool) -> Result<StringArray, String> {
    let times = array.as_primitive::<T>();
    let suffix = if zone { "Z" } else { "" };
    by_row(array, |row| Some(format!("{:?}{suffix}", as_datetime::<T>(times.value(row))?)))
}

/// A text for each row that is not null; none is a time that no calendar has.
fn by_row(
    array: &dyn Array,
    text: impl Fn(usize) -> Option<String>,
) -> Result<StringArray, String> {
    let value = |row| match array.is_valid(row).then(|| text(row)) {
        None => Ok(None),
        Some(Some(text)) => Ok(Some(text)),
        Some(None) => Err(format!("row {row} of its batch is out of the range of dates")),
    };
    (0..array.len()).map(value).collect()
}

fn unexpected(found: &DataType, expected: &str) -> String {
    format!("{}, expected {expected}", type_name(found))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int8Array, Int32Array,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampSecondArray, UInt64Array,
    };

    use super::*;

    fn texts(array: ArrayRef) -> Vec<Option<String>> {
        let texts = to_strings(&array).unwrap();
        texts.iter().map(|text| text.map(str::to_string)).collect()
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some(text.to_string())).collect()
    }

    #[test]
    fn integers_are_widened_and_what_does_not_fit_is_named() {
        let narrow: ArrayRef = Arc::new(Int8Array::from(vec![Some(-7), None]));
        assert_eq!(to_int64(&narrow).unwrap(), Int64Array::from(vec![Some(-7), None]));
        let large: ArrayRef = Arc::new(UInt64Array::from(vec![7, u64::MAX]));
        let error = to_int64(&large).unwrap_err();
        assert_eq!(error, "18446744073709551615 does not fit int64");
        assert_eq!(texts(large), some(&["7", "18446744073709551615"]));
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]));
        assert_eq!(to_int64(&times).unwrap(), Int64Array::from(vec![1_500_000]));
        let days: ArrayRef = Arc::new(Date32Array::from(vec![-1]));
        assert_eq!(to_int64(&days).unwrap(), Int64Array::from(vec![-1]));
        let floats: ArrayRef = Arc::new(Float32Array::from(vec![1.0]));
        assert_eq!(to_int64(&floats).unwrap_err(), "float32, expected an integer");
    }

    #[test]
    fn numbers_become_floats() {
        let decimals = Decimal128Array::from(vec![Some(12345), None, Some(-5)]);
        let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(10, 3).unwrap());
        let expected = Float64Array::from(vec![Some(12.345), None, Some(-0.005)]);
        assert_eq!(to_float64(&decimals).unwrap(), expected);
        assert_eq!(texts(decimals), [Some("12.345".into()), None, Some("-0.005".into())]);
        let truths: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        let expected = Float64Array::from(vec![Some(1.0), None, Some(0.0)]);
        assert_eq!(to_float64(&truths).unwrap(), expected);
        assert_eq!(texts(truths), [Some("true".into()), None, Some("false".into())]);
        let wide: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 1e300]));
        let expected = Float32Array::from(vec![0.1, f32::INFINITY]);
        assert_eq!(to_float32(&wide).unwrap(), expected);
        let half: ArrayRef = Arc::new(to_half(&[1.5, -2.0]));
        assert_eq!(to_float32(&half).unwrap(), Float32Array::from(vec![1.5, -2.0]));
        assert_eq!(texts(half), some(&["1.5", "-2.0"]));
    }

    fn to_half(values: &[f32]) -> arrow_array::Float16Array {
        type Half = <Float16Type as ArrowPrimitiveType>::Native;
        values.iter().map(|&value| Some(Half::from_f32(value))).collect()
    }

    #[test]
    fn times_are_spelled_as_iso_8601() {
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![0, 19_000]));
        assert_eq!(texts(dates), some(&["1970-01-01", "2022-01-08"]));
        let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![86_400, -1]));
        assert_eq!(texts(seconds), some(&["1970-01-02T00:00:00", "1969-12-31T23:59:59"]));
        let zoned = TimestampMillisecondArray::from(vec![1_500]).with_timezone("UTC");
        assert_eq!(texts(Arc::new(zoned)), some(&["1970-01-01T00:00:01.500Z"]));
        let never: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
        assert!(to_strings(&never).unwrap_err().contains("out of the range"));
    }

    #[test]
    fn floats_keep_their_value() {
        let values = [1.0, 2.5, 1e16, 1.5e-7, 123_456_789.125, f64::NAN];
        let floats: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        assert_eq!(texts(floats), some(&["1.0", "2.5", "1e16", "1.5e-7", "123456789.125", "NaN"]));
        let whole: ArrayRef = Arc::new(Int32Array::from(vec![3]));
        assert_eq!(to_float64(&whole).unwrap(), Float64Array::from(vec![3.0]));
    }
}
