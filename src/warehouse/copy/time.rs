//! Converts dates and timestamps to PostgreSQL's: days or microseconds from 2000-01-01. Nothing is rounded. A number
//! that would mean `infinity`, or that is beyond what PostgreSQL can print (src/include/datatype/timestamp.h), is
//! refused.

use std::borrow::Cow;

use arrow::datatypes::TimeUnit;

type Outcome<T> = Result<T, Cow<'static, str>>;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const DAY_MILLIS: i64 = 86_400_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// 4714-11-24 BC (julian day 0), in days from 2000-01-01.
const FIRST_DAY: i64 = -2_451_545;
/// The day after 5874897-12-31.
const END_DAY: i64 = 2_147_483_494 - 2_451_545;
const FIRST_MICRO: i64 = FIRST_DAY * DAY_MICROS;
/// 294277-01-01: timestamps end earlier than dates.
const END_MICRO: i64 = 9_223_371_331_200_000_000;

const DATE_RANGE: Cow<'static, str> = Cow::Borrowed("a date outside of PostgreSQL's range (4713 BC to 5874897 AD)");
const TIME_RANGE: Cow<'static, str> = Cow::Borrowed("a timestamp outside of PostgreSQL's range (4713 BC to 294276 AD)");

/// Converts days from 1970-01-01 to PostgreSQL's days.
pub(super) fn date(days: i64) -> Outcome<i32> {
    let days = days - EPOCH_DAYS;
    match i32::try_from(days) {
        Ok(day) if (FIRST_DAY..END_DAY).contains(&days) => Ok(day),
        _ => Err(DATE_RANGE),
    }
}

/// Converts milliseconds from 1970-01-01 to PostgreSQL's days. They must be whole days.
pub(super) fn date_of_millis(millis: i64) -> Outcome<i32> {
    if millis % DAY_MILLIS == 0 {
        date(millis / DAY_MILLIS)
    } else {
        Err("a date with a time of day".into())
    }
}

/// Converts a count of `unit`s from 1970-01-01T00:00 to PostgreSQL's microseconds.
pub(super) fn timestamp(value: i64, unit: TimeUnit) -> Outcome<i64> {
    let value = i128::from(value);
    let micros = match unit {
        TimeUnit::Second => value * 1_000_000,
        TimeUnit::Millisecond => value * 1_000,
        TimeUnit::Microsecond => value,
        // What a cast of a text in SQL gives; finer is cut off, as it is where the schema reads a text.
        TimeUnit::Nanosecond => value.div_euclid(1_000),
    };
    // 128 bits are needed: counted from 1970, the last years overflow 64 bits.
    match i64::try_from(micros - i128::from(EPOCH_DAYS * DAY_MICROS)) {
        Ok(micros) if (FIRST_MICRO..END_MICRO).contains(&micros) => Ok(micros),
        _ => Err(TIME_RANGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_stay_within_the_range() {
        assert_eq!(date(0), Ok(-10_957));
        assert_eq!(date(FIRST_DAY + EPOCH_DAYS), Ok(-2_451_545));
        assert!(date(FIRST_DAY + EPOCH_DAYS - 1).is_err());
        assert!(date(END_DAY + EPOCH_DAYS - 1).is_ok());
        assert!(date(END_DAY + EPOCH_DAYS).is_err());
        // PostgreSQL would read these as -infinity and infinity.
        assert!(date(i64::from(i32::MIN) + EPOCH_DAYS).is_err());
        assert!(date(i64::from(i32::MAX) + EPOCH_DAYS).is_err());
        assert_eq!(date_of_millis(-DAY_MILLIS), Ok(-10_958));
        assert!(date_of_millis(1).is_err());
    }

    #[test]
    fn timestamps_are_exact() {
        assert_eq!(timestamp(946_684_800, TimeUnit::Second), Ok(0));
        assert_eq!(timestamp(-1, TimeUnit::Microsecond), Ok(-946_684_800_000_001));
        assert_eq!(timestamp(1_000, TimeUnit::Nanosecond), Ok(-946_684_799_999_999));
        // Finer is cut off, before 1970 as after it.
        assert_eq!(timestamp(1_999, TimeUnit::Nanosecond), Ok(-946_684_799_999_999));
        assert_eq!(timestamp(-1, TimeUnit::Nanosecond), Ok(-946_684_800_000_001));
        assert!(timestamp(i64::MAX, TimeUnit::Second).is_err());
        assert!(timestamp(i64::MIN, TimeUnit::Microsecond).is_err());
        assert!(timestamp(i64::MAX, TimeUnit::Microsecond).is_ok(), "292277 AD");
        let end = END_MICRO / 1_000 + EPOCH_DAYS * DAY_MILLIS;
        assert!(timestamp(end - 1, TimeUnit::Millisecond).is_ok());
        assert!(timestamp(end, TimeUnit::Millisecond).is_err());
        assert!(timestamp(FIRST_MICRO + EPOCH_DAYS * DAY_MICROS - 1, TimeUnit::Microsecond).is_err());
    }
}
