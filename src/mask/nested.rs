//! Reads fields inside of structs. What an array holds under a null struct is not a value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::kinds::under;

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

pub(super) fn not_planned(expected: &str, found: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("expected a {expected}, found {found}"))
}
