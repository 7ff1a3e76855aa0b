//! Shows the cells of rows as PostgreSQL would show them after they were loaded.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, Result};
use crate::model::{Entity, PgType};
use crate::warehouse::query::QueryResult;

/// The rows of an entity as the result of a query. `more` tells whether there are more rows than these.
pub(super) fn table(entity: &Entity, batches: &[RecordBatch], more: bool) -> Result<QueryResult> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = entity.columns.iter().zip(batch.columns());
        let columns: Vec<Vec<Option<String>>> = columns
            .map(|(column, array)| {
                texts(array, column.pg_type).map_err(|error| {
                    Error::batch(format!("column {} of {} can't be shown", column.name, entity.name)).cause(error)
                })
            })
            .collect::<Result<_>>()?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    Ok(QueryResult {
        columns: entity.columns.iter().map(|column| column.name.clone()).collect(),
        types: entity
            .columns
            .iter()
            .map(|column| type_name(column.pg_type).to_owned())
            .collect(),
        rows,
        truncated: more,
    })
}

/// The type's name in PostgreSQL's catalog, as `pipeline query` has it.
fn type_name(pg: PgType) -> &'static str {
    match pg {
        PgType::Text | PgType::Varchar(_) => "text",
        PgType::Bool => "bool",
        PgType::Int2 => "int2",
        PgType::Int4 => "int4",
        PgType::Int8 => "int8",
        PgType::Float4 => "float4",
        PgType::Float8 => "float8",
        PgType::Numeric(_) => "numeric",
        PgType::Date => "date",
        PgType::Timestamp => "timestamp",
        PgType::TimestampTz => "timestamptz",
        PgType::Jsonb => "jsonb",
        PgType::Uuid => "uuid",
        PgType::TextArray => "_text",
    }
}

type Texts = std::result::Result<Vec<Option<String>>, arrow::error::ArrowError>;

/// The texts of one column. `None` is a null.
fn texts(array: &ArrayRef, pg: PgType) -> Texts {
    let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Ok(match pg {
        PgType::Float4 | PgType::Float8 => {
            let array = cast(array, &DataType::Float64)?;
            let numbers = array.as_primitive::<Float64Type>();
            numbers
                .iter()
                .map(|number| number.map(|number| number.to_string()))
                .collect()
        }
        PgType::Bool => {
            let shown = |value: &str| if value == "true" { "t" } else { "f" }.to_owned();
            formatted(array)?
                .into_iter()
                .map(|text| text.map(|text| shown(&text)))
                .collect()
        }
        PgType::Numeric(Some((_, scale))) => {
            let scale = usize::try_from(scale).unwrap_or(0);
            formatted(array)?
                .into_iter()
                .map(|text| text.map(|text| scaled(text, scale)))
                .collect()
        }
        PgType::Date => formatted(&cast(array, &DataType::Date32)?)?,
        PgType::Timestamp => {
            let array = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            formatted(&array)?
                .into_iter()
                .map(|text| text.map(|text| short(&text)))
                .collect()
        }
        PgType::TimestampTz => {
            let texts = formatted(&cast(array, &utc())?)?.into_iter();
            texts.map(|text| text.map(|text| short(&text) + "+00")).collect()
        }
        PgType::TextArray if *array.data_type() != DataType::Null => lists(array)?,
        _ => formatted(&plain(array)?)?,
    })
}

/// Dictionaries and other wrapped texts as plain ones.
fn plain(array: &ArrayRef) -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values),
        _ => Ok(ArrayRef::clone(array)),
    }
}

fn formatted(array: &ArrayRef) -> Texts {
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f"));
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let nulls = array.logical_nulls();
    (0..array.len())
        .map(|row| {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                return Ok(None);
            }
            formatter.value(row).try_to_string().map(Some)
        })
        .collect()
}

/// A time without the zeros at the end of its fraction.
fn short(text: &str) -> String {
    match text.split_once('.') {
        Some((_, fraction)) if fraction.chars().all(|c| c.is_ascii_digit()) => {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => text.to_owned(),
    }
}

/// A decimal number with as many digits after the point as its column has.
fn scaled(mut text: String, scale: usize) -> String {
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if digits == 0 && scale > 0 {
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', scale.saturating_sub(digits)));
    text
}

/// Lists of texts in PostgreSQL's form: `{a,"b c"}`.
fn lists(array: &ArrayRef) -> Texts {
    let item = |array: ArrayRef| -> std::result::Result<String, arrow::error::ArrowError> {
        let items = formatted(&plain(&array)?)?;
        let items = items
            .into_iter()
            .map(|item| item.map_or_else(|| "NULL".to_owned(), |text| element(&text)));
        Ok(format!("{{{}}}", items.collect::<Vec<_>>().join(",")))
    };
    let lists: Vec<Option<ArrayRef>> = match array.as_list_opt::<i32>() {
        Some(lists) => lists.iter().collect(),
        None => array
            .as_list_opt::<i64>()
            .map_or_else(Vec::new, |lists| lists.iter().collect()),
    };
    lists.into_iter().map(|list| list.map(item).transpose()).collect()
}

/// An element of an array in PostgreSQL's form. It is quoted where it could be read as something else.
pub(super) fn element(text: &str) -> String {
    let special = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\');
    if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int32Array, TimestampMicrosecondArray};

    use super::*;

    fn shown(array: impl Array + 'static, pg: PgType) -> Vec<String> {
        let texts = texts(&(Arc::new(array) as ArrayRef), pg).unwrap().into_iter();
        texts.map(|text| text.unwrap_or_else(|| "-".to_owned())).collect()
    }

    #[test]
    fn cells_look_as_postgresql_shows_them() {
        let moments = || TimestampMicrosecondArray::from(vec![Some(1_683_021_600_000_000), Some(1_500_000), None]);
        let moment = shown(moments(), PgType::Timestamp);
        assert_eq!(moment, ["2023-05-02 10:00:00", "1970-01-01 00:00:01.5", "-"]);
        let instant = shown(moments().with_timezone("+02:00"), PgType::TimestampTz);
        assert_eq!(instant[0], "2023-05-02 10:00:00+00");
        let decimals = Decimal128Array::from(vec![15, -200])
            .with_precision_and_scale(5, 1)
            .unwrap();
        assert_eq!(shown(decimals, PgType::Numeric(Some((10, 3)))), ["1.500", "-20.000"]);
        let whole = Int32Array::from(vec![Some(7), None]);
        assert_eq!(shown(whole.clone(), PgType::Numeric(Some((5, 2)))), ["7.00", "-"]);
        assert_eq!(shown(whole, PgType::Numeric(None)), ["7", "-"]);
        assert_eq!(shown(Float64Array::from(vec![1.0, 0.1]), PgType::Float8), ["1", "0.1"]);
        assert_eq!(shown(BooleanArray::from(vec![true, false]), PgType::Bool), ["t", "f"]);
    }

    #[test]
    fn elements_of_arrays_are_quoted_where_they_must_be() {
        assert_eq!(
            ["a", "", "null", "a b", "\"", "é"].map(element),
            ["a", "\"\"", "\"null\"", "\"a b\"", "\"\\\"\"", "é"]
        );
    }
}
