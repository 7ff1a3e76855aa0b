//! The declared fields of a source's records and their types.

use super::{Privacy, References, ValueRules};
use crate::error::Location;

/// A declared field of a source's record.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub field_type: FieldType,
    pub description: Option<String>,
    /// The field must be present and not null.
    pub required: bool,
    /// The JSON type that the value arrives in, if it is not the usual one for the field's type.
    pub from: Option<From>,
    /// Only for a list: a value that is no list is read as a list of this one element.
    pub one_or_many: bool,
    /// Only for a scalar field or an element of a list of scalars.
    pub privacy: Privacy,
    /// Only for a scalar field.
    pub rules: ValueRules,
    pub location: Location,
}

#[derive(Debug, Clone, PartialEq, Eq, Copy)]
pub enum From {
    /// A number or boolean that arrives as a string: `"1234"`.
    String,
    /// A string that arrives as a number: `1234`.
    Number,
    /// A string or a number that arrives as either: `1234` in one record, `"1234"` in another.
    Either,
}

#[derive(Debug, Clone)]
pub enum FieldType {
    String,
    Bool,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Bigint,
    Double,
    /// Precision 1 to 38, scale 0 to precision.
    Decimal(u8, i8),
    /// chrono formats, tried in order. Empty means ISO 8601 (`%Y-%m-%d`).
    Date(Vec<String>),
    /// Microseconds without a time zone. The formats work as for dates. Empty means ISO 8601 without an offset.
    Timestamp(Vec<String>),
    /// An instant in microseconds UTC. Empty means RFC 3339, where the offset is required.
    TimestampTz(Vec<String>),
    /// A date, timestamp or timestamptz of which only the year, or year and month, may be known. SQL sees a struct of the
    /// first moment and of the precision.
    Partial(Box<FieldType>),
    /// A text that names another FHIR resource. SQL sees a struct of the resource's type and its id.
    Reference(References),
    /// Any JSON value, kept as its text.
    Json,
    Struct(Vec<Field>),
    /// The list's element is a field with the name `item`.
    List(Box<Field>),
}

impl FieldType {
    /// Of a partial date or time the type of its first moment; else the type itself.
    pub fn whole(&self) -> &Self {
        match self {
            Self::Partial(whole) => whole,
            other => other,
        }
    }

    /// The type's name with its article, for messages: "a string", "an int".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Bigint => "a bigint",
            Self::Double => "a double",
            Self::Decimal(..) => "a decimal",
            Self::Date(_) => "a date",
            Self::Timestamp(_) => "a timestamp",
            Self::TimestampTz(_) => "a timestamptz",
            Self::Partial(whole) => match **whole {
                Self::Date(_) => "a partial date",
                Self::Timestamp(_) => "a partial timestamp",
                _ => "a partial timestamptz",
            },
            Self::Reference(_) => "a reference",
            Self::Json => "json",
            Self::Struct(_) => "a struct",
            Self::List(_) => "a list",
        }
    }
}
