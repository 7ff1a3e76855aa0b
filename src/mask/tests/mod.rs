//! Tests of masks as a source declares them, on whole batches.

mod nesting;
mod partial;
mod promises;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StringArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, SchemaRef};

use crate::mask::{MaskKey, Masks, Unmasked};
use crate::model::arrow_schema;
use crate::model::testing::{field, source};
use crate::model::{FieldType, MaskKind, Privacy, Source};

fn key() -> MaskKey {
    MaskKey::from_bytes([9; 32])
}

fn masked_as(mask: MaskKind) -> Privacy {
    Privacy {
        mask: Some(mask),
        ..Privacy::default()
    }
}

fn batch(schema: &SchemaRef, mut columns: Vec<ArrayRef>) -> RecordBatch {
    let rows = columns[0].len();
    columns.push(Arc::new(UInt64Array::from_iter_values(1..=rows as u64)));
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

/// The columns of a source after its masks.
fn run(source: &Source, key: &MaskKey, columns: Vec<ArrayRef>) -> RecordBatch {
    let masks = Masks::plan(source, key).unwrap();
    let masked = masks
        .apply(Unmasked::new(batch(&arrow_schema(&source.kinds[0]), columns), 0))
        .unwrap()
        .into_inner();
    assert_eq!(masked.schema(), masks.output_schemas()[0]);
    masked
}

/// One column of one type under one mask.
fn mask_one(field_type: &FieldType, mask: MaskKind, array: ArrayRef) -> ArrayRef {
    let mut source = source(
        "a",
        vec![
            field("id", FieldType::String, Privacy::default()),
            field("x", field_type.clone(), masked_as(mask)),
        ],
    );
    source.kinds[0].subject = Some("id".into());
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..array.len()).map(|i| format!("P{}", i % 2)),
    ));
    Arc::clone(run(&source, &key(), vec![ids, array]).column(1))
}

fn strings(array: &ArrayRef) -> Vec<Option<&str>> {
    array.as_string::<i32>().iter().collect()
}

fn list_of(field_type: &FieldType, values: ArrayRef, lengths: &[usize], valid: Option<Vec<bool>>) -> ArrayRef {
    let DataType::List(item) = crate::model::arrow_type(field_type) else {
        unreachable!()
    };
    Arc::new(ListArray::new(
        item,
        OffsetBuffer::from_lengths(lengths.iter().copied()),
        values,
        valid.map(NullBuffer::from),
    ))
}
