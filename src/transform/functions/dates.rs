//! `parse_date`, `parse_timestamp` and their `try_` forms parse dates in the formats that senders use, tried in the
//! given order. DataFusion's own `to_date` is similar, but its errors quote the value. These never do.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// `parse_date(text, format, ...)`: a date in the first format that fits; an error where none does.
pub(super) fn parse_date() -> ScalarUDF {
    ParseTime::udf("parse_date", Target::Date, true)
}

/// `try_parse_date(text, format, ...)`: as `parse_date`, null where no format fits.
pub(super) fn try_parse_date() -> ScalarUDF {
    ParseTime::udf("try_parse_date", Target::Date, false)
}

/// `parse_timestamp(text, format, ...)`: a timestamp (UTC where the text has an offset) in the first format that fits.
pub(super) fn parse_timestamp() -> ScalarUDF {
    ParseTime::udf("parse_timestamp", Target::Timestamp, true)
}

/// `try_parse_timestamp(text, format, ...)`: as `parse_timestamp`, null where no format fits.
pub(super) fn try_parse_timestamp() -> ScalarUDF {
    ParseTime::udf("try_parse_timestamp", Target::Timestamp, false)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Date,
    Timestamp,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ParseTime {
    name: &'static str,
    target: Target,
    strict: bool,
    signature: Signature,
}

impl ParseTime {
    fn udf(name: &'static str, target: Target, strict: bool) -> ScalarUDF {
        let signature = Signature::variadic(vec![DataType::Utf8], Volatility::Immutable);
        ScalarUDF::from(Self {
            name,
            target,
            strict,
            signature,
        })
    }

    /// Parses each row with the formats of that row. A null gives `None`. A text that fits no format is an error if
    /// strict, otherwise `None`.
    fn parse<T>(&self, columns: &[StringArray], parse: impl Fn(&str, &str) -> Option<T>) -> Result<Vec<Option<T>>> {
        let Some((texts, formats)) = columns.split_first() else {
            return exec_err!("{} needs a text", self.name);
        };
        let defaults = if formats.is_empty() {
            self.target.defaults()
        } else {
            &[]
        };
        let mut parsed = Vec::with_capacity(texts.len());
        for row in 0..texts.len() {
            let text = if texts.is_null(row) {
                ""
            } else {
                texts.value(row).trim()
            };
            if text.is_empty() {
                parsed.push(None);
                continue;
            }
            let given = formats.iter().filter(|f| f.is_valid(row)).map(|f| f.value(row));
            let value = given
                .chain(defaults.iter().copied())
                .find_map(|format| parse(text, format));
            if value.is_none() && self.strict {
                return exec_err!("{}: a text fits none of the formats", self.name);
            }
            parsed.push(value);
        }
        Ok(parsed)
    }
}

impl ScalarUDFImpl for ParseTime {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.target {
            Target::Date => DataType::Date32,
            Target::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = args
            .args
            .iter()
            .map(|arg| {
                Ok(cast(&arg.to_array(args.number_rows)?, &DataType::Utf8)?
                    .as_string::<i32>()
                    .clone())
            })
            .collect::<Result<Vec<_>>>()?;
        let array: ArrayRef = match self.target {
            Target::Date => Arc::new(Date32Array::from(self.parse(&columns, date)?)),
            Target::Timestamp => Arc::new(TimestampMicrosecondArray::from(self.parse(&columns, timestamp)?)),
        };
        Ok(ColumnarValue::Array(array))
    }
}

impl Target {
    /// The formats to use where none is given: ISO 8601.
    fn defaults(self) -> &'static [&'static str] {
        match self {
            Self::Date => &["%Y-%m-%d"],
            Self::Timestamp => &["%+", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d"],
        }
    }
}

/// Days since 1970-01-01.
fn date(text: &str, format: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, format).ok()?;
    i32::try_from((date - NaiveDate::default()).num_days()).ok()
}

/// Microseconds since 1970-01-01T00:00; UTC where the format reads an offset, midnight where it reads no time.
fn timestamp(text: &str, format: &str) -> Option<i64> {
    if let Ok(instant) = DateTime::parse_from_str(text, format) {
        return Some(instant.timestamp_micros());
    }
    let naive = NaiveDateTime::parse_from_str(text, format)
        .ok()
        .or_else(|| NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0))?;
    Some(naive.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_several_formats() {
        assert_eq!(date("1970-01-02", "%Y-%m-%d"), Some(1));
        assert_eq!(date("02.01.1970", "%d.%m.%Y"), Some(1));
        assert_eq!(date("02.01.1970", "%Y-%m-%d"), None);
        assert_eq!(date("2023-02-30", "%Y-%m-%d"), None);
    }

    #[test]
    fn timestamps_with_and_without_offset() {
        assert_eq!(timestamp("1970-01-01T01:00:00+01:00", "%+"), Some(0));
        assert_eq!(timestamp("1970-01-01 00:00:01", "%Y-%m-%d %H:%M:%S"), Some(1_000_000));
        assert_eq!(timestamp("1970-01-02", "%Y-%m-%d"), Some(86_400_000_000));
    }
}
