//! What a source's declared schema is in Arrow: the shape that every transform plans against. It never looks at data.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};

use crate::project::{Field, FieldType, Source};

/// The hidden column that says where a record came from: `UInt64`, not null, file index << 40 | record number (from 1).
pub const RECORD_COLUMN: &str = "_record";

/// Bits of [`RECORD_COLUMN`] that hold the record's number within its file.
pub(super) const RECORD_BITS: u32 = 40;

/// The Arrow schema of a source's records: the declared fields in order, all nullable, then [`RECORD_COLUMN`].
pub fn arrow_schema(source: &Source) -> SchemaRef {
    let mut fields: Vec<ArrowField> = source.schema.iter().map(arrow_field).collect();
    fields.push(ArrowField::new(RECORD_COLUMN, DataType::UInt64, false));
    Arc::new(Schema::new(fields))
}

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
