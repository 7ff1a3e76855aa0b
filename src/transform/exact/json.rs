//! `json_get_int` and `json_get_float`, with an error for a number that their types can't hold. The library gives null
//! or Infinity.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::compute::{cast, filter};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF};
use datafusion_functions_json::udfs::json_as_text_udf;

use super::wrapped::{Wrapping, wrapped};

/// The same call, checked.
pub(super) fn checked(call: ScalarFunction) -> Expr {
    Expr::ScalarFunction(wrapped::<Checked>(call))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked;

impl Wrapping for Checked {
    fn invoke(inner: &ScalarUDF, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let found = inner.invoke_with_args(arguments.clone())?;
        let values = found.to_array(rows)?;
        match values.as_primitive_opt::<Float64Type>() {
            Some(floats) if floats.values().iter().any(|value| !value.is_finite()) => {
                return exec_err!("{}: a number beyond the range of its type", inner.name());
            }
            None if values.null_count() > 0 => whole_numbers(inner, arguments, &values)?,
            _ => {}
        }
        Ok(found)
    }
}

/// Fails where there is a whole number in place of a null.
fn whole_numbers(inner: &ScalarUDF, mut arguments: ScalarFunctionArgs, values: &dyn Array) -> Result<()> {
    let json = arguments.args[0].to_array(arguments.number_rows)?;
    let nothing = |row: usize| Some(values.is_null(row) && json.is_valid(row));
    let nothing: BooleanArray = (0..values.len()).map(nothing).collect();
    let rows = nothing.true_count();
    if rows == 0 {
        return Ok(());
    }
    for argument in &mut arguments.args {
        if let ColumnarValue::Array(array) = argument {
            *argument = ColumnarValue::Array(filter(array, &nothing)?);
        }
    }
    arguments.number_rows = rows;
    let as_text = json_as_text_udf();
    let types: Vec<DataType> = arguments.arg_fields.iter().map(|one| one.data_type().clone()).collect();
    arguments.return_field = Arc::new(Field::new(as_text.name(), as_text.return_type(&types)?, true));
    let texts = as_text.invoke_with_args(arguments)?.to_array(rows)?;
    let texts = cast(&texts, &DataType::Utf8)?;
    if texts.as_string::<i32>().iter().flatten().any(is_whole_number) {
        return exec_err!("{}: a number beyond the range of its type", inner.name());
    }
    Ok(())
}

fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number = digits.starts_with(|first: char| first.is_ascii_digit());
    number
        && (digits.bytes().all(|byte| byte.is_ascii_digit())
            // 1e30 is one, too; every float that large is.
            || text.parse::<f64>().is_ok_and(|value| value.abs() >= 9_223_372_036_854_775_808.0))
}
