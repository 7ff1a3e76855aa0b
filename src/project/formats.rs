//! Formats of dates and times in a source's schema: each must be one that the field's type is read with.

use chrono::format::{Fixed, Item, StrftimeItems};
use chrono::{DateTime, FixedOffset};

use crate::model::FieldType;
use crate::model::time_format::TimeFormat;

/// Why a format can't be used, and how to correct it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadFormat {
    pub message: String,
    pub hint: &'static str,
}

/// Checks that a value written with the format can be read back as the type. Other types take no format. A field with a
/// zone takes times without an offset.
pub(super) fn check(format: &str, field_type: &FieldType, has_zone: bool) -> Result<(), BadFormat> {
    let (needs, hint) = match field_type {
        FieldType::Partial(_) => (
            "a date",
            "a partial date needs a year: \"%d.%m.%Y\", \"%m.%Y\" or \"%Y\"",
        ),
        FieldType::Date(_) => ("a whole date", "a date needs year, month and day: \"%d.%m.%Y\""),
        FieldType::Timestamp(_) => (
            "a date and a time of day",
            "a timestamp needs date, hour and minute: \"%Y-%m-%d %H:%M:%S\"",
        ),
        _ => (
            "a date, a time of day and an offset",
            "a timestamptz needs date, hour, minute and offset, \"%Y-%m-%dT%H:%M:%S%z\", or the `zone` of local times",
        ),
    };
    let bad = |message: String, hint| Err(BadFormat { message, hint });
    let Some(parsed) = TimeFormat::parse(format) else {
        return bad(format!("`{format}` is no date format"), hint);
    };
    if let FieldType::Timestamp(_) = field_type.whole()
        && parsed.has_offset()
    {
        return bad(
            format!("the format `{format}` has an offset, which a timestamp can't keep"),
            "declare the field as timestamptz: SQL gets it in UTC",
        );
    }
    if parsed.has_zone_name() && !matches!(field_type.whole(), FieldType::Date(_)) {
        return bad(
            format!("the format `{format}` has the name of a time zone (%Z), which says no offset"),
            "names such as EST or CST mean several offsets: a timestamptz needs the offset itself (%z)",
        );
    }
    let read = |field_type: &FieldType| reads_back(format, &parsed, field_type);
    let local = match field_type {
        FieldType::Partial(_) => FieldType::Partial(Box::new(FieldType::Timestamp(Vec::new()))),
        _ => FieldType::Timestamp(Vec::new()),
    };
    if read(field_type) || (has_zone && !parsed.has_offset() && read(&local)) {
        return Ok(());
    }
    bad(format!("the format `{format}` does not give {needs}"), hint)
}

fn reads_back(format: &str, parsed: &TimeFormat, field_type: &FieldType) -> bool {
    let sample: DateTime<FixedOffset> = DateTime::UNIX_EPOCH.fixed_offset();
    // chrono can read an offset by `%#z`, but not write it.
    let permissive = StrftimeItems::new("%#z").next();
    let items = StrftimeItems::new(format).map(|item| {
        if Some(&item) == permissive.as_ref() {
            Item::Fixed(Fixed::TimezoneOffset)
        } else {
            item
        }
    });
    let text = sample.format_with_items(items).to_string();
    match field_type {
        FieldType::Partial(whole) => match **whole {
            FieldType::Date(_) => parsed.partial_date(&text).is_some(),
            FieldType::Timestamp(_) => parsed.partial_timestamp(&text).is_some(),
            _ => parsed.partial_instant(&text).is_some(),
        },
        FieldType::Date(_) => parsed.date(&text).is_some(),
        FieldType::Timestamp(_) => parsed.timestamp(&text).is_some(),
        _ => parsed.instant(&text).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_must_hold_what_the_type_needs() {
        let date = FieldType::Date(Vec::new());
        let timestamp = FieldType::Timestamp(Vec::new());
        let instant = FieldType::TimestampTz(Vec::new());
        for (format, field_type) in [
            ("%d.%m.%Y", &date),
            ("%Y%m%d", &date),
            ("%y/%j", &date),
            ("%b %e, %Y", &date),
            ("%Y-%m-%d %H:%M", &date),
            ("%Y-%m-%d %H:%M", &timestamp),
            ("%Y-%m-%dT%H:%M:%S%.f", &timestamp),
            ("%s", &timestamp),
            ("%+", &instant),
            ("%Y-%m-%d %H:%M:%S %z", &instant),
        ] {
            assert_eq!(check(format, field_type, false), Ok(()), "{format}");
        }
        for format in [
            "%Y-%m-%d %H:%M:%S %z",
            "%Y-%m-%d %H:%M%:z",
            "%Y-%m-%dT%H:%M:%S%#z",
            "%+",
            "%Y-%m-%dT%H:%M:%S%.f%::z",
        ] {
            let bad = check(format, &timestamp, false).unwrap_err();
            assert!(bad.message.contains("has an offset"), "{format}: {}", bad.message);
            assert!(bad.hint.contains("timestamptz"), "{format}");
            assert_eq!(check(format, &date, false), Ok(()), "{format}");
        }
        for field_type in [&timestamp, &instant] {
            let bad = check("%Y-%m-%d %H:%M:%S %Z", field_type, false).unwrap_err();
            assert!(bad.message.contains("(%Z)"), "{}", bad.message);
        }
        // What the format writes is not what it reads: where the day ends can't be told.
        assert!(check("%-d%m%Y", &date, false).is_err());
        // A field with a zone takes local times.
        let local = "%d.%m.%Y %H:%M";
        for field_type in [&instant, &FieldType::Partial(Box::new(instant.clone()))] {
            assert!(check(local, field_type, false).is_err());
            assert_eq!(check(local, field_type, true), Ok(()));
            assert!(check("%H:%M", field_type, true).is_err());
        }
        assert!(check("%d.%m.%Y", &instant, true).is_err());
        assert_eq!(check("%s", &instant, false), Ok(()));
        assert_eq!(check("%Y-%m-%d %H:%M%#z", &instant, false), Ok(()));
        let message =
            |format: &str, field_type: &FieldType| check(format, field_type, false).map_err(|bad| bad.message);
        assert_eq!(message("%Q", &date), Err("`%Q` is no date format".into()));
        assert_eq!(
            message("%d.%m.", &date),
            Err("the format `%d.%m.` does not give a whole date".into())
        );
        assert_eq!(
            message("dd.mm.yyyy", &date),
            Err("the format `dd.mm.yyyy` does not give a whole date".into())
        );
        assert_eq!(
            message("%Y-%m-%d", &timestamp),
            Err("the format `%Y-%m-%d` does not give a date and a time of day".into())
        );
        assert_eq!(
            message("%Y-%m-%d %H:%M", &instant),
            Err("the format `%Y-%m-%d %H:%M` does not give a date, a time of day and an offset".into())
        );
    }
}
