//! Checks the date and time formats of a source's schema. chrono must be able to read the field's type with the format.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};

use crate::model::FieldType;

/// Why a format can't be used, and how to correct it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadFormat {
    pub message: String,
    pub hint: &'static str,
}

/// Checks that a value written with the format can be read back as the type. Other types take no format.
pub(super) fn check(format: &str, field_type: &FieldType) -> Result<(), BadFormat> {
    let (needs, hint) = match field_type {
        FieldType::Date(_) => ("a whole date", "a date needs year, month and day: \"%d.%m.%Y\""),
        FieldType::Timestamp(_) => (
            "a date and a time of day",
            "a timestamp needs date, hour and minute: \"%Y-%m-%d %H:%M:%S\"",
        ),
        _ => (
            "a date, a time of day and an offset",
            "a timestamptz needs date, hour, minute and offset: \"%Y-%m-%dT%H:%M:%S%z\"",
        ),
    };
    if StrftimeItems::new(format).any(|item| item == Item::Error) {
        return Err(BadFormat {
            message: format!("`{format}` is no date format"),
            hint,
        });
    }
    if reads_back(format, field_type) {
        return Ok(());
    }
    Err(BadFormat {
        message: format!("the format `{format}` does not give {needs}"),
        hint,
    })
}

fn reads_back(format: &str, field_type: &FieldType) -> bool {
    let sample: DateTime<FixedOffset> = DateTime::UNIX_EPOCH.fixed_offset();
    let text = sample.format(format).to_string();
    match field_type {
        FieldType::Date(_) => NaiveDate::parse_from_str(&text, format).is_ok(),
        FieldType::Timestamp(_) => NaiveDateTime::parse_from_str(&text, format).is_ok(),
        _ => DateTime::parse_from_str(&text, format).is_ok(),
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
            assert_eq!(check(format, field_type), Ok(()), "{format}");
        }
        let message = |format: &str, field_type: &FieldType| check(format, field_type).map_err(|bad| bad.message);
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
