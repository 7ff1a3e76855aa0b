//! `date_shift`: moves all dates of one subject by the same number of days, 1 to 183 forward or back, or by whole weeks,
//! 1 to 26. Times of day
//! stay, and so do the intervals between the dates of one subject. A record without a subject gets null dates.
//!
//! A range of half a year in both directions hides the season and changes ages by less than a year. The shift is never
//! 0, because that would not mask the date.
//!
//! Of a date that is known to the year or the month only, the first day moves and is cut to its precision again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::partial::Partial;
use super::spelling::{self, Spelled};
use crate::mask::key::Keyed;
use crate::model::ShiftBy;

/// The largest number of days that a date moves.
pub(in crate::mask) const MOST_DAYS: i32 = 183;

/// The largest number of weeks.
const MOST_WEEKS: i32 = 26;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// From 0001-01-01 to the end of 9999-12-31.
const DAYS: Range<i32> = -719_162..2_932_897;
const MICROSECONDS: Range<i64> = -719_162 * MICROSECONDS_PER_DAY..2_932_897 * MICROSECONDS_PER_DAY;

/// Days by which the dates of a record move; 0 where the record has no subject, so that its dates become null.
pub(in crate::mask) type Shift = i32;

/// The shift of each row, derived from the row's subject.
pub(in crate::mask) fn shifts(keyed: &Keyed, subjects: &ArrayRef, by: ShiftBy) -> Result<Vec<Shift>, ArrowError> {
    let mut known: HashMap<String, Shift> = HashMap::new();
    let mut shifts = Vec::with_capacity(subjects.len());
    spelling::for_each(subjects, |subject| {
        let Some(Spelled::Kept(subject) | Spelled::Passing(subject)) = subject else {
            return shifts.push(0);
        };
        shifts.push(known.get(subject).copied().unwrap_or_else(|| {
            let shift = shift(keyed, subject, by);
            known.insert(subject.to_owned(), shift);
            shift
        }));
    })?;
    Ok(shifts)
}

/// `array` and `shifts` are of one length. A date that is out of the years 1 to 9999, or leaves them, becomes null, too.
/// Of a sentinel such as 9999-12-31 it would tell the shift: the year 10000 is nobody's.
pub(in crate::mask) fn apply(array: &ArrayRef, shifts: &[Shift]) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Date32 => {
            let array = array.as_primitive::<Date32Type>();
            let add = |date: i32, days| within(date.checked_add(days)?, DAYS);
            Ok(Arc::new(moved(array, shifts, add)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let array = array.as_primitive::<TimestampMicrosecondType>();
            let add = |time: i64, days| within(time.checked_add(i64::from(days) * MICROSECONDS_PER_DAY)?, MICROSECONDS);
            Ok(Arc::new(moved(array, shifts, add).with_timezone_opt(zone.clone())))
        }
        DataType::Struct(fields) => {
            let partial = Partial::of(array, "date_shift")?;
            partial.with(&apply(&partial.moments, shifts)?, fields)
        }
        other => Err(super::unexpected("date_shift", other)),
    }
}

fn shift(keyed: &Keyed, subject: &str, by: ShiftBy) -> Shift {
    let token = keyed.token(subject.as_bytes());
    let number = u64::from_le_bytes([
        token[0], token[1], token[2], token[3], token[4], token[5], token[6], token[7],
    ]);
    let (most, step) = match by {
        ShiftBy::Days => (MOST_DAYS, 1),
        ShiftBy::Weeks => (MOST_WEEKS, 7),
    };
    let steps = u64::try_from(2 * most).expect("positive");
    let nth = i32::try_from(number % steps).expect("less than 366");
    step * if nth < most { nth - most } else { nth - most + 1 }
}

fn within<T: PartialOrd>(value: T, range: Range<T>) -> Option<T> {
    range.contains(&value).then_some(value)
}

fn moved<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    shifts: &[Shift],
    add: impl Fn(T::Native, Shift) -> Option<T::Native>,
) -> PrimitiveArray<T> {
    let value = |(value, days): (Option<T::Native>, &Shift)| if *days == 0 { None } else { add(value?, *days) };
    array.iter().zip(shifts).map(value).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, StringArray, TimestampMicrosecondArray};

    use super::*;
    use crate::mask::key::{MaskKey, Use};

    fn keyed() -> Keyed {
        MaskKey::from_bytes([3; 32]).keyed(Use::DateShift, "patient")
    }

    #[test]
    fn shifts_are_spread_over_all_days_but_none() {
        let subjects: ArrayRef = Arc::new(StringArray::from_iter_values((0..20_000).map(|i| format!("P{i}"))));
        let mut shifts = shifts(&keyed(), &subjects, ShiftBy::Days).unwrap();
        shifts.sort_unstable();
        shifts.dedup();
        let all: Vec<Shift> = (-183..=183).filter(|days| *days != 0).collect();
        assert_eq!(shifts, all);
    }

    #[test]
    fn by_weeks_the_day_of_the_week_stays() {
        let subjects: ArrayRef = Arc::new(StringArray::from_iter_values((0..5_000).map(|i| format!("P{i}"))));
        let mut shifts = shifts(&keyed(), &subjects, ShiftBy::Weeks).unwrap();
        shifts.sort_unstable();
        shifts.dedup();
        let all: Vec<Shift> = (-26..=26).filter(|weeks| *weeks != 0).map(|weeks| 7 * weeks).collect();
        assert_eq!(shifts, all);
    }

    #[test]
    fn one_subject_has_one_shift_and_none_has_none() {
        let subjects: ArrayRef = Arc::new(StringArray::from(vec![Some("P1"), Some("P2"), None, Some("P1")]));
        let shifts = shifts(&keyed(), &subjects, ShiftBy::Days).unwrap();
        assert_eq!(shifts[0], shifts[3]);
        assert_ne!(shifts[0], shifts[1]);
        assert_eq!(shifts[2], 0);
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(100), None, Some(100), Some(130)]));
        let masked = apply(&dates, &shifts).unwrap();
        let masked = masked.as_primitive::<Date32Type>();
        assert_eq!(masked.value(3) - masked.value(0), 30);
        assert!(masked.is_null(1) && masked.is_null(2) && masked.value(0) != 100);
    }

    #[test]
    fn keeps_the_time_of_day_and_the_zone() {
        let time = -5 * MICROSECONDS_PER_DAY + 1_234_567;
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![time]).with_timezone("UTC"));
        let masked = apply(&times, &[-3]).unwrap();
        assert_eq!(masked.data_type(), times.data_type());
        assert_eq!(
            masked.as_primitive::<TimestampMicrosecondType>().value(0),
            -8 * MICROSECONDS_PER_DAY + 1_234_567
        );
    }

    #[test]
    fn a_date_that_leaves_the_years_1_to_9999_becomes_null() {
        // 0001-01-01, 0001-01-02, 9999-12-30, 9999-12-31.
        let (first, last) = (-719_162, 2_932_896);
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![
            first,
            first + 1,
            last - 1,
            last,
            i32::MAX,
            i32::MIN,
        ]));
        let masked = apply(&dates, &[-1, -1, 1, 1, 1, -1]).unwrap();
        let masked = masked.as_primitive::<Date32Type>();
        assert_eq!(
            masked.iter().collect::<Vec<_>>(),
            [None, Some(first), Some(last), None, None, None]
        );
        let day = |days: i32| i64::from(days) * MICROSECONDS_PER_DAY;
        let end = day(last + 1) - 1;
        let times = vec![
            day(first),
            day(first + 1),
            end - MICROSECONDS_PER_DAY,
            end,
            i64::MAX,
            i64::MIN,
        ];
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times));
        let masked = apply(&times, &[-1, -1, 1, 1, 1, -1]).unwrap();
        let masked = masked.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(
            masked.iter().collect::<Vec<_>>(),
            [None, Some(day(first)), Some(end), None, None, None]
        );
    }
}
