//! The declared schema of a kind as an Arrow schema: as records are decoded, and as SQL sees them after the masks.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};

use super::arrow_type::arrow_field;
use super::scalar_field::{NOTHING, effective_mask, element_privacy};
use super::{Field, FieldType, Kind, Privacy, mask_matrix};
use crate::error::{Error, Result};

/// The hidden column that says where a record came from. `UInt64`, not null: file index << 40 | record number (from 1).
pub const RECORD_COLUMN: &str = "_record";

/// The number of bits in [`RECORD_COLUMN`] that hold the record's number within its file.
pub const RECORD_BITS: u32 = 40;

/// The Arrow schema of a kind's records: the declared fields in order, all nullable, then [`RECORD_COLUMN`].
pub fn arrow_schema(kind: &Kind) -> SchemaRef {
    let mut fields: Vec<ArrowField> = kind.schema.iter().map(arrow_field).collect();
    fields.push(ArrowField::new(RECORD_COLUMN, DataType::UInt64, false));
    Arc::new(Schema::new(fields))
}

/// The schema that SQL sees: the declared fields with their types after masking, then [`RECORD_COLUMN`].
///
/// # Errors
/// A field has a mask that its type can't have.
pub fn visible_schema(kind: &Kind) -> Result<SchemaRef> {
    let decoded = arrow_schema(kind);
    let mut fields = decoded.fields().to_vec();
    for (field, output) in kind.schema.iter().zip(&mut fields) {
        let data_type = visible_type(field, &field.name, &NOTHING)
            .map_err(|why| Error::project(format!("{} of {}: {}", why.path, kind.label, why.reason)))?;
        *output = Arc::new(output.as_ref().clone().with_data_type(data_type));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The error for a field whose type can't have its mask.
struct NoSuchMask {
    path: String,
    reason: String,
}

/// The type of a field after masking. `list` holds the privacy settings of the list that contains this element.
fn visible_type(field: &Field, path: &str, list: &Privacy) -> Result<DataType, NoSuchMask> {
    let privacy = element_privacy(field, list);
    Ok(match &field.field_type {
        FieldType::Struct(children) => {
            let child = |child: &Field| {
                let data_type = visible_type(child, &format!("{path}.{}", child.name), &NOTHING)?;
                Ok(ArrowField::new(&child.name, data_type, true))
            };
            DataType::Struct(children.iter().map(child).collect::<Result<_, _>>()?)
        }
        FieldType::List(element) => {
            let item = visible_type(element, &format!("{path}[]"), privacy)?;
            DataType::List(Arc::new(ArrowField::new("item", item, true)))
        }
        scalar => mask_matrix::output_type(scalar, effective_mask(privacy)).map_err(|reason| NoSuchMask {
            path: path.to_owned(),
            reason,
        })?,
    })
}
