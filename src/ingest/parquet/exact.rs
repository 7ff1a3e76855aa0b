//! Converts numbers and dates to the declared type where no value is lost by it. Senders change such types from one file
//! to the next: pandas makes a column of whole numbers `float64` as soon as one is missing.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, PrimitiveArray, StringArray};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, cast_with_options, not, nullif};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit};
use arrow::error::ArrowError;

use super::types::{is_decimal, per_second};
use crate::model::scalar;

const SECONDS_PER_DAY: i64 = 86_400;

/// A converted array, with null for the values that would have lost something, and the indices of these values.
pub(super) type Exact = (ArrayRef, Vec<usize>);

/// Whether values of a found type may be exact values of a target type.
pub(super) fn may_hold(found: &DataType, target: &DataType) -> bool {
    use DataType as D;
    let number = |data_type: &DataType| data_type.is_integer() || data_type.is_floating() || is_decimal(data_type);
    match target {
        D::Date32 => matches!(found, D::Date32 | D::Date64 | D::Timestamp(_, None)),
        D::Int32 | D::Int64 | D::Float64 | D::Decimal128(..) => number(found),
        other => found == other,
    }
}

/// Converts an array whose type [`may_hold`] values of the target.
pub(super) fn convert(array: &ArrayRef, target: &DataType) -> Result<Exact, ArrowError> {
    if array.data_type() == target {
        return finite(Arc::clone(array));
    }
    if array.data_type().is_floating() {
        return of_floats(array, target);
    }
    if *target == DataType::Date32 {
        return days(array);
    }
    // A value that comes back the same from the target has lost nothing there.
    let there = cast(array, target)?;
    let same = not_distinct(array, &cast(&there, array.data_type())?)?;
    if same.true_count() == same.len() {
        return Ok((there, Vec::new()));
    }
    let differs = not(&same)?;
    let lost = (0..differs.len()).filter(|row| differs.value(*row)).collect();
    Ok((nullif(&there, &differs)?, lost))
}

/// The days of timestamps and of dates with a time of day. Arrow's cast fails for all rows where one is far out, and its
/// error quotes the value.
fn days(array: &ArrayRef) -> Result<Exact, ArrowError> {
    let units = match array.data_type() {
        DataType::Timestamp(unit, _) => per_second(*unit),
        _ => per_second(TimeUnit::Millisecond),
    };
    let per_day = SECONDS_PER_DAY * units;
    let counts = cast(array, &DataType::Int64)?;
    let mut lost = Vec::new();
    let mut days = Date32Array::builder(array.len());
    for (row, count) in counts.as_primitive::<Int64Type>().iter().enumerate() {
        let day = count.filter(|count| count % per_day == 0);
        let day = day.and_then(|count| i32::try_from(count / per_day).ok());
        if day.is_none() && count.is_some() {
            lost.push(row);
        }
        days.append_option(day);
    }
    Ok((Arc::new(days.finish()), lost))
}

/// Numbers as texts, in their shortest exact form.
pub(super) fn texts(array: &ArrayRef) -> Result<(StringArray, Vec<usize>), ArrowError> {
    let mut lost = Vec::new();
    let mut read = |row: usize, text: Option<String>| {
        let text = scalar::plain_number(&text?).ok();
        if text.is_none() {
            lost.push(row);
        }
        text
    };
    let texts = if array.data_type().is_floating() {
        (0..).zip(shortest(array)?).map(|(row, text)| read(row, text)).collect()
    } else {
        let texts = cast(array, &DataType::Utf8)?;
        let texts: &StringArray = texts.as_string();
        (0..)
            .zip(texts)
            .map(|(row, text)| read(row, text.map(str::to_owned)))
            .collect()
    };
    Ok((texts, lost))
}

/// NaN and infinity are not numbers that a field may hold.
fn finite(array: ArrayRef) -> Result<Exact, ArrowError> {
    let Some(floats) = array.as_primitive_opt::<Float64Type>() else {
        return Ok((array, Vec::new()));
    };
    let infinite = |row: &usize| floats.is_valid(*row) && !floats.value(*row).is_finite();
    let lost: Vec<usize> = (0..floats.len()).filter(infinite).collect();
    if lost.is_empty() {
        return Ok((array, lost));
    }
    let infinite: BooleanArray = floats
        .iter()
        .map(|value| Some(value.is_some_and(|value| !value.is_finite())))
        .collect();
    Ok((nullif(&array, &infinite)?, lost))
}

fn of_floats(array: &ArrayRef, target: &DataType) -> Result<Exact, ArrowError> {
    match target {
        DataType::Int32 => of_texts::<Int32Type>(array, |text| scalar::int(text).ok()),
        DataType::Int64 => of_texts::<Int64Type>(array, |text| scalar::int(text).ok()),
        DataType::Decimal128(precision, scale) => {
            let read = |text: &str| scalar::decimal(text, *precision, *scale).ok();
            let (values, lost) = of_texts::<arrow::datatypes::Decimal128Type>(array, read)?;
            let values: &Decimal128Array = values.as_primitive();
            Ok((Arc::new(values.clone().with_data_type(target.clone())), lost))
        }
        _ => finite(cast(array, &DataType::Float64)?),
    }
}

/// Reads the shortest texts of floats, as the texts of JSON numbers are read.
fn of_texts<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    read: impl Fn(&str) -> Option<T::Native>,
) -> Result<Exact, ArrowError> {
    let mut lost = Vec::new();
    let mut values = PrimitiveArray::<T>::builder(array.len());
    for (row, text) in (0..).zip(shortest(array)?) {
        let value = text.as_deref().and_then(&read);
        if value.is_none() && text.is_some() {
            lost.push(row);
        }
        values.append_option(value);
    }
    Ok((Arc::new(values.finish()), lost))
}

/// The shortest texts that give the same floats again, without an exponent.
fn shortest(array: &ArrayRef) -> Result<Vec<Option<String>>, ArrowError> {
    // `-0` is 0.
    let zero = |text: String| if text == "-0" { "0".to_owned() } else { text };
    if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
        return Ok(floats
            .iter()
            .map(|value| value.map(|value| zero(value.to_string())))
            .collect());
    }
    let floats = cast(array, &DataType::Float32)?;
    let floats = floats.as_primitive::<Float32Type>().iter();
    Ok(floats.map(|value| value.map(|value| zero(value.to_string()))).collect())
}

/// A value that the target can't hold becomes null. An error could quote a value.
fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    cast_with_options(array, target, &options)
}
