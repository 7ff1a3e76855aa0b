//! `year`: the year of a date, as an int. For an instant it is the year in UTC.
//!
//! A year can itself reveal an age over 89, which 45 CFR 164.514(b)(2)(i)(C) counts as an identifier. Example: a birth
//! in 1931, seen in 2024. So the years of birth of people who are 90 or older become one, as the category "90 or older".
//! The rule applies to every date of a person and not only to births; it does no harm to other dates. The age counts on
//! the latest date that is known: a batch of 2001 that is loaded in 2023 would show people of 112 otherwise.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::{Datelike as _, NaiveDate};

use super::date;
use super::partial::Partial;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// A date that is further in the future is no event but a placeholder, such as 9999-12-31, and tells no age.
const YEARS_AHEAD: i32 = 20;

/// Replaces dates by their years. `oldest` is empty, or has the year of each row that stands for all earlier ones. A
/// date outside of chrono's years (±262,142) becomes null.
pub(in crate::mask) fn apply(array: &ArrayRef, oldest: &[i32]) -> Result<ArrayRef, ArrowError> {
    if let DataType::Struct(_) = array.data_type() {
        return apply(&Partial::of(array, "year")?.moments, oldest);
    }
    let Some(years) = years(array) else {
        return Err(super::unexpected("year", array.data_type()));
    };
    let years: Int32Array = if oldest.is_empty() {
        years.collect()
    } else {
        let capped = years.zip(oldest).map(|(year, oldest)| Some(year?.max(*oldest)));
        capped.collect()
    };
    Ok(Arc::new(years))
}

/// The years of dates or times, in order. `None` for other types.
fn years(array: &ArrayRef) -> Option<Box<dyn Iterator<Item = Option<i32>> + '_>> {
    let year = |days: i32| Some(date(days)?.year());
    Some(match array.data_type() {
        DataType::Date32 => Box::new(array.as_primitive::<Date32Type>().iter().map(move |days| year(days?))),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let days = |time: i64| i32::try_from(time.div_euclid(MICROSECONDS_PER_DAY)).ok();
            let times = array.as_primitive::<TimestampMicrosecondType>().iter();
            Box::new(times.map(move |time| year(days(time?)?)))
        }
        _ => return None,
    })
}

/// The year of birth, for each record of a batch, of who turns 90 in the year of `latest` or of the record's latest
/// date.
pub(in crate::mask) fn oldest(batch: &RecordBatch, latest: NaiveDate) -> Vec<i32> {
    let mut newest = vec![latest.year(); batch.num_rows()];
    let rows: Vec<usize> = (0..batch.num_rows()).collect();
    for column in batch.columns() {
        note(column, &rows, latest.year() + YEARS_AHEAD, &mut newest);
    }
    newest.into_iter().map(|year| year - 90).collect()
}

/// Notes the newest year of each row. `rows` has the row of each element of the array.
fn note(array: &ArrayRef, rows: &[usize], most: i32, newest: &mut [i32]) {
    match array.data_type() {
        DataType::Struct(_) => {
            for child in array.as_struct().columns() {
                note(child, rows, most, newest);
            }
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let lengths = list.offsets().lengths();
            let rows: Vec<usize> = rows
                .iter()
                .zip(lengths)
                .flat_map(|(row, n)| repeat_n(*row, n))
                .collect();
            let first = list
                .value_offsets()
                .first()
                .and_then(|first| usize::try_from(*first).ok());
            note(
                &list.values().slice(first.unwrap_or_default(), rows.len()),
                &rows,
                most,
                newest,
            );
        }
        _ => {
            for (year, row) in years(array).into_iter().flatten().zip(rows) {
                if let Some(year) = year.filter(|year| *year <= most) {
                    newest[*row] = newest[*row].max(year);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Date32Array, TimestampMicrosecondArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn of(array: impl Array + 'static, oldest: &[i32]) -> Vec<Option<i32>> {
        let array: ArrayRef = Arc::new(array);
        apply(&array, oldest)
            .unwrap()
            .as_primitive::<Int32Type>()
            .iter()
            .collect()
    }

    #[test]
    fn takes_the_year_on_both_sides_of_1970() {
        let dates = Date32Array::from(vec![Some(0), Some(-1), None, Some(19_478), Some(i32::MIN)]);
        assert_eq!(of(dates, &[]), [Some(1970), Some(1969), None, Some(2023), None]);
        let times = TimestampMicrosecondArray::from(vec![Some(0), Some(-1), None, Some(i64::MAX)]);
        assert_eq!(
            of(times.with_timezone("UTC"), &[]),
            [Some(1970), Some(1969), None, None]
        );
    }

    #[test]
    fn years_of_the_oldest_become_one() {
        let dates = Date32Array::from(vec![-14_000, -10_000, 19_478]);
        assert_eq!(of(dates.clone(), &[]), [Some(1931), Some(1942), Some(2023)]);
        assert_eq!(of(dates, &[1933, 1933, 2040]), [Some(1933), Some(1942), Some(2040)]);
    }
}
