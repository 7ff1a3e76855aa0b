//! `year`: the year of a date, as an int. For an instant it is the year in UTC.
//!
//! A year can itself reveal an age over 89, which 45 CFR 164.514(b)(2)(i)(C) counts as an identifier. Example: a birth
//! in 1931, seen in 2024. `oldest` is the birth year of the people who turn 90. If it is given, it replaces all earlier
//! years, as the category "90 or older". The rule applies to every date of a person and not only to births; it does no
//! harm to other dates.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::Datelike as _;

use super::date;
use super::partial::Partial;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Replaces dates by their years. A date outside of chrono's years (±262,142) becomes null.
pub(in crate::mask) fn apply(array: &ArrayRef, oldest: Option<i32>) -> Result<ArrayRef, ArrowError> {
    let year = |days: i32| {
        let year = date(days)?.year();
        Some(oldest.map_or(year, |oldest| year.max(oldest)))
    };
    let years: Int32Array = match array.data_type() {
        DataType::Date32 => array
            .as_primitive::<Date32Type>()
            .iter()
            .map(|days| year(days?))
            .collect(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let days = |time: i64| i32::try_from(time.div_euclid(MICROSECONDS_PER_DAY)).ok();
            array
                .as_primitive::<TimestampMicrosecondType>()
                .iter()
                .map(|time| year(days(time?)?))
                .collect()
        }
        DataType::Struct(_) => return apply(&Partial::of(array, "year")?.moments, oldest),
        other => return Err(super::unexpected("year", other)),
    };
    Ok(Arc::new(years))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Date32Array, TimestampMicrosecondArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn years(array: impl Array + 'static, oldest: Option<i32>) -> Vec<Option<i32>> {
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
        assert_eq!(years(dates, None), [Some(1970), Some(1969), None, Some(2023), None]);
        let times = TimestampMicrosecondArray::from(vec![Some(0), Some(-1), None, Some(i64::MAX)]);
        assert_eq!(
            years(times.with_timezone("UTC"), None),
            [Some(1970), Some(1969), None, None]
        );
    }

    #[test]
    fn years_of_the_oldest_become_one() {
        let dates = Date32Array::from(vec![-14_000, -10_000, 19_478]);
        assert_eq!(years(dates.clone(), None), [Some(1931), Some(1942), Some(2023)]);
        assert_eq!(years(dates, Some(1933)), [Some(1933), Some(1942), Some(2023)]);
    }
}
