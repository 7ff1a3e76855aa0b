//! Checks the columns of a parquet file against the declared schema before a row is read, and names their types.

use std::sync::Arc;

use arrow::datatypes::{DataType, Fields, TimeUnit};

use super::super::decode::{Group, Node, Shape};
use super::super::unknown::Sightings;
use crate::model::refusal::Reason;

/// A column that does not fit its declaration.
#[derive(Debug)]
pub(super) struct Misfit {
    pub path: Arc<str>,
    pub reason: Reason,
}

/// What the columns of a file have too many or too few of.
pub(super) struct Found<'a, 'n> {
    pub undeclared: &'a mut Sightings<'n>,
    /// The paths of declared fields, not required, that the file has no column for.
    pub lacking: Vec<Arc<str>>,
}

/// Checks the columns of an object's fields. Whether a value fits its type is seen when it is read.
pub(super) fn check_group(group: &Group, fields: &Fields, found: &mut Found<'_, '_>) -> Result<(), Misfit> {
    for node in &group.fields {
        let mut named = fields.iter().filter(|field| *field.name() == node.name);
        let Some(field) = named.next() else {
            if node.required {
                return misfit(node, "the column is missing, and the field is required");
            }
            found.lacking.push(Arc::clone(&node.path));
            continue;
        };
        if named.next().is_some() {
            return misfit(node, "there are two columns of this name");
        }
        check(node, field.data_type(), found)?;
    }
    let unknown = fields.iter().filter(|field| group.find(field.name(), 0).is_none());
    unknown.for_each(|field| found.undeclared.meet(group.id, field.name()));
    Ok(())
}

fn check(node: &Node, data_type: &DataType, found: &mut Found<'_, '_>) -> Result<(), Misfit> {
    match (&node.shape, data_type) {
        (Shape::Struct(group), DataType::Struct(fields)) => check_group(group, fields, found),
        (Shape::List(item), list) => match item_of(list) {
            Some(inner) => check(item, inner, found),
            None if node.one_or_many => check(item, list, found),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The type of the elements of any kind of list.
pub(super) fn item_of(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => Some(item.data_type()),
        _ => None,
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

/// Whether a column holds texts, or bytes that may be such. Texts are read as bytes.
pub(super) fn reads_as_text(data_type: &DataType) -> bool {
    is_text(data_type)
        || matches!(
            data_type,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        )
}

pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating() || is_decimal(data_type)
}

pub(super) fn is_decimal(data_type: &DataType) -> bool {
    use DataType as D;
    matches!(
        data_type,
        D::Decimal32(..) | D::Decimal64(..) | D::Decimal128(..) | D::Decimal256(..)
    )
}

/// A found type with its article, for messages. It holds no name of a field, since that may be undeclared.
pub(super) fn named(data_type: &DataType) -> String {
    use DataType as D;
    match plain(data_type) {
        text if reads_as_text(text) => "a text".to_owned(),
        D::Null => "null".to_owned(),
        D::Boolean => "a boolean".to_owned(),
        D::Struct(_) => "a struct".to_owned(),
        D::Map(..) => "a map".to_owned(),
        list if item_of(list).is_some() => "a list".to_owned(),
        number @ (D::Int8 | D::Int16 | D::Int32 | D::Int64) => format!("an {}", number.to_string().to_lowercase()),
        D::UInt8 => "a uint8".to_owned(),
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) | D::Decimal256(p, s) => {
            format!("a decimal({p},{s})")
        }
        D::Timestamp(_, None) => "a timestamp without time zone".to_owned(),
        D::Timestamp(_, Some(_)) => "a timestamp with time zone".to_owned(),
        D::Time32(_) | D::Time64(_) => "a time of day".to_owned(),
        D::Duration(_) | D::Interval(_) => "a span of time".to_owned(),
        D::FixedSizeBinary(_) => "bytes of fixed length".to_owned(),
        // These have no parts, so nothing but the name of the type.
        other if !other.is_nested() => format!("a {}", other.to_string().to_lowercase()),
        _ => "a nested value".to_owned(),
    }
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
