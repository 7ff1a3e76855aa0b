//! Reads fields inside of structs. What an array holds under a null struct is not a value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::nullif;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// The field at these positions, null wherever a struct around it is null.
pub(super) fn at(batch: &RecordBatch, positions: &[usize]) -> Result<ArrayRef, ArrowError> {
    let [column, inside @ ..] = positions else {
        return Err(not_planned("field", &DataType::Null));
    };
    inside
        .iter()
        .try_fold(Arc::clone(batch.column(*column)), |array, position| {
            let structs = array
                .as_struct_opt()
                .ok_or_else(|| not_planned("struct", array.data_type()))?;
            under(structs.column(*position), structs.nulls())
        })
}

/// `child`, set to null wherever `parent` is null. What a child array holds under a null parent is not a value.
pub(super) fn under(child: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef, ArrowError> {
    match parent {
        Some(parent) if parent.null_count() > 0 => nullif(child, &BooleanArray::new(!parent.inner(), None)),
        _ => Ok(Arc::clone(child)),
    }
}

pub(super) fn not_planned(expected: &str, found: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("expected a {expected}, found {found}"))
}
