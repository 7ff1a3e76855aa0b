//! Which masks each field type may have, and which type each mask returns. The project check, the mask plan and the
//! documentation all use this one table.

use arrow::datatypes::DataType;

use super::{FieldType, MaskKind, arrow_type};

/// The types of a scalar field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scalar {
    String,
    Bool,
    Int,
    Bigint,
    Double,
    Decimal,
    Date,
    Timestamp,
    TimestampTz,
    Reference,
    Json,
}

use Scalar::{Bigint, Bool, Date, Decimal, Double, Int, Json, Reference, String as Text, Timestamp, TimestampTz};

const SCALARS: [Scalar; 11] = [
    Text,
    Bool,
    Int,
    Bigint,
    Double,
    Decimal,
    Date,
    Timestamp,
    TimestampTz,
    Reference,
    Json,
];

/// What a mask returns for a type.
#[derive(Debug, Clone, Copy)]
enum Output {
    Same,
    String,
    Int,
}

const MATRIX: [(MaskKind, &[Scalar], Output); 10] = [
    (MaskKind::Keep, &SCALARS, Output::Same),
    (MaskKind::Null, &SCALARS, Output::Same),
    (MaskKind::Redact, &[Text, Json], Output::String),
    (
        MaskKind::Hash,
        &[Text, Int, Bigint, Decimal, Date, Reference, Json],
        Output::String,
    ),
    (MaskKind::Pseudonym, &[Text], Output::Same),
    (MaskKind::DateShift, &[Date, Timestamp, TimestampTz], Output::Same),
    (MaskKind::Year, &[Date, Timestamp, TimestampTz], Output::Int),
    (MaskKind::Zip3, &[Text], Output::Same),
    (MaskKind::AgeCap, &[Int, Bigint, Double, Decimal], Output::Same),
    (
        MaskKind::Surrogate,
        &[Text, Int, Bigint, Decimal, Date, Reference, Json],
        Output::String,
    ),
];

/// The Arrow type that `mask` returns for a scalar field of `field_type`. The error says in the user's words why the
/// field can't have the mask.
pub fn output_type(field_type: &FieldType, mask: MaskKind) -> Result<DataType, String> {
    let Some(scalar) = scalar(field_type) else {
        return Err("a mask belongs to a scalar field, or to a list of scalars".to_owned());
    };
    let (_, inputs, output) = row(mask);
    if !inputs.contains(&scalar) {
        return Err(format!(
            "`{}` does not mask {}; {}",
            mask.name(),
            article(scalar),
            takes(inputs)
        ));
    }
    Ok(match output {
        // Of a reference, the type stays and the id is masked.
        _ if scalar == Reference => arrow_type(field_type),
        Output::Same => arrow_type(field_type),
        Output::String => DataType::Utf8,
        Output::Int => DataType::Int32,
    })
}

/// The masks that a scalar field of `field_type` may have, in the table's order. None for a struct or a list.
pub(crate) fn masks_of(field_type: &FieldType) -> impl Iterator<Item = MaskKind> {
    let scalar = scalar(field_type);
    MATRIX
        .iter()
        .filter(move |(_, inputs, _)| scalar.is_some_and(|s| inputs.contains(&s)))
        .map(|(mask, ..)| *mask)
}

fn row(mask: MaskKind) -> (MaskKind, &'static [Scalar], Output) {
    MATRIX
        .into_iter()
        .find(|(kind, ..)| *kind == mask)
        .expect("every mask has a row; a test walks them all")
}

fn scalar(field_type: &FieldType) -> Option<Scalar> {
    Some(match field_type {
        FieldType::String => Text,
        FieldType::Bool => Bool,
        FieldType::Int => Int,
        FieldType::Bigint => Bigint,
        FieldType::Double => Double,
        FieldType::Decimal(..) => Decimal,
        FieldType::Date(_) => Date,
        FieldType::Timestamp(_) => Timestamp,
        FieldType::TimestampTz(_) => TimestampTz,
        FieldType::Reference(_) => Reference,
        FieldType::Json => Json,
        FieldType::Partial(whole) => return scalar(whole),
        FieldType::Struct(_) | FieldType::List(_) => return None,
    })
}

/// The type's name in YAML.
fn name(scalar: Scalar) -> &'static str {
    match scalar {
        Text => "string",
        Bool => "bool",
        Int => "int",
        Bigint => "bigint",
        Double => "double",
        Decimal => "decimal",
        Date => "date",
        Timestamp => "timestamp",
        TimestampTz => "timestamptz",
        Reference => "reference",
        Json => "json",
    }
}

fn article(scalar: Scalar) -> String {
    let article = if scalar == Int { "an" } else { "a" };
    format!("{article} {}", name(scalar))
}

fn takes(inputs: &[Scalar]) -> String {
    let names: Vec<&str> = inputs.iter().map(|scalar| name(*scalar)).collect();
    match names.split_last() {
        Some((last, [])) => format!("it takes {last}"),
        Some((last, rest)) => format!("it takes {} and {last}", rest.join(", ")),
        None => "it takes nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table as in `docs/reference/masks.md`: a row per type and a column per mask. A cell holds the type that the
    /// mask returns.
    fn markdown() -> String {
        let mut text = String::from("| type |");
        for (mask, ..) in MATRIX {
            let _ = write!(text, " {} |", mask.name());
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(MATRIX.len()));
        text.push('\n');
        for scalar in SCALARS {
            let _ = write!(text, "| {} |", name(scalar));
            for (_, inputs, output) in MATRIX {
                let cell = match output {
                    _ if !inputs.contains(&scalar) => "–",
                    _ if scalar == Reference => name(scalar),
                    Output::Same => name(scalar),
                    Output::String => name(Text),
                    Output::Int => name(Int),
                };
                let _ = write!(text, " {cell} |");
            }
            text.push('\n');
        }
        text
    }

    #[test]
    fn every_mask_has_a_row_and_every_type_can_be_nulled() {
        for mask in MaskKind::ALL {
            assert_eq!(row(mask).0, mask);
        }
        assert_eq!(
            masks_of(&FieldType::Bool).collect::<Vec<_>>(),
            [MaskKind::Keep, MaskKind::Null]
        );
        assert_eq!(masks_of(&FieldType::Struct(vec![])).count(), 0);
    }

    #[test]
    fn says_why_a_pair_is_refused() {
        assert_eq!(
            output_type(&FieldType::Int, MaskKind::Redact).unwrap_err(),
            "`redact` does not mask an int; it takes string and json"
        );
        assert_eq!(
            output_type(&FieldType::Bool, MaskKind::Zip3).unwrap_err(),
            "`zip3` does not mask a bool; it takes string"
        );
        assert!(output_type(&FieldType::Struct(vec![]), MaskKind::Null).is_err());
    }

    #[test]
    fn gives_the_type_that_sql_sees() {
        assert_eq!(
            output_type(&FieldType::Decimal(9, 2), MaskKind::Hash),
            Ok(DataType::Utf8)
        );
        assert_eq!(
            output_type(&FieldType::Decimal(9, 2), MaskKind::Null),
            Ok(DataType::Decimal128(9, 2))
        );
        assert_eq!(
            output_type(&FieldType::TimestampTz(vec![]), MaskKind::Year),
            Ok(DataType::Int32)
        );
        assert_eq!(output_type(&FieldType::Bigint, MaskKind::AgeCap), Ok(DataType::Int64));
    }

    #[test]
    fn the_documentation_shows_this_table() {
        assert!(
            include_str!("../../docs/reference/masks.md").contains(&markdown()),
            "expected:\n{}",
            markdown()
        );
    }
}
