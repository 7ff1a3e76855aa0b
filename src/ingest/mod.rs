//! stub
use datafusion::arrow::datatypes::*;
use std::sync::Arc;
pub const RECORD_COLUMN: &str = "_record";
pub fn arrow_schema(source: &crate::project::Source) -> SchemaRef {
    let mut f: Vec<Field> = source.schema.iter().map(field).collect();
    f.push(Field::new(RECORD_COLUMN, DataType::UInt64, false));
    Arc::new(Schema::new(f))
}
fn field(f: &crate::project::Field) -> Field {
    use crate::project::FieldType as T;
    let t = match &f.field_type {
        T::String | T::Json => DataType::Utf8,
        T::Bool => DataType::Boolean,
        T::Int => DataType::Int32,
        T::Double => DataType::Float64,
        T::Decimal(p, s) => DataType::Decimal128(*p, *s),
        T::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
        T::TimestampTz(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Date(_) => DataType::Date32,
        T::Struct(fs) => DataType::Struct(fs.iter().map(field).collect()),
        T::List(i) => DataType::List(Arc::new(Field::new("item", field(i).data_type().clone(), true))),
        T::Bigint => DataType::Int64,
    };
    Field::new(&f.name, t, true)
}
