//! Invents single values like given ones.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use rand::Rng as _;
use serde_json::Value;

use crate::model::{Field, FieldType, From, Literal};

/// A text with more words than this becomes a fixed sentence.
const MOST_WORDS: usize = 3;

/// A text with more characters than this becomes a fixed sentence.
const MOST_CHARACTERS: usize = 40;

/// How often to invent a value before giving up to meet its checks.
pub(super) const TRIES: usize = 200;

pub(super) fn pick<T>(values: &[T]) -> Option<&T> {
    let count = values.len();
    (count > 0).then(|| &values[rand::rng().random_range(0..count)])
}

pub(super) fn is_prose(text: &str) -> bool {
    text.split_whitespace().count() > MOST_WORDS || text.chars().count() > MOST_CHARACTERS || text.contains('\n')
}

/// A text with other letters and digits in the same places. Hexadecimal digits stay such, so that a UUID stays one.
pub(super) fn like(text: &str) -> String {
    let is_uuid = uuid::Uuid::parse_str(text).is_ok();
    let mut rng = rand::rng();
    let mut any = |from: &[u8]| char::from(from[rng.random_range(0..from.len())]);
    text.chars()
        .map(|c| match c {
            c if is_uuid && c.is_ascii_hexdigit() => any(b"0123456789abcdef"),
            c if c.is_numeric() => any(b"0123456789"),
            c if c.is_uppercase() => any(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
            c if c.is_alphabetic() => any(b"abcdefghijklmnopqrstuvwxyz"),
            c if c.is_ascii() => c,
            _ => '_',
        })
        .collect()
}

/// A number with other digits. It has as many, so its first digit is not 0.
pub(super) fn digits(text: &str) -> String {
    let mut rng = rand::rng();
    let mut first = true;
    let mut exponent = false;
    text.chars()
        .map(|c| {
            exponent |= matches!(c, 'e' | 'E');
            if !c.is_ascii_digit() || exponent {
                return c;
            }
            let lowest = u8::from(first && text.trim_start_matches('-').len() > 1);
            // 1 keeps the largest numbers of a type within it.
            let highest = if first && text.len() >= 10 { 2 } else { 10 };
            first = false;
            char::from(b'0' + rng.random_range(lowest..highest))
        })
        .collect()
}

pub(super) fn number_text(array: &ArrayRef, row: usize) -> Option<String> {
    Some(match array.data_type() {
        DataType::Int32 => array.as_primitive_opt::<Int32Type>()?.value(row).to_string(),
        DataType::Int64 => array.as_primitive_opt::<Int64Type>()?.value(row).to_string(),
        DataType::Float64 => array.as_primitive_opt::<Float64Type>()?.value(row).to_string(),
        _ => arrow::util::display::array_value_to_string(array, row).ok()?,
    })
}

/// A number that keeps to the field's rules. Where none is found, the record is refused, and the case says so.
pub(super) fn number(original: &str, field: &Field) -> Value {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::from(0));
    let scale = match field.field_type {
        FieldType::Decimal(_, scale) => i32::from(scale),
        _ => 0,
    };
    let whole = |literal: &Literal| match literal {
        #[expect(clippy::cast_precision_loss, reason = "an invented number need not be exact")]
        Literal::Number(number) => Some(*number as f64 / 10f64.powi(scale)),
        Literal::Double(number) => Some(*number),
        _ => None,
    };
    if let Some(number) = pick(&field.rules.accepted_values).and_then(whole) {
        return parsed(&number.to_string());
    }
    let range = field.rules.range.as_ref();
    let least = range.and_then(|range| range.min.as_ref()).and_then(whole);
    let most = range.and_then(|range| range.max.as_ref()).and_then(whole);
    let mut text = digits(original);
    for _ in 0..TRIES {
        let value: f64 = text.parse().unwrap_or(0.0);
        let within = least.is_none_or(|least| least <= value) && most.is_none_or(|most| value <= most);
        if within && text != original {
            break;
        }
        text = digits(original);
    }
    parsed(&text)
}

/// A text, also where the equal value that was met first is a number.
pub(super) fn as_text(value: Value) -> Value {
    match value {
        Value::String(_) => value,
        other => Value::from(other.to_string()),
    }
}

/// A value as the source sends it: as a text where the field says so.
pub(super) fn as_sent(text: String, value: Value, from: Option<From>) -> Value {
    if from == Some(From::String) {
        Value::from(text)
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_shape_and_nothing_else() {
        for _ in 0..50 {
            let text = like("ICD-10:É9 z");
            assert_eq!(text.len(), "ICD-10:X9 z".len());
            let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
            assert!(
                shape[3..].starts_with("-99:") && shape.ends_with(char::is_lowercase),
                "{text}"
            );
            let id = like("6f9619ff-8b86-d011-b42d-00cf4fc964ff");
            assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
        }
        assert!(is_prose("came in with a cough") && !is_prose("Zorsil Miko"));
    }

    #[test]
    fn numbers_keep_their_size() {
        for _ in 0..50 {
            assert_eq!(digits("-120").len(), 4);
            assert!(digits("-120").parse::<i32>().unwrap() <= -100);
            assert!(digits("2147483647").parse::<i32>().is_ok());
            assert!(digits("9223372036854775807").parse::<i64>().is_ok());
            assert!(digits("0.5").len() == 3);
            digits("1e21").parse::<f64>().unwrap();
        }
    }
}
