//! Converts the arrays of a parquet file into arrays of the declared types. A value that would lose something is a
//! fault with its row; only the parts of a timestamp below a microsecond are cut off.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, StringArray, StructArray, TimestampMicrosecondArray, make_array,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Fields, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use super::super::decode::{Breach, Column, Cuts, Group, Node, Scalar, ScalarKind, Shape, check_json, push_text};
use super::types::{per_second, plain, reads_text};
use crate::model::refusal::Reason;

const MICROS: i64 = 1_000_000;

/// A value that does not fit its declaration. `row` is its index in the array that was converted, from 0.
#[derive(Debug)]
pub(super) struct RowFault {
    pub row: usize,
    pub path: Arc<str>,
    pub check: &'static str,
    pub reason: Reason,
}

/// Converts the declared fields of an object, in their order. `fields` are their types, and may go on after them, as
/// the record column does.
pub(super) fn convert_group(
    records: &StructArray,
    group: &Group,
    fields: &Fields,
    cuts: &mut Cuts,
) -> Result<Vec<ArrayRef>, RowFault> {
    let mut convert_field = |(node, field): (&Node, &Arc<arrow::datatypes::Field>)| {
        let column = records.column_by_name(&node.name);
        let column = column.ok_or_else(|| fault(node, 0, "the column is missing"))?;
        let array = convert(column, node, field.data_type(), cuts)?;
        let lacks = |row: &usize| node.required && records.is_valid(*row) && array.is_null(*row);
        match (0..array.len()).find(lacks) {
            Some(row) => Err(fault(node, row, "required, but null")),
            None => Ok(array),
        }
    };
    group.fields.iter().zip(fields).map(&mut convert_field).collect()
}

/// Converts what can be of a refused row, field by field. A field that does not fit is null.
pub(super) fn salvage_row(record: &StructArray, group: &Group, fields: &Fields) -> Vec<ArrayRef> {
    let converted = |(node, field): (&Node, &Arc<arrow::datatypes::Field>)| {
        let column = record.column_by_name(&node.name);
        let array = column.and_then(|column| convert(column, node, field.data_type(), &mut Cuts::default()).ok());
        array.unwrap_or_else(|| new_null_array(field.data_type(), record.len()))
    };
    group.fields.iter().zip(fields).map(converted).collect()
}

fn convert(array: &ArrayRef, node: &Node, target: &DataType, cuts: &mut Cuts) -> Result<ArrayRef, RowFault> {
    let array = &as_type(array, plain(array.data_type()), node)?;
    match (&node.shape, target) {
        (Shape::Scalar(scalar), _) => convert_scalar(array, node, scalar, target, cuts),
        (Shape::Json, _) => {
            let texts = as_type(array, &DataType::Utf8, node)?;
            check_texts(texts.as_string(), node, |text| check_json(text).err())?;
            Ok(texts)
        }
        (Shape::Struct(group), DataType::Struct(fields)) => {
            let structs = array.as_struct();
            let children = convert_group(structs, group, fields, cuts)?;
            let built =
                StructArray::try_new_with_length(fields.clone(), children, structs.nulls().cloned(), structs.len());
            built.map(|array| Arc::new(array) as ArrayRef).map_err(|_| unfit(node))
        }
        (Shape::List(item), DataType::List(field)) => {
            // This cast changes the kind of list only. The items are converted next.
            let (DataType::List(same) | DataType::LargeList(same) | DataType::FixedSizeList(same, _)) =
                array.data_type()
            else {
                return Err(unfit(node));
            };
            let lists = as_type(array, &DataType::List(Arc::clone(same)), node)?;
            let lists: &ListArray = lists.as_list();
            let row_of = |element: usize| {
                let after = |offset: &i32| usize::try_from(*offset).is_ok_and(|offset| offset <= element);
                lists.offsets().partition_point(after).saturating_sub(1)
            };
            let in_row = |inner: RowFault| RowFault {
                row: row_of(inner.row),
                ..inner
            };
            let items = convert(lists.values(), item, field.data_type(), cuts).map_err(in_row)?;
            if item.required && items.null_count() > 0 {
                let element = (0..items.len()).find(|element| items.is_null(*element)).unwrap_or(0);
                return Err(fault(item, row_of(element), "required, but null"));
            }
            let built = ListArray::try_new(
                Arc::clone(field),
                lists.offsets().clone(),
                items,
                lists.nulls().cloned(),
            );
            built.map(|array| Arc::new(array) as ArrayRef).map_err(|_| unfit(node))
        }
        _ => Err(unfit(node)),
    }
}

fn convert_scalar(
    array: &ArrayRef,
    node: &Node,
    scalar: &Scalar,
    target: &DataType,
    cuts: &mut Cuts,
) -> Result<ArrayRef, RowFault> {
    let is_string = matches!(scalar.kind, ScalarKind::String);
    if reads_text(scalar, array.data_type()) || (is_string && scalar.rules.is_some()) {
        return read_texts(array, node, scalar, target, cuts);
    }
    let values = convert_values(array, node, scalar, target, cuts)?;
    match &scalar.rules {
        None => Ok(values),
        Some(rules) => rules
            .check_array(values)
            .map_err(|(row, breach)| fault(node, row, breach)),
    }
}

fn convert_values(
    array: &ArrayRef,
    node: &Node,
    scalar: &Scalar,
    target: &DataType,
    cuts: &mut Cuts,
) -> Result<ArrayRef, RowFault> {
    match &scalar.kind {
        ScalarKind::String => {
            let texts = as_type(array, &DataType::Utf8, node)?;
            let nul = |text: &str| text.contains('\0').then_some(Cow::Borrowed("a NUL character"));
            check_texts(texts.as_string(), node, nul)?;
            Ok(texts)
        }
        ScalarKind::Double => {
            let values = as_type(array, target, node)?;
            let floats = values.as_primitive::<arrow::datatypes::Float64Type>();
            match (0..floats.len()).find(|row| floats.is_valid(*row) && !floats.value(*row).is_finite()) {
                Some(row) => Err(fault(node, row, "not a finite number")),
                None => Ok(values),
            }
        }
        ScalarKind::Timestamp(_) | ScalarKind::TimestampTz(_) => to_micros(array, node, target, cuts),
        _ => as_type(array, target, node),
    }
}

fn read_texts(
    array: &ArrayRef,
    node: &Node,
    scalar: &Scalar,
    target: &DataType,
    cuts: &mut Cuts,
) -> Result<ArrayRef, RowFault> {
    let texts = as_type(array, &DataType::Utf8, node)?;
    let mut column = Column::new(target);
    for (row, text) in texts.as_string::<i32>().iter().enumerate() {
        match text {
            None => column.push_null(),
            Some(text) => push_text(text, scalar, &mut column).map_err(|breach| fault(node, row, breach))?,
        }
    }
    cuts.add_column(&column, node);
    column.finish(target).map_err(|_| unfit(node))
}

/// Converts timestamps to microseconds. Nanoseconds are rounded down, and the values that this changes are counted. A
/// value too large for microseconds is a fault.
fn to_micros(array: &ArrayRef, node: &Node, target: &DataType, cuts: &mut Cuts) -> Result<ArrayRef, RowFault> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(unfit(node));
    };
    let values = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
    };
    let per_second = per_second(*unit);
    let mut micros = Vec::with_capacity(values.len());
    let mut cut = 0;
    for (row, value) in values.iter().enumerate() {
        let exact = if per_second > MICROS {
            let parts = per_second / MICROS;
            cut += usize::from(value % parts != 0 && array.is_valid(row));
            Ok(value.div_euclid(parts))
        } else {
            value.checked_mul(MICROS / per_second).ok_or("a timestamp out of range")
        };
        match exact {
            Ok(value) => micros.push(value),
            Err(_) if array.is_null(row) => micros.push(0),
            Err(reason) => return Err(fault(node, row, reason)),
        }
    }
    cuts.count(&node.path, cut);
    let array = TimestampMicrosecondArray::new(micros.into(), array.nulls().cloned());
    Ok(Arc::new(array.with_data_type(target.clone())))
}

fn check_texts(texts: &StringArray, node: &Node, complaint: impl Fn(&str) -> Option<Reason>) -> Result<(), RowFault> {
    for (row, text) in texts.iter().enumerate() {
        if let Some(reason) = text.and_then(&complaint) {
            return Err(fault(node, row, reason));
        }
    }
    Ok(())
}

/// Casts an array. [`super::types`] has checked that the cast loses nothing. An error of it could quote a value, so it
/// is not repeated.
fn as_type(array: &ArrayRef, target: &DataType, node: &Node) -> Result<ArrayRef, RowFault> {
    if array.data_type() == target {
        return Ok(make_array(array.to_data()));
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, target, &strict).map_err(|_| unfit(node))
}

fn unfit(node: &Node) -> RowFault {
    fault(node, 0, format!("a column that can't be read as {}", node.declared()))
}

fn fault(node: &Node, row: usize, breach: impl Into<Breach>) -> RowFault {
    let Breach { check, reason } = breach.into();
    RowFault {
        row,
        path: Arc::clone(&node.path),
        check,
        reason,
    }
}
