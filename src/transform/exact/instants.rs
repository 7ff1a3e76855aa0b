//! Functions that count in nanoseconds inside, and so end at 1677 and 2262, over the whole range of microseconds.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DFSchema, Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF};

use super::wrapped::{Wrapping, wrapped};

/// `to_timestamp(x)` as casts: a text, a date or a timestamp as such, a whole number as seconds. The call itself where it
/// is another form.
pub(super) fn to_timestamp(mut call: ScalarFunction, columns: &DFSchema) -> Result<Expr, ScalarFunction> {
    let [argument] = &call.args[..] else { return Err(call) };
    let Ok(arrow) = argument.get_type(columns) else {
        return Err(call);
    };
    let whole = arrow.is_integer();
    if !whole
        && !matches!(
            arrow,
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Date32 | DataType::Timestamp(..)
        )
    {
        return Err(call);
    }
    let cast = |expression: Expr, to: DataType| Expr::Cast(Cast::new(Box::new(expression), to));
    let mut argument = call.args.swap_remove(0);
    if whole {
        argument = cast(
            cast(argument, DataType::Int64),
            DataType::Timestamp(TimeUnit::Second, None),
        );
    }
    Ok(cast(argument, DataType::Timestamp(TimeUnit::Microsecond, None)))
}

/// `date_trunc` and `date_bin`, with a value or an error where the engine's gives none.
pub(super) fn checked(call: ScalarFunction) -> Expr {
    Expr::ScalarFunction(wrapped::<Checked>(call))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked;

impl Wrapping for Checked {
    fn invoke(inner: &ScalarUDF, mut arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let source = arguments.args[1].to_array(rows)?;
        let Some(instants) = source.as_primitive_opt::<TimestampMicrosecondType>() else {
            return inner.invoke_with_args(arguments);
        };
        if instants.iter().flatten().all(fits_nanoseconds) {
            return inner.invoke_with_args(arguments);
        }
        if inner.name() != "date_trunc" {
            return exec_err!("{} takes timestamps from 1678 to 2261", inner.name());
        }
        let ColumnarValue::Scalar(granularity) = &arguments.args[0] else {
            return inner.invoke_with_args(arguments);
        };
        let granularity = granularity.try_as_str().flatten().unwrap_or_default().to_lowercase();
        let zone = instants.timezone().map(Tz::from_str).transpose()?;
        let far: TimestampMicrosecondArray = instants
            .iter()
            .map(|instant| {
                instant
                    .map(|at| far(at, &granularity, zone))
                    .transpose()
                    .map(Option::flatten)
            })
            .collect::<Result<Vec<_>>>()?
            .into();
        let near: TimestampMicrosecondArray = instants
            .iter()
            .map(|at| at.filter(|at| fits_nanoseconds(*at)))
            .collect();
        let near = near.with_timezone_opt(instants.timezone());
        arguments.args[1] = ColumnarValue::Array(Arc::new(near));
        let near = inner.invoke_with_args(arguments)?.to_array(rows)?;
        let near = near.as_primitive::<TimestampMicrosecondType>();
        let all: TimestampMicrosecondArray = near.iter().zip(&far).map(|(near, far)| near.or(far)).collect();
        let all = all.with_timezone_opt(instants.timezone());
        Ok(ColumnarValue::Array(Arc::new(all)))
    }
}

/// Whether an instant in microseconds, and the start of its year, can be counted in nanoseconds.
fn fits_nanoseconds(micros: i64) -> bool {
    const YEAR: i64 = 366 * 86_400_000_000;
    micros.unsigned_abs() < (i64::MAX / 1_000 - YEAR).unsigned_abs()
}

/// Truncates an instant that can't be counted in nanoseconds; `None` for one that can.
fn far(micros: i64, granularity: &str, zone: Option<Tz>) -> Result<Option<i64>> {
    if fits_nanoseconds(micros) {
        return Ok(None);
    }
    let truncated = || {
        let utc = DateTime::from_timestamp_micros(micros)?;
        match zone {
            None => Some(truncate(utc.naive_utc(), granularity)?.and_utc().timestamp_micros()),
            Some(zone) => {
                let local = truncate(utc.with_timezone(&zone).naive_local(), granularity)?;
                Some(zone.from_local_datetime(&local).earliest()?.timestamp_micros())
            }
        }
    };
    truncated()
        .map(Some)
        .ok_or_else(|| exec_datafusion_err!("date_trunc: a timestamp out of range"))
}

fn truncate(at: NaiveDateTime, granularity: &str) -> Option<NaiveDateTime> {
    let (day, time) = (at.date(), at.time());
    let first = |month: u32| NaiveDate::from_ymd_opt(day.year(), month, 1);
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN);
    Some(match granularity {
        "year" => midnight(first(1)?),
        "quarter" => midnight(first((day.month0() / 3) * 3 + 1)?),
        "month" => midnight(first(day.month())?),
        "week" => {
            let since_monday = u64::from(day.weekday().num_days_from_monday());
            midnight(day.checked_sub_days(Days::new(since_monday))?)
        }
        "day" => midnight(day),
        "hour" => day.and_hms_opt(time.hour(), 0, 0)?,
        "minute" => day.and_hms_opt(time.hour(), time.minute(), 0)?,
        "second" => at.with_nanosecond(0)?,
        "millisecond" => at.with_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000)?,
        "microsecond" => at,
        _ => return None,
    })
}
