//! Formats that may lack the day, or day and month, or the time of day.

use chrono::format::{Numeric, Parsed};
use chrono::{Datelike, NaiveDate, NaiveDateTime};

use super::super::precision::Precision;
use super::{Step, TimeFormat, YEARS};

impl TimeFormat {
    /// The first day, where the format may lack the day, or day and month.
    pub fn partial_date(&self, text: &str) -> Option<(NaiveDate, Precision)> {
        let mut parsed = self.read(text)?;
        let precision = completed(&mut parsed)?;
        let date = parsed.to_naive_date().ok()?;
        YEARS.contains(&date.year()).then_some((date, precision))
    }

    /// As [`Self::timestamp`], and the start of the first day where the format has no time of day.
    pub fn partial_timestamp(&self, text: &str) -> Option<(NaiveDateTime, Precision)> {
        if self.has_time() {
            Some((self.timestamp(text)?, self.time_precision()))
        } else {
            let (date, precision) = self.partial_date(text)?;
            Some((date.and_hms_opt(0, 0, 0)?, precision))
        }
    }

    /// As [`Self::instant`], in UTC, and the start of the first day in UTC where the format has no time of day.
    pub fn partial_instant(&self, text: &str) -> Option<(NaiveDateTime, Precision)> {
        if self.has_time() {
            Some((self.instant(text)?.naive_utc(), self.time_precision()))
        } else {
            self.partial_timestamp(text)
        }
    }

    fn time_precision(&self) -> Precision {
        let has_seconds = self.0.iter().any(|step| match step {
            Step::Fraction(_) | Step::Digits(_) => true,
            Step::Number(number) => matches!(
                number.numeric,
                Numeric::Second | Numeric::Nanosecond | Numeric::Timestamp
            ),
            _ => false,
        });
        if has_seconds {
            Precision::Second
        } else {
            Precision::Minute
        }
    }
}

/// Adds the first day, or first month and day, where they are missing. `None`: something else is missing, or what is
/// there is no date.
fn completed(parsed: &mut Parsed) -> Option<Precision> {
    if parsed.to_naive_date().is_ok() {
        return Some(Precision::Day);
    }
    let by_week = parsed.isoweek().is_some() || parsed.week_from_sun().is_some() || parsed.week_from_mon().is_some();
    let by_day = parsed.day().is_some() || parsed.ordinal().is_some() || parsed.weekday().is_some();
    if by_week || by_day {
        return None;
    }
    let precision = if parsed.month().is_some() {
        Precision::Month
    } else {
        parsed.set_month(1).ok()?;
        Precision::Year
    };
    parsed.set_day(1).ok()?;
    Some(precision)
}
