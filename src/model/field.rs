//! The declared fields of a source's records and their types.

use super::{Privacy, ValueRules};
use crate::error::Location;

/// A declared field of a source's record.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub field_type: FieldType,
    /// Present and not null.
    pub required: bool,
    /// The JSON type that the value comes in, where it is not the natural one of its type.
    pub from: Option<From>,
    /// Of a leaf: a scalar, or the element of a list of scalars.
    pub privacy: Privacy,
    /// Of a scalar.
    pub rules: ValueRules,
    pub location: Location,
}

#[derive(Debug, Clone, PartialEq, Eq, Copy)]
pub enum From {
    /// A number or boolean that is sent as a string: `"1234"`.
    String,
    /// A string that is sent as a number: `1234`.
    Number,
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
    /// chrono formats, tried in order; empty is ISO 8601 (`%Y-%m-%d`).
    Date(Vec<String>),
    /// Without time zone, microseconds; formats as for dates, empty is ISO 8601 without an offset.
    Timestamp(Vec<String>),
    /// An instant, microseconds UTC; empty is RFC 3339, the offset is required.
    TimestampTz(Vec<String>),
    /// Any JSON value, kept as its text.
    Json,
    Struct(Vec<Field>),
    /// Elements have the name `item`.
    List(Box<Field>),
}

impl FieldType {
    /// With its article, as messages name it: "a string", "an int".
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
            Self::Json => "json",
            Self::Struct(_) => "a struct",
            Self::List(_) => "a list",
        }
    }
}
