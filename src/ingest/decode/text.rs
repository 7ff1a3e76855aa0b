//! Puts one scalar into its column, from its text or from a JSON number. The same rules hold for strings in JSON, cells
//! of csv and strings in parquet.

use super::super::failure::Reason;
use super::column::{Column, Values};
use super::plan::{Scalar, ScalarKind};
use super::scalar;

/// From text: dates and times by their format, numbers by their digits.
pub(crate) fn push_text(text: &str, scalar: &Scalar, column: &mut Column) -> Result<(), Reason> {
    match (&scalar.kind, &mut column.values) {
        (ScalarKind::String, Values::Utf8 { .. }) => {
            if memchr::memchr(0, text.as_bytes()).is_some() {
                return Err("a NUL character".into());
            }
            column.push_str(text);
            return Ok(());
        }
        (ScalarKind::Bool, Values::Bool(values)) => match text {
            "true" => values.append(true),
            "false" => values.append(false),
            _ => return Err("neither true nor false".into()),
        },
        (ScalarKind::Date(formats), Values::Date(values)) => values.push(scalar::date(text, formats)?),
        (ScalarKind::Timestamp(formats), Values::Micros(values)) => values.push(scalar::timestamp(text, formats)?),
        (ScalarKind::TimestampTz(formats), Values::Micros(values)) => values.push(scalar::timestamptz(text, formats)?),
        _ => return push_number(text, scalar, column),
    }
    column.valid();
    Ok(())
}

/// From the digits of a number, as written.
pub(crate) fn push_number(text: &str, scalar: &Scalar, column: &mut Column) -> Result<(), Reason> {
    match (&scalar.kind, &mut column.values) {
        (ScalarKind::String, Values::Utf8 { .. }) => {
            column.push_str(text);
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
