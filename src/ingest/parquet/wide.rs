//! Finds timestamps of 96 bits that microseconds in 64 bits can't hold. The reader multiplies and wraps, so such a value
//! looks like any other. In milliseconds none of them wraps, so these columns are read twice, and compared.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType};
use arrow::error::ArrowError;

/// What stands in place of a value that has wrapped. As a timestamp it is out of PostgreSQL's range.
pub(super) const WRAPPED: i64 = i64::MAX;

/// The batch with [`WRAPPED`] in place of the values that have wrapped. `millis` are some of its columns, by name, with
/// milliseconds where `batch` has microseconds.
pub(super) fn marked(batch: &RecordBatch, millis: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, micros)| match millis.column_by_name(field.name()) {
        Some(millis) => mark(micros, millis),
        None => Ok(Arc::clone(micros)),
    });
    RecordBatch::try_new(batch.schema(), columns.collect::<Result<_, _>>()?)
}

fn mark(micros: &ArrayRef, millis: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match (micros.data_type(), millis.data_type()) {
        (DataType::Timestamp(TimeUnit::Microsecond, _), DataType::Timestamp(TimeUnit::Millisecond, _)) => {
            let array = micros.as_primitive::<TimestampMicrosecondType>();
            let millis = millis.as_primitive::<TimestampMillisecondType>();
            let marked = array.values().iter().zip(millis.values()).map(|(micros, millis)| {
                if micros.div_euclid(1_000) == *millis {
                    *micros
                } else {
                    WRAPPED
                }
            });
            let marked = TimestampMicrosecondArray::new(marked.collect(), array.nulls().cloned());
            Ok(Arc::new(marked.with_data_type(micros.data_type().clone())))
        }
        (DataType::Struct(fields), DataType::Struct(_)) => {
            let (structs, millis) = (micros.as_struct(), millis.as_struct());
            let children = structs.columns().iter().zip(millis.columns());
            let children = children.map(|(micros, millis)| mark(micros, millis));
            let children = children.collect::<Result<Vec<_>, _>>()?;
            let nulls = structs.nulls().cloned();
            let built = StructArray::try_new_with_length(fields.clone(), children, nulls, structs.len())?;
            Ok(Arc::new(built))
        }
        (DataType::List(item), DataType::List(_)) => {
            let (lists, millis): (&ListArray, &ListArray) = (micros.as_list(), millis.as_list());
            let values = mark(lists.values(), millis.values())?;
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
        }
        _ => Ok(Arc::clone(micros)),
    }
}
