//! Reads one scalar value, from a text or a JSON number, into its column. The same rules hold for strings in JSON,
//! cells of csv and texts in parquet.

use super::column::{Column, Values};
use super::plan::{Scalar, ScalarKind};
use super::rules::Breach;
use crate::model::refusal::Reason;
use crate::model::{From, Precision, scalar};

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
    match (&scalar.kind, column.values()) {
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
        (ScalarKind::Partial(whole), Values::Struct(children)) => {
            let [value, precision] = children.as_mut_slice() else {
                return Err("a partial date that is not decoded as declared".into());
            };
            precision.push_str(read_partial(text, whole, value)?.name());
        }
        (ScalarKind::Reference(_), _) => return read_reference(text, None, scalar, column),
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

/// As [`push_clean`], for the text of a reference. `of_type` is what stands beside it, for a text that names no type.
pub(crate) fn push_reference(
    text: &str,
    of_type: Option<&str>,
    scalar: &Scalar,
    column: &mut Column,
) -> Result<(), Breach> {
    match &scalar.rules {
        None => Ok(read_reference(text, of_type, scalar, column)?),
        Some(rules) => rules.push(text, column, |text, column| {
            read_reference(text, of_type, scalar, column)
        }),
    }
}

fn read_reference(text: &str, of_type: Option<&str>, scalar: &Scalar, column: &mut Column) -> Result<(), Reason> {
    let (ScalarKind::Reference(references), Values::Struct(children)) = (&scalar.kind, column.values()) else {
        return Err("a reference where none is declared".into());
    };
    let read = references.read(text)?;
    let to = match (read.to, of_type) {
        (None, Some(of_type)) => Some(references.known(of_type)?),
        (to, _) => to,
    };
    for (part, column) in [to, read.id, read.contained, read.query].into_iter().zip(children) {
        match part {
            Some(part) => column.push_str(part),
            None => column.push_null(),
        }
    }
    column.valid();
    Ok(())
}

/// Reads the first moment into its column.
fn read_partial(text: &str, whole: &ScalarKind, column: &mut Column) -> Result<Precision, Reason> {
    if let ScalarKind::Date(formats) = whole {
        let (days, precision) = scalar::partial_date(text, formats)?;
        column.push_date(days);
        return Ok(precision);
    }
    let (micros, precision) = match whole {
        ScalarKind::Timestamp(formats) => scalar::partial_timestamp(text, formats)?,
        ScalarKind::TimestampTz(formats) => scalar::partial_timestamptz(text, formats)?,
        _ => return Err("a type that can't be partial".into()),
    };
    column.push_micros(micros);
    Ok(precision)
}

fn read_number(text: &str, scalar: &Scalar, column: &mut Column) -> Result<(), Reason> {
    match (&scalar.kind, column.values()) {
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
