//! Dates and times of which only a part is known, such as `1970` or `1970-03`: their first moment, and how precise they
//! are. FHIR R4 writes its types `date` and `dateTime` so.

use chrono::NaiveDate;

use super::super::precision::Precision;
use super::super::refusal::Reason;
use super::super::time_format::TimeFormat;
use super::{Formats, Micros, NO_INSTANT, SECONDS_PER_DAY, days, iso_date, micros, timestamp, timestamptz, utc};

/// The first day of the year, month or day, in days since 1970-01-01.
pub(crate) fn partial_date(text: &str, formats: &Formats) -> Result<(i32, Precision), Reason> {
    let read = if formats.is_empty() {
        Ok(iso(text).ok_or("not a date (yyyy, yyyy-mm or yyyy-mm-dd)")?)
    } else {
        let read = formats.declared.iter().find_map(|format| format.partial_date(text));
        read.ok_or("not a date in a declared format")
    };
    let (date, precision) = read?;
    Ok((days(date), precision))
}

/// The first moment of the year, month or day, or the moment itself; in microseconds since 1970-01-01 00:00, without time
/// zone.
pub(crate) fn partial_timestamp(text: &str, formats: &Formats) -> Result<(Micros, Precision), Reason> {
    if formats.is_empty() {
        return match iso(text) {
            Some(part) => midnight(part),
            None => Ok((timestamp(text, formats)?, iso_precision(text))),
        };
    }
    let read = formats
        .declared
        .iter()
        .find_map(|format| format.partial_timestamp(text));
    let (time, precision) = read.ok_or("not a timestamp in a declared format")?;
    Ok((utc(time, None)?, precision))
}

/// The same in UTC: where no time of day is written, the first moment in UTC.
pub(crate) fn partial_timestamptz(text: &str, formats: &Formats) -> Result<(Micros, Precision), Reason> {
    if formats.is_empty() {
        return match iso(text) {
            Some(part) => midnight(part),
            None => Ok((timestamptz(text, formats)?, iso_precision(text))),
        };
    }
    let read = |format: &TimeFormat| {
        if let Some((instant, precision)) = format.partial_instant(text) {
            return Some((instant, precision, None));
        }
        let (local, precision) = format.partial_timestamp(text).filter(|_| !format.has_offset())?;
        Some((local, precision, Some(formats.zone?)))
    };
    let (time, precision, zone) = formats.declared.iter().find_map(read).ok_or(NO_INSTANT)?;
    Ok((utc(time, zone)?, precision))
}

fn midnight((date, precision): (NaiveDate, Precision)) -> Result<(Micros, Precision), Reason> {
    Ok((micros(i64::from(days(date)) * SECONDS_PER_DAY, 0)?, precision))
}

/// `yyyy`, `yyyy-mm` or `yyyy-mm-dd`.
fn iso(text: &str) -> Option<(NaiveDate, Precision)> {
    let (rest, precision) = match text.len() {
        4 => ("-01-01", Precision::Year),
        7 => ("-01", Precision::Month),
        10 => ("", Precision::Day),
        _ => return None,
    };
    let whole = [text.as_bytes(), rest.as_bytes()].concat();
    Some((iso_date(&whole)?, precision))
}

/// Of a whole timestamp: `yyyy-mm-ddThh:mm` has 16 characters, and a colon follows if seconds do.
fn iso_precision(text: &str) -> Precision {
    if text.as_bytes().get(16) == Some(&b':') {
        Precision::Second
    } else {
        Precision::Minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(formats: &[&str]) -> Formats {
        let formats: Vec<String> = formats.iter().map(|format| (*format).to_owned()).collect();
        Formats::parse(&formats).unwrap()
    }

    fn date(text: &str, formats: &Formats) -> Option<(String, &'static str)> {
        let (days, precision) = partial_date(text, formats).ok()?;
        let date = NaiveDate::default() + chrono::Duration::days(days.into());
        Some((date.to_string(), precision.name()))
    }

    fn time(read: Result<(Micros, Precision), Reason>) -> Option<(String, &'static str, bool)> {
        let (micros, precision) = read.ok()?;
        let time = chrono::DateTime::from_timestamp_micros(micros.value).unwrap();
        Some((time.naive_utc().to_string(), precision.name(), micros.cut))
    }

    #[test]
    fn dates_of_every_precision_are_read_to_the_letter() {
        let iso = Formats::default();
        for (text, first, precision) in [
            ("1970", "1970-01-01", "year"),
            ("1970-03", "1970-03-01", "month"),
            ("2024-02-29", "2024-02-29", "day"),
            ("0001", "0001-01-01", "year"),
            ("9999-12", "9999-12-01", "month"),
        ] {
            assert_eq!(date(text, &iso), Some((first.to_owned(), precision)), "{text}");
        }
        for text in [
            "",
            "0000",
            "197",
            "19700",
            "1970-",
            "1970-3",
            "1970-13",
            "1970-00",
            "1970-03-",
            "2023-02-29",
            " 1970",
            "197a",
            "1970-03-01T00:00:00Z",
            "19é",
            "1970/03",
            "+970",
        ] {
            assert_eq!(date(text, &iso), None, "{text}");
        }
    }

    #[test]
    fn declared_formats_may_lack_day_and_month() {
        let german = formats(&["%d.%m.%Y", "%m.%Y", "%b %Y", "%Y"]);
        for (text, first, precision) in [
            ("05.03.1970", "1970-03-05", "day"),
            ("03.1970", "1970-03-01", "month"),
            ("Mar 1970", "1970-03-01", "month"),
            ("1970", "1970-01-01", "year"),
        ] {
            assert_eq!(date(text, &german), Some((first.to_owned(), precision)), "{text}");
        }
        for text in ["31.02.1970", "13.1970", "70", "1970-03"] {
            assert_eq!(date(text, &german), None, "{text}");
        }
        // A week is no month, and a day without its month is no date.
        assert_eq!(date("1970 W10", &formats(&["%Y W%V"])), None);
        assert_eq!(date("05 1970", &formats(&["%d %Y"])), None);
        assert_eq!(
            date("064 1970", &formats(&["%j %Y"])),
            Some(("1970-03-05".to_owned(), "day"))
        );
    }

    #[test]
    fn times_have_minutes_or_seconds_or_none() {
        let iso = Formats::default();
        for (text, first, precision, cut) in [
            ("2023", "2023-01-01 00:00:00", "year", false),
            ("2023-05", "2023-05-01 00:00:00", "month", false),
            ("2023-05-02", "2023-05-02 00:00:00", "day", false),
            ("2023-05-02T10:00+02:00", "2023-05-02 08:00:00", "minute", false),
            ("2023-05-02T10:00:00Z", "2023-05-02 10:00:00", "second", false),
            (
                "2023-05-02T10:00:00.1234567Z",
                "2023-05-02 10:00:00.123456",
                "second",
                true,
            ),
        ] {
            let expected = Some((first.to_owned(), precision, cut));
            assert_eq!(time(partial_timestamptz(text, &iso)), expected, "{text}");
        }
        assert_eq!(time(partial_timestamptz("2023-05-02T10:00:00", &iso)), None);
        assert_eq!(time(partial_timestamp("2023-05-02T10:00:00Z", &iso)), None);
        assert_eq!(
            time(partial_timestamp("2023-05-02 10:00:00", &iso)),
            Some(("2023-05-02 10:00:00".to_owned(), "second", false))
        );
        let declared = formats(&["%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%m.%Y"]);
        for (text, first, precision) in [
            ("02.05.2023 10:00:01", "2023-05-02 10:00:01", "second"),
            ("02.05.2023 10:00", "2023-05-02 10:00:00", "minute"),
            ("02.05.2023", "2023-05-02 00:00:00", "day"),
            ("05.2023", "2023-05-01 00:00:00", "month"),
        ] {
            let expected = Some((first.to_owned(), precision, false));
            assert_eq!(time(partial_timestamp(text, &declared)), expected, "{text}");
        }
        let zoned = formats(&["%Y-%m-%d %H:%M%:z", "%Y-%m"]);
        assert_eq!(
            time(partial_timestamptz("2023-05-02 10:00+02:00", &zoned)),
            Some(("2023-05-02 08:00:00".to_owned(), "minute", false))
        );
        assert_eq!(
            time(partial_timestamptz("2023-05", &zoned)),
            Some(("2023-05-01 00:00:00".to_owned(), "month", false))
        );
    }
}
