//! Values that are written in the project's files: the bounds and accepted values of a field.

use super::refusal::Reason;
use super::scalar::{self, Formats, Micros};
use super::{FieldType, Literal};

/// Reads a value as the project writes it. Dates and times are in ISO 8601. A date without a time means the start of
/// the day.
pub fn literal(text: &str, field_type: &FieldType) -> Option<Literal> {
    let iso = Formats::default();
    let digits = || text.replace('_', "");
    let midnight = format!("{text}T00:00:00");
    let whole = |read: Result<Micros, Reason>| read.ok().filter(|micros| !micros.cut).map(|micros| micros.value);
    Some(match field_type {
        FieldType::String => Literal::Text(text.to_owned()),
        FieldType::Bool => Literal::Bool(text.parse().ok()?),
        FieldType::Int => Literal::number(scalar::int::<i32>(&digits()).ok()?),
        FieldType::Bigint => Literal::number(scalar::int::<i64>(&digits()).ok()?),
        FieldType::Double => Literal::Double(scalar::double(&digits()).ok()?),
        FieldType::Decimal(precision, scale) => Literal::number(scalar::decimal(&digits(), *precision, *scale).ok()?),
        FieldType::Date(_) => Literal::number(scalar::date(text, &iso).ok()?),
        FieldType::Timestamp(_) => {
            let read = |text: &str| whole(scalar::timestamp(text, &iso));
            Literal::number(read(text).or_else(|| read(&midnight))?)
        }
        FieldType::TimestampTz(_) => {
            let read = |text: &str| whole(scalar::timestamptz(text, &iso));
            Literal::number(read(text).or_else(|| read(&(midnight + "Z")))?)
        }
        FieldType::Partial(whole) => return literal(text, whole),
        FieldType::Reference(_) | FieldType::Json | FieldType::Struct(_) | FieldType::List(_) => return None,
    })
}
