//! The Arrow types that declared fields are decoded into.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, TimeUnit};

use super::{Field, FieldType};

pub(super) fn arrow_field(field: &Field) -> ArrowField {
    ArrowField::new(&field.name, arrow_type(&field.field_type), true)
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
        FieldType::Struct(fields) => DataType::Struct(fields.iter().map(arrow_field).collect()),
        FieldType::List(item) => DataType::List(Arc::new(ArrowField::new("item", arrow_type(&item.field_type), true))),
    }
}
