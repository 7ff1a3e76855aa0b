//! Removes the fields of `source` that a transform does not use. For example, `select visit, unnest(visit.diagnoses)`
//! carries whole structs through every unnest, and copies them with all that is nested in them. Removing unused
//! fields from the records first is cheap, since Arrow shares the remaining arrays. The caller decides which fields
//! are used.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::model::{RECORD_COLUMN, is_partial, is_reference};

/// The part of a schema that is on the used paths, such as `visits[].date`. The record number always stays. A list or
/// struct for which only its presence matters keeps its first field.
///
/// `prefix` is what the paths of these fields begin with, where that is more than their names.
pub(super) fn schema(full: &Schema, prefix: &str, used: &BTreeSet<String>) -> SchemaRef {
    let columns = full.fields().iter();
    let mut kept: Vec<FieldRef> = columns
        .filter_map(|column| {
            if column.name() == RECORD_COLUMN {
                return Some(Arc::clone(column));
            }
            let dot = if prefix.is_empty() { "" } else { "." };
            field(column, &format!("{prefix}{dot}{}", column.name()), used)
        })
        .collect();
    // A table without columns is a special case in many places, so one column is kept.
    if kept.iter().all(|column| column.name() == RECORD_COLUMN)
        && let Some(first) = full.fields().first()
        && first.name() != RECORD_COLUMN
    {
        kept.insert(0, Arc::clone(first));
    }
    Arc::new(Schema::new(kept))
}

fn field(full: &FieldRef, path: &str, used: &BTreeSet<String>) -> Option<FieldRef> {
    let is_used = used
        .range::<str, _>((Bound::Included(path), Bound::Unbounded))
        .take_while(|other| other.starts_with(path))
        .any(|other| matches!(other.as_bytes().get(path.len()), None | Some(b'.' | b'[')));
    is_used.then(|| narrowed(full, path, used))
}

fn narrowed(full: &FieldRef, path: &str, used: &BTreeSet<String>) -> FieldRef {
    let data_type = match full.data_type() {
        // Its fields are one value, and have one path.
        one if is_partial(one) || is_reference(one) => return Arc::clone(full),
        DataType::Struct(fields) => {
            let children = fields.iter();
            let kept = children.filter_map(|child| field(child, &format!("{path}.{}", child.name()), used));
            let mut kept: Vec<FieldRef> = kept.collect();
            if kept.is_empty() {
                kept.extend(fields.first().cloned());
            }
            DataType::Struct(kept.into())
        }
        DataType::List(item) => DataType::List(narrowed(item, &format!("{path}[]"), used)),
        _ => return Arc::clone(full),
    };
    if data_type == *full.data_type() {
        return Arc::clone(full);
    }
    Arc::new(Field::clone(full).with_data_type(data_type))
}

/// A batch reduced to a schema that [`schema`] made from the batch's schema.
fn batch(full: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = picked(full.schema_ref().fields(), full.columns(), schema.fields())?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn picked(names: &Fields, arrays: &[ArrayRef], wanted: &Fields) -> Result<Vec<ArrayRef>, ArrowError> {
    let pick = |field: &FieldRef| match names.find(field.name()) {
        Some((at, _)) => array(&arrays[at], field.data_type()),
        None => Err(ArrowError::SchemaError(format!("there is no field {}", field.name()))),
    };
    wanted.iter().map(pick).collect()
}

fn array(full: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if full.data_type() == wanted {
        return Ok(Arc::clone(full));
    }
    match wanted {
        DataType::Struct(fields) => {
            let full = full.as_struct();
            let columns = picked(full.fields(), full.columns(), fields)?;
            let nulls = full.nulls().cloned();
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?))
        }
        DataType::List(item) => {
            let full = full.as_list::<i32>();
            let values = array(full.values(), item.data_type())?;
            let (offsets, nulls) = (full.offsets().clone(), full.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
        }
        other => Err(ArrowError::SchemaError(format!("{} is not {other}", full.data_type()))),
    }
}

/// The batches of a scan, each reduced to the schema.
pub(super) fn stream(full: SendableRecordBatchStream, schema: &SchemaRef) -> SendableRecordBatchStream {
    let narrow = Arc::clone(schema);
    let cut = move |full: Result<RecordBatch, DataFusionError>| Ok(batch(&full?, &narrow)?);
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), full.map(cut)))
}

#[cfg(test)]
mod tests {
    use arrow::buffer::NullBuffer;
    use datafusion::arrow::array::{Int32Array, StringArray, UInt64Array};
    use datafusion::arrow::buffer::OffsetBuffer;

    use super::*;

    fn full() -> RecordBatch {
        let text = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
        let number = Arc::new(Field::new("number", DataType::Int32, true));
        let note = DataType::Struct(vec![text("text"), text("author")].into());
        let visit: Fields = vec![
            Arc::clone(&number),
            Arc::new(Field::new("note", note.clone(), true)),
            text("date"),
        ]
        .into();
        let DataType::Struct(note) = note else { unreachable!() };
        let texts = |values: [Option<&str>; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let notes = StructArray::new(
            note,
            vec![texts([Some("a"), None, Some("b")]), texts([Some("x"), Some("y"), None])],
            Some(NullBuffer::from(vec![true, false, true])),
        );
        let numbers = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef;
        let dates = texts([Some("d"), Some("e"), None]);
        let visits = StructArray::new(visit.clone(), vec![numbers, Arc::new(notes), dates], None);
        let item = Arc::new(Field::new("item", DataType::Struct(visit), true));
        let offsets = OffsetBuffer::from_lengths([2, 0, 1]);
        let nulls = Some(NullBuffer::from(vec![true, false, true]));
        let visits = ListArray::new(item, offsets, Arc::new(visits), nulls);
        let records = Arc::new(UInt64Array::from(vec![1, 2, 3])) as ArrayRef;
        let columns = [
            ("id", texts([Some("p"), Some("q"), Some("r")]), true),
            ("visits", Arc::new(visits) as ArrayRef, true),
            (RECORD_COLUMN, records, false),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn cut(paths: &[&str]) -> RecordBatch {
        let full = full();
        let used = paths.iter().map(|path| (*path).to_owned()).collect();
        batch(&full, &schema(full.schema_ref(), "", &used)).unwrap()
    }

    fn shown(batch: &RecordBatch) -> String {
        datafusion::arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch))
            .unwrap()
            .to_string()
    }

    #[test]
    fn what_is_used_stays_as_it_was() {
        let all = [
            "id",
            "visits[].note.text",
            "visits[].note.author",
            "visits[].number",
            "visits[].date",
        ];
        assert_eq!(cut(&all), full());
        insta::assert_snapshot!(shown(&cut(&["visits[].note.author", "visits[].date"])), @"
        +---------------------------------------------------+---------+
        | visits                                            | _record |
        +---------------------------------------------------+---------+
        | [{note: {author: x}, date: d}, {note: , date: e}] | 1       |
        |                                                   | 2       |
        | [{note: {author: }, date: }]                      | 3       |
        +---------------------------------------------------+---------+
        ");
    }

    #[test]
    fn of_what_only_has_to_be_there_the_first_field_stays() {
        insta::assert_snapshot!(shown(&cut(&["id", "visits[]"])), @"
        +----+---------------------------+---------+
        | id | visits                    | _record |
        +----+---------------------------+---------+
        | p  | [{number: 1}, {number: }] | 1       |
        | q  |                           | 2       |
        | r  | [{number: 3}]             | 3       |
        +----+---------------------------+---------+
        ");
        assert_eq!(cut(&[]).num_columns(), 2);
    }

    #[test]
    fn fields_of_another_kind_are_not_used_here() {
        let used = BTreeSet::from(["a.visits[].date".to_owned(), "b.id".to_owned(), "ab.id".to_owned()]);
        let named = |prefix: &str| {
            let schema = schema(full().schema_ref(), prefix, &used);
            schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(named("a"), ["visits", RECORD_COLUMN]);
        assert_eq!(named("b"), ["id", RECORD_COLUMN]);
    }

    #[test]
    fn a_path_is_no_prefix_of_a_longer_name() {
        let schema = schema(
            full().schema_ref(),
            "",
            &BTreeSet::from(["identity".to_owned(), "visits2[]".to_owned()]),
        );
        assert_eq!(
            schema.fields().len(),
            2,
            "the first column, for want of any, and the record number"
        );
    }
}
