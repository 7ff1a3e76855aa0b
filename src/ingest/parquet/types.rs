//! Checks whether the columns of a parquet file fit the declared schema, before a row is read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Fields, TimeUnit};

use super::super::decode::{Node, Scalar, ScalarKind, Shape};
use super::super::unknown::Sightings;
use crate::model::From;
use crate::model::refusal::Reason;

/// A column that does not fit its declaration.
#[derive(Debug)]
pub(super) struct Misfit {
    pub path: Arc<str>,
    pub reason: Reason,
}

type Group = super::super::decode::Group;

/// Checks the columns of an object's fields, and notes its undeclared columns.
pub(super) fn check_group(group: &Group, fields: &Fields, undeclared: &mut Sightings<'_>) -> Result<(), Misfit> {
    for node in &group.fields {
        let mut named = fields.iter().filter(|field| *field.name() == node.name);
        let Some(field) = named.next() else {
            return misfit(node, "the column is missing");
        };
        if named.next().is_some() {
            return misfit(node, "there are two columns of this name");
        }
        check(node, field.data_type(), undeclared)?;
    }
    let unknown = fields.iter().filter(|field| group.find(field.name(), 0).is_none());
    unknown.for_each(|field| undeclared.meet(group.id, field.name()));
    Ok(())
}

fn check(node: &Node, found: &DataType, undeclared: &mut Sightings<'_>) -> Result<(), Misfit> {
    let found = plain(found);
    let fits = match (&node.shape, found) {
        (Shape::Struct(group), DataType::Struct(fields)) => return check_group(group, fields, undeclared),
        (Shape::List(item), DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) => {
            return check(item, field.data_type(), undeclared);
        }
        (Shape::Json, found) => is_text(found),
        (Shape::Scalar(scalar), found) => fits(scalar, found),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        misfit(node, format!("the column is {found}, which is not {}", node.declared()))
    }
}

fn fits(scalar: &Scalar, found: &DataType) -> bool {
    use DataType as D;
    if reads_text(scalar, found) {
        return true;
    }
    match &scalar.kind {
        ScalarKind::String => match scalar.from {
            Some(From::Number) => found.is_integer(),
            _ => is_text(found),
        },
        _ if scalar.from.is_some() => false,
        ScalarKind::Bool => *found == D::Boolean,
        ScalarKind::Int => matches!(found, D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16),
        ScalarKind::Bigint => found.is_integer() && *found != D::UInt64,
        ScalarKind::Double => matches!(found, D::Float16 | D::Float32 | D::Float64),
        ScalarKind::Decimal(precision, scale) => match found {
            D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) => {
                s <= scale && i16::from(*p) - i16::from(*s) <= i16::from(*precision) - i16::from(*scale)
            }
            _ => false,
        },
        ScalarKind::Date(_) => *found == D::Date32,
        ScalarKind::Timestamp(_) => matches!(found, D::Timestamp(_, None)),
        ScalarKind::TimestampTz(_) => matches!(found, D::Timestamp(_, Some(_))),
        // It is in a text, which may say less than a day.
        ScalarKind::Partial(_) => false,
    }
}

/// Whether a column holds text from which the values are parsed: a field with `from: string`, or a date or time with
/// declared formats.
pub(super) fn reads_text(scalar: &Scalar, found: &DataType) -> bool {
    is_text(found)
        && match &scalar.kind {
            ScalarKind::String => false,
            ScalarKind::Partial(_) => true,
            ScalarKind::Date(formats) | ScalarKind::Timestamp(formats) | ScalarKind::TimestampTz(formats) => {
                !formats.is_empty()
            }
            _ => scalar.from == Some(From::String),
        }
}

/// The type of a column's values. That a column is stored with a dictionary does not matter.
pub(super) fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, value) => value,
        other => other,
    }
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// How many of a unit are one second.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn misfit<T>(node: &Node, reason: impl Into<Reason>) -> Result<T, Misfit> {
    Err(Misfit {
        path: Arc::clone(&node.path),
        reason: reason.into(),
    })
}
