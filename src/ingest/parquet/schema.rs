//! Decides in which Arrow types the columns of a file are read, where the reader's own choice would lose something.
//!
//! - Texts are read as bytes, and become texts one by one. The reader refuses all rows of a batch for one text that is
//!   not valid UTF-8.
//! - Timestamps of 96 bits are read in microseconds. In the reader's nanoseconds, years before 1677 and after 2262 wrap.

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{FileMetaData, ParquetMetaData};
use ::parquet::schema::types::{SchemaDescriptor, Type, TypePtr};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};

use super::types::{is_text, plain};

/// The metadata with which a file is read, and those columns of it that are read a second time.
pub(super) type Readable = (ArrowReaderMetadata, Option<Millis>);

/// The columns with timestamps of 96 bits, read in milliseconds. [`super::wide`] says what for.
pub(super) struct Millis {
    pub metadata: ArrowReaderMetadata,
    /// The indices of the columns at the root.
    pub roots: Vec<usize>,
}

/// Decides how a file is read. `found` is what its own metadata say.
pub(super) fn readable(found: &ArrowReaderMetadata) -> Result<Readable, ParquetError> {
    let (metadata, roots) = in_unit(found, TimeUnit::Microsecond)?;
    if roots.is_empty() {
        return Ok((metadata, None));
    }
    let (millis, _) = in_unit(found, TimeUnit::Millisecond)?;
    let millis = Millis {
        metadata: millis,
        roots,
    };
    Ok((metadata, Some(millis)))
}

/// The metadata with timestamps of 96 bits in this unit, and the columns at the root that hold any.
fn in_unit(found: &ArrowReaderMetadata, unit: TimeUnit) -> Result<(ArrowReaderMetadata, Vec<usize>), ParquetError> {
    let file = found.metadata().file_metadata();
    let mut leaves = Leaves {
        columns: file.schema_descr(),
        next: 0,
        unit,
        wide: 0,
    };
    let (mut fields, mut roots) = (Vec::new(), Vec::new());
    for (root, field) in found.schema().fields().iter().enumerate() {
        let before = leaves.wide;
        fields.push(leaves.field(field));
        if leaves.wide > before {
            roots.push(root);
        }
    }
    let fields = Fields::from(fields);
    if leaves.next != leaves.columns.num_columns() || &fields == found.schema().fields() {
        return Ok((found.clone(), Vec::new()));
    }
    let root = Arc::new(SchemaDescriptor::new(without_texts(
        &file.schema_descr().root_schema_ptr(),
    )?));
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        root,
        file.column_orders().cloned(),
    );
    let metadata = ParquetMetaData::new(file, found.metadata().row_groups().to_vec());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    Ok((ArrowReaderMetadata::try_new(Arc::new(metadata), options)?, roots))
}

/// A walk over the leaves of a schema, which Arrow and parquet have in the same order.
struct Leaves<'a> {
    columns: &'a SchemaDescriptor,
    next: usize,
    unit: TimeUnit,
    /// How many timestamps of 96 bits there were so far.
    wide: usize,
}

impl Leaves<'_> {
    fn fields(&mut self, fields: &Fields) -> Fields {
        fields.iter().map(|field| self.field(field)).collect()
    }

    fn field(&mut self, field: &FieldRef) -> FieldRef {
        let data_type = self.data_type(field.data_type());
        if data_type == *field.data_type() {
            return Arc::clone(field);
        }
        let changed = Field::new(field.name(), data_type, field.is_nullable());
        Arc::new(changed.with_metadata(field.metadata().clone()))
    }

    fn data_type(&mut self, found: &DataType) -> DataType {
        match found {
            DataType::Struct(fields) => DataType::Struct(self.fields(fields)),
            DataType::List(item) => DataType::List(self.field(item)),
            DataType::LargeList(item) => DataType::LargeList(self.field(item)),
            DataType::ListView(item) => DataType::ListView(self.field(item)),
            DataType::LargeListView(item) => DataType::LargeListView(self.field(item)),
            DataType::FixedSizeList(item, length) => DataType::FixedSizeList(self.field(item), *length),
            DataType::Map(entries, sorted) => DataType::Map(self.field(entries), *sorted),
            value_type => {
                let column = self.next;
                self.next += 1;
                let physical =
                    (column < self.columns.num_columns()).then(|| self.columns.column(column).physical_type());
                match (physical, value_type) {
                    (Some(Physical::INT96), DataType::Timestamp(TimeUnit::Nanosecond, zone)) => {
                        self.wide += 1;
                        DataType::Timestamp(self.unit, zone.clone())
                    }
                    (Some(Physical::BYTE_ARRAY), text) if is_text(plain(text)) => DataType::Binary,
                    _ => value_type.clone(),
                }
            }
        }
    }
}

/// A parquet type in which no column of bytes says that it holds texts.
fn without_texts(found: &TypePtr) -> Result<TypePtr, ParquetError> {
    let basic = found.get_basic_info();
    if let Type::GroupType { basic_info, fields } = found.as_ref() {
        let fields = fields.iter().map(without_texts).collect::<Result<_, _>>()?;
        let basic_info = basic_info.clone();
        return Ok(Arc::new(Type::GroupType { basic_info, fields }));
    }
    let named = matches!(basic.logical_type_ref(), Some(LogicalType::String | LogicalType::Json));
    let converted = matches!(basic.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON);
    if found.get_physical_type() != Physical::BYTE_ARRAY || !(named || converted) {
        return Ok(Arc::clone(found));
    }
    let bytes = Type::primitive_type_builder(found.name(), Physical::BYTE_ARRAY)
        .with_repetition(basic.repetition())
        .with_id(basic.has_id().then(|| basic.id()));
    Ok(Arc::new(bytes.build()?))
}
