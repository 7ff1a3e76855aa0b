//! The Arrow types that declared fields are decoded into.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, TimeUnit};

use super::{Field, FieldType};

/// The fields of the struct that a partial date or time is.
const PARTIAL: [&str; 2] = ["value", "precision"];

/// The fields of the struct that a reference is.
const REFERENCE: [&str; 4] = ["type", "id", "contained", "query"];

pub(super) fn arrow_field(field: &Field) -> ArrowField {
    ArrowField::new(&field.name, arrow_type(&field.field_type), true)
}

/// Whether an Arrow type is that of a partial date or time.
pub(crate) fn is_partial(data_type: &DataType) -> bool {
    let DataType::Struct(fields) = data_type else {
        return false;
    };
    let [value, precision] = &fields[..] else { return false };
    [value.name(), precision.name()] == PARTIAL
        && *precision.data_type() == DataType::Utf8
        && matches!(value.data_type(), DataType::Date32 | DataType::Timestamp(..))
}

/// Whether an Arrow type is that of a reference.
pub(crate) fn is_reference(data_type: &DataType) -> bool {
    let DataType::Struct(fields) = data_type else {
        return false;
    };
    fields.iter().map(|field| field.name()).eq(REFERENCE)
        && fields.iter().all(|field| *field.data_type() == DataType::Utf8)
}

/// The Arrow type that a declared type is decoded into.
pub fn arrow_type(field_type: &FieldType) -> DataType {
    match field_type {
        FieldType::String | FieldType::Json => DataType::Utf8,
        FieldType::Bool => DataType::Boolean,
        FieldType::Int => DataType::Int32,
        FieldType::Bigint => DataType::Int64,
        FieldType::Double => DataType::Float64,
        FieldType::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
        FieldType::Date(_) => DataType::Date32,
        FieldType::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
        FieldType::TimestampTz(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        FieldType::Partial(whole) => DataType::Struct(
            [
                ArrowField::new(PARTIAL[0], arrow_type(whole), true),
                ArrowField::new(PARTIAL[1], DataType::Utf8, true),
            ]
            .into_iter()
            .collect(),
        ),
        FieldType::Reference(_) => DataType::Struct(
            REFERENCE
                .iter()
                .map(|name| ArrowField::new(*name, DataType::Utf8, true))
                .collect(),
        ),
        FieldType::Struct(fields) => DataType::Struct(fields.iter().map(arrow_field).collect()),
        FieldType::List(item) => DataType::List(Arc::new(ArrowField::new("item", arrow_type(&item.field_type), true))),
    }
}
