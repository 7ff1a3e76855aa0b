//! Random records as JSON and as Arrow, and copies that are changed at some of their paths.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Int32Array, ListArray, RecordBatch, StringArray, StructArray, UInt64Array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{Field as ArrowField, SchemaRef};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::*;
use crate::model::{Field, FieldType};

pub(super) fn batch(schema: &SchemaRef, source: &Source, records: &[Value]) -> RecordBatch {
    let column = |field: &Field| {
        let values: Vec<&Value> = records.iter().map(|record| &record[&field.name]).collect();
        array(&field.field_type, &values)
    };
    let mut columns: Vec<ArrayRef> = source.kinds[0].schema.iter().map(column).collect();
    columns.push(Arc::new(UInt64Array::from_iter_values(1..=records.len() as u64)));
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

fn array(field_type: &FieldType, values: &[&Value]) -> ArrayRef {
    let nulls = NullBuffer::from(values.iter().map(|value| !value.is_null()).collect::<Vec<_>>());
    match field_type {
        FieldType::Int => Arc::new(
            values
                .iter()
                .map(|v| v.as_i64().map(|n| i32::try_from(n).unwrap()))
                .collect::<Int32Array>(),
        ),
        FieldType::Struct(fields) => {
            let arrays = fields.iter().map(|field| {
                let inner: Vec<&Value> = values.iter().map(|value| &value[&field.name]).collect();
                let array = array(&field.field_type, &inner);
                (
                    Arc::new(ArrowField::new(&field.name, array.data_type().clone(), true)),
                    array,
                )
            });
            let (fields, arrays): (Vec<_>, Vec<_>) = arrays.unzip();
            Arc::new(StructArray::new(fields.into(), arrays, Some(nulls)))
        }
        FieldType::List(item) => {
            let lists: Vec<&[Value]> = values
                .iter()
                .map(|v| v.as_array().map_or(&[][..], Vec::as_slice))
                .collect();
            let items = array(
                &item.field_type,
                &lists.iter().flat_map(|list| list.iter()).collect::<Vec<_>>(),
            );
            let field = Arc::new(ArrowField::new("item", items.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.len()));
            Arc::new(ListArray::new(field, offsets, items, Some(nulls)))
        }
        _ => Arc::new(values.iter().map(|value| value.as_str()).collect::<StringArray>()),
    }
}

fn text(random: &mut StdRng) -> Value {
    // Only a few different values, so that keys match and groups have several rows.
    if random.random_bool(0.15) {
        Value::Null
    } else {
        json!(["a", "b", "m", "x"].choose(random).unwrap())
    }
}

fn number(random: &mut StdRng) -> Value {
    if random.random_bool(0.15) {
        Value::Null
    } else {
        json!(random.random_range(0..4))
    }
}

fn list(random: &mut StdRng, mut item: impl FnMut(&mut StdRng) -> Value) -> Value {
    if random.random_bool(0.1) {
        return Value::Null;
    }
    let length = random.random_range(0..3);
    (0..length).map(|_| item(random)).collect()
}

fn visit(random: &mut StdRng) -> Value {
    if random.random_bool(0.1) {
        return Value::Null;
    }
    let note = if random.random_bool(0.2) {
        Value::Null
    } else {
        json!({"text": text(random), "author": text(random)})
    };
    json!({"code": text(random), "day": number(random), "tags": list(random, text), "note": note})
}

pub(super) fn record(random: &mut StdRng) -> Value {
    let home = if random.random_bool(0.2) {
        Value::Null
    } else {
        json!({"street": text(random), "zip": text(random)})
    };
    json!({
        "id": text(random), "city": text(random), "hiv": text(random), "age": number(random), "home": home,
        "codes": list(random, text), "visits": list(random, visit),
    })
}

/// Copies the records and draws new values at the paths where `may` allows it.
pub(super) fn changed(records: &[Value], schema: &[Field], may: &dyn Fn(&str) -> bool, seed: u64) -> Vec<Value> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x00C0_FFEE);
    records
        .iter()
        .map(|record| change_fields(record, schema, "", may, &mut random))
        .collect()
}

fn change_fields(
    value: &Value,
    fields: &[Field],
    prefix: &str,
    may: &dyn Fn(&str) -> bool,
    random: &mut StdRng,
) -> Value {
    let change = |field: &Field| {
        let path = format!("{prefix}{}", field.name);
        (
            field.name.clone(),
            change_value(&value[&field.name], &field.field_type, &path, may, random),
        )
    };
    Value::Object(fields.iter().map(change).collect::<Map<_, _>>())
}

fn change_value(
    value: &Value,
    field_type: &FieldType,
    path: &str,
    may: &dyn Fn(&str) -> bool,
    random: &mut StdRng,
) -> Value {
    match field_type {
        FieldType::Int => {
            if may(path) {
                number(random)
            } else {
                value.clone()
            }
        }
        FieldType::Struct(fields) => {
            // Making a struct null changes every field in it, so all of them must be allowed to change.
            let may_all = scalar_fields(field_type, path).iter().all(|leaf| may(leaf));
            match (value.is_null(), may_all && random.random_bool(0.3)) {
                (true, false) | (false, true) => Value::Null,
                (true, true) | (false, false) => change_fields(value, fields, &format!("{path}."), may, random),
            }
        }
        FieldType::List(item) => {
            let path = format!("{path}[]");
            let mut items = value.as_array().cloned().unwrap_or_default();
            if may(&path) {
                items = (0..random.random_range(0..4))
                    .map(|i| items.get(i).cloned().unwrap_or(Value::Null))
                    .collect();
            } else if value.is_null() {
                return Value::Null;
            }
            items
                .iter()
                .map(|one| change_value(one, &item.field_type, &path, may, random))
                .collect()
        }
        _ => {
            if may(path) {
                text(random)
            } else {
                value.clone()
            }
        }
    }
}

fn scalar_fields(field_type: &FieldType, path: &str) -> Vec<String> {
    match field_type {
        FieldType::Struct(fields) => fields
            .iter()
            .flat_map(|field| scalar_fields(&field.field_type, &format!("{path}.{}", field.name)))
            .collect(),
        FieldType::List(item) => {
            let path = format!("{path}[]");
            let mut paths = scalar_fields(&item.field_type, &path);
            paths.push(path);
            paths
        }
        _ => vec![path.to_owned()],
    }
}
