//! Functions whose result may be far larger than what they take: `lpad(name, 2000000000)`. DataFusion allows two billion
//! characters or elements in each row, and a failed allocation ends the process with its size, which may be computed from
//! the data.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::wrapped::{Wrapping, wrapped};
use crate::transform::failure::TooLarge;

/// The most characters of a text. A row with more is refused.
const MOST_CHARACTERS: i128 = 16 << 20;
/// The most elements of a list. A row with more is refused.
const MOST_ELEMENTS: i128 = 1_000_000;
/// The most bytes of all rows that are computed at once. The batch fails with more: each row alone is none too large.
const MOST_AT_ONCE: i128 = 1 << 30;

/// Whether the function can make much of little.
pub(super) fn may_be_large(function: &str) -> bool {
    matches!(
        function,
        "lpad" | "rpad" | "repeat" | "replace" | "array_repeat" | "array_resize" | "range" | "generate_series"
    )
}

/// The same call, with a limit.
pub(super) fn limited(call: ScalarFunction) -> ScalarFunction {
    wrapped::<Limited>(call)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Limited;

impl Wrapping for Limited {
    fn invoke(inner: &ScalarUDF, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Of constants, the one result is computed once.
        let constant = |one: &ColumnarValue| matches!(one, ColumnarValue::Scalar(_));
        let rows = if arguments.args.iter().all(constant) {
            1
        } else {
            arguments.number_rows
        };
        let values: Vec<ArrayRef> = arguments
            .args
            .iter()
            .map(|one| one.to_array(rows))
            .collect::<Result<_>>()?;
        let (name, mut at_once) = (inner.name(), 0);
        for size in sizes(name, &values)? {
            if size.parts > size.most {
                return exec_err!("{name}: a result beyond the largest");
            }
            at_once += size.parts * size.bytes;
        }
        if at_once > MOST_AT_ONCE {
            let function = name.to_owned();
            return Err(DataFusionError::External(Box::new(TooLarge { function })));
        }
        inner.invoke_with_args(arguments)
    }
}

/// What a function would make of one row.
struct Size {
    /// Characters or elements.
    parts: i128,
    most: i128,
    /// The bytes of one of them.
    bytes: i128,
}

impl Size {
    fn text(parts: i128) -> Self {
        let (most, bytes) = (MOST_CHARACTERS, 1);
        Self { parts, most, bytes }
    }

    fn list(parts: i128, bytes: i128) -> Self {
        let most = MOST_ELEMENTS;
        Self { parts, most, bytes }
    }
}

fn sizes(function: &str, arguments: &[ArrayRef]) -> Result<Vec<Size>> {
    let Some(first) = arguments.first() else {
        return Ok(Vec::new());
    };
    let rows = first.len();
    Ok(match (function, arguments) {
        ("lpad" | "rpad", [_, length, ..]) => {
            let lengths = integers(length)?;
            lengths
                .into_iter()
                .map(|length| Size::text(length.unwrap_or_default()))
                .collect()
        }
        ("repeat", [text, count]) => {
            let (lengths, counts) = (lengths(text)?, integers(count)?);
            let pairs = lengths.into_iter().zip(counts);
            pairs
                .map(|(length, count)| Size::text(length * count.unwrap_or_default().max(0)))
                .collect()
        }
        ("replace", [text, from, to]) => replaced(text, from, to)?,
        ("array_repeat", [element, count]) => {
            let bytes = bytes_of_one(element)?;
            let counts = integers(count)?;
            counts
                .into_iter()
                .map(|count| Size::list(count.unwrap_or_default(), bytes))
                .collect()
        }
        ("array_resize", [_, count, value @ ..]) => {
            let bytes = value.first().map_or(Ok(8), bytes_of_one)?;
            let counts = integers(count)?;
            counts
                .into_iter()
                .map(|count| Size::list(count.unwrap_or_default(), bytes))
                .collect()
        }
        ("range" | "generate_series", _) => (0..rows)
            .map(|row| Ok(Size::list(series(arguments, row)?, 8)))
            .collect::<Result<_>>()?,
        _ => Vec::new(),
    })
}

fn integers(values: &ArrayRef) -> Result<Vec<Option<i128>>> {
    let values = cast(values, &DataType::Int64)?;
    Ok(values
        .as_primitive::<Int64Type>()
        .iter()
        .map(|value| value.map(i128::from))
        .collect())
}

fn texts(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(values, &DataType::Utf8View)?)
}

fn length(text: &str) -> i128 {
    i128::try_from(text.len()).unwrap_or(i128::MAX)
}

fn lengths(values: &ArrayRef) -> Result<Vec<i128>> {
    let values = texts(values)?;
    Ok(values
        .as_string_view()
        .iter()
        .map(|text| text.map_or(0, length))
        .collect())
}

fn replaced(text: &ArrayRef, from: &ArrayRef, to: &ArrayRef) -> Result<Vec<Size>> {
    let (text, from, to) = (texts(text)?, texts(from)?, texts(to)?);
    let rows = text
        .as_string_view()
        .iter()
        .zip(from.as_string_view())
        .zip(to.as_string_view());
    let size = |row| {
        let ((Some(text), Some(from)), Some(to)) = row else {
            return Size::text(0);
        };
        // What grows no longer than it was is never refused.
        let (text, from, to): (&str, &str, &str) = (text, from, to);
        if to.len() <= from.len() {
            return Size::text(0);
        }
        let found = i128::try_from(text.matches(from).count()).unwrap_or(i128::MAX);
        Size::text(found.saturating_mul(length(to) - length(from)))
    };
    Ok(rows.map(size).collect())
}

/// The bytes of one value, about.
fn bytes_of_one(values: &ArrayRef) -> Result<i128> {
    let bytes = values.to_data().get_slice_memory_size()?;
    Ok(i128::try_from(bytes / values.len().max(1)).unwrap_or(i128::MAX).max(1))
}

const DAY: i128 = 86_400_000_000_000;

/// How many elements a series has: numbers, dates, or points in time.
fn series(arguments: &[ArrayRef], row: usize) -> Result<i128> {
    if arguments.iter().any(|one| one.is_null(row)) {
        return Ok(0);
    }
    let number = |at: usize, unit: i128| -> Result<i128> {
        let value = cast(&arguments[at].slice(row, 1), &DataType::Int64)?;
        Ok(i128::from(value.as_primitive::<Int64Type>().value(0)) * unit)
    };
    let (first, last, by) = match (arguments.len(), arguments[0].data_type()) {
        (1, _) => (0, number(0, 1)?, 1),
        (2, DataType::Int64) => (number(0, 1)?, number(1, 1)?, 1),
        (3, DataType::Int64) => (number(0, 1)?, number(1, 1)?, number(2, 1)?),
        (3, kind) if arguments[2].data_type() == &DataType::Interval(IntervalUnit::MonthDayNano) => {
            let unit = match kind {
                DataType::Date32 => DAY,
                DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
                DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
                DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
                _ => 1,
            };
            let step = arguments[2].as_primitive::<IntervalMonthDayNanoType>().value(row);
            let (months, days, nanos) = (
                i128::from(step.months),
                i128::from(step.days),
                i128::from(step.nanoseconds),
            );
            let parts = [months, days, nanos];
            // Such a step may go the other way than it says, and never arrive.
            if parts.iter().any(|part| *part > 0) && parts.iter().any(|part| *part < 0) {
                return Ok(i128::MAX);
            }
            (number(0, unit)?, number(1, unit)?, (months * 28 + days) * DAY + nanos)
        }
        _ => return Ok(0),
    };
    Ok(match by {
        0 => 0,
        by => ((last - first) / by + 1).max(0),
    })
}
