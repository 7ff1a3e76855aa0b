//! Reads one scalar value, from a text or a JSON number, into its column. The same rules hold for strings in JSON,
//! cells of csv and texts in parquet.

use super::column::{Column, Values};
use super::plan::{Scalar, ScalarKind};
use super::rules::Breach;
use crate::model::refusal::Reason;
use crate::model::{From, scalar};

/// Reads a text into its column: dates and times by their formats, numbers by their digits. The field's rules are
/// applied as well. A text with a NUL character is refused, since PostgreSQL can't store it.
pub(crate) fn push_text(text: &str, scalar: &Scalar, column: &mut Column) -> Result<(), Breach> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err("a NUL character".into());
    }
    push_clean(text, scalar, column)
}

/// As [`push_text`], for a text that can't hold a NUL character. The JSON reader has refused those already.
pub(crate) fn push_clean(text: &str, scalar: &Scalar, column: &mut Column) -> Result<(), Breach> {
    match &scalar.rules {
        None => Ok(read_text(text, scalar, column)?),
        Some(rules) => rules.push(text, column, |text, column| read_text(text, scalar, column)),
    }
}

/// Reads the digits of a JSON number, as written, into its column. The field's rules are applied as well.
pub(crate) fn push_number(text: &str, scalar: &Scalar, column: &mut Column) -> Result<(), Breach> {
    match &scalar.rules {
        None => Ok(read_number(text, scalar, column)?),
        Some(rules) => rules.push(text, column, |text, column| read_number(text, scalar, column)),
    }
}

fn read_text(text: &str, scalar: &Scalar, column: &mut Column) -> Result<(), Reason> {
    match (&scalar.kind, &mut column.values) {
        (ScalarKind::String, Values::Utf8 { .. }) => {
            column.push_str(text);
            return Ok(());
        }
        (ScalarKind::Bool, Values::Bool(values)) => match text {
            "true" => values.append(true),
            "false" => values.append(false),
            _ => return Err("neither true nor false".into()),
        },
        (ScalarKind::Date(formats), Values::Date(values)) => values.push(scalar::date(text, formats)?),
        (ScalarKind::Timestamp(formats), Values::Micros(_)) => {
            column.push_micros(scalar::timestamp(text, formats)?);
            return Ok(());
        }
        (ScalarKind::TimestampTz(formats), Values::Micros(_)) => {
            column.push_micros(scalar::timestamptz(text, formats)?);
            return Ok(());
        }
        _ => return read_number(text, scalar, column),
    }
    column.valid();
    Ok(())
}

fn read_number(text: &str, scalar: &Scalar, column: &mut Column) -> Result<(), Reason> {
    match (&scalar.kind, &mut column.values) {
        (ScalarKind::String, Values::Utf8 { .. }) => {
            // Where both are sent, numbers are spelt in one way, so that equal ids have the same mask.
            match scalar.from {
                Some(From::Either) => column.push_str(&scalar::plain_number(text)?),
                _ => column.push_str(text),
            }
            return Ok(());
        }
        (ScalarKind::Int, Values::Int32(values)) => values.push(scalar::int(text)?),
        (ScalarKind::Bigint, Values::Int64(values)) => values.push(scalar::int(text)?),
        (ScalarKind::Double, Values::Float64(values)) => values.push(scalar::double(text)?),
        (ScalarKind::Decimal(precision, scale), Values::Decimal(values)) => {
            values.push(scalar::decimal(text, *precision, *scale)?);
        }
        _ => return Err("a number where none is declared".into()),
    }
    column.valid();
    Ok(())
}
