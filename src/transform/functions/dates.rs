//! `parse_date`, `parse_timestamp` and their `try_` forms parse dates in the formats that senders use, tried in the
//! given order. DataFusion's own `to_date` is similar, but its errors quote the value. These never do.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::model::refusal::Reason;
use crate::model::scalar::{self, Formats};
use crate::model::time_format::TimeFormat;

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
    documentation: Documentation,
}

impl ParseTime {
    fn udf(name: &'static str, target: Target, strict: bool) -> ScalarUDF {
        let signature = Signature::variadic(vec![DataType::Utf8], Volatility::Immutable);
        let gives = match target {
            Target::Date => "A date",
            Target::Timestamp => "A timestamp, in UTC if the text has an offset",
        };
        let otherwise = if strict { "An error" } else { "Null" };
        let about = format!(
            "{gives}, by the first format that fits; ISO 8601 if no format is given. {otherwise} if none fits."
        );
        ScalarUDF::from(Self {
            name,
            target,
            strict,
            signature,
            documentation: super::documented(format!("{name}(text, format, ...)"), about),
        })
    }

    /// Parses each row with the formats of that row; `None` for null, an error for a text that fits none when strict.
    fn parse<T>(
        &self,
        columns: &[StringArray],
        parse: impl Fn(&str, &Formats) -> Result<T, Reason>,
    ) -> Result<Vec<Option<T>>> {
        let Some((texts, formats)) = columns.split_first() else {
            return exec_err!("{} needs a text", self.name);
        };
        let mut known: HashMap<Vec<&str>, Option<Formats>> = HashMap::new();
        let mut parsed = Vec::with_capacity(texts.len());
        for row in 0..texts.len() {
            if texts.is_null(row) || texts.value(row).trim().is_empty() {
                parsed.push(None);
                continue;
            }
            let given = formats.iter().filter(|f| f.is_valid(row)).map(|f| f.value(row));
            let given: Vec<&str> = given.collect();
            let formats = known.entry(given).or_insert_with_key(|given| {
                let given: Vec<String> = given.iter().map(|&format| format.to_owned()).collect();
                Formats::parse(&given).ok()
            });
            let value = formats
                .as_ref()
                .and_then(|formats| parse(texts.value(row), formats).ok());
            if value.is_none() && self.strict {
                return exec_err!("{}: a text fits none of the formats", self.name);
            }
            parsed.push(value);
        }
        Ok(parsed)
    }

    /// A format that stands in the SQL is part of the project and may be shown.
    fn check_format(&self, format: &str) -> Result<()> {
        let Some(parsed) = TimeFormat::parse(format) else {
            return plan_err!("{}: `{format}` is no date format", self.name);
        };
        if parsed.has_zone_name() && self.target == Target::Timestamp {
            return plan_err!(
                "{}: the format `{format}` has the name of a time zone (%Z), which says no offset",
                self.name
            );
        }
        Ok(())
    }
}

impl ScalarUDFImpl for ParseTime {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.target {
            Target::Date => DataType::Date32,
            Target::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        for format in args.scalar_arguments.iter().skip(1).flatten() {
            if let Some(Some(format)) = format.try_as_str() {
                self.check_format(format)?;
            }
        }
        Ok(Arc::new(Field::new(self.name, self.return_type(&[])?, true)))
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
            Target::Date => Arc::new(Date32Array::from(self.parse(&columns, scalar::date)?)),
            Target::Timestamp => Arc::new(TimestampMicrosecondArray::from(self.parse(&columns, micros)?)),
        };
        Ok(ColumnarValue::Array(array))
    }
}

/// Microseconds since 1970-01-01T00:00; UTC where the text has an offset, midnight where the format has no time.
fn micros(text: &str, formats: &Formats) -> Result<i64, Reason> {
    scalar::utc_timestamp(text, formats).map(|micros| micros.value)
}
