//! Arithmetic that fails where DataFusion's wraps (integers) or gives Infinity or NaN (floats).

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::kernels::{cast, numeric};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

/// Whether DataFusion's operator gives a wrong value, and no error, where the right one does not fit the type.
pub(super) fn is_unsafe(operator: Operator, operands: &DataType) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    match operator {
        Plus | Minus | Multiply => operands.is_integer() || operands.is_floating(),
        Divide | Modulo => operands.is_floating(),
        _ => false,
    }
}

/// The operator, checked. Both operands have the same type.
pub(super) fn checked(operator: Operator, left: Expr, right: Expr) -> Expr {
    ScalarUDF::from(Checked {
        operator,
        signature: Signature::any(2, Volatility::Immutable),
    })
    .call(vec![left, right])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Plus => "_add",
            Operator::Minus => "_subtract",
            Operator::Multiply => "_multiply",
            Operator::Divide => "_divide",
            _ => "_modulo",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, operands: &[DataType]) -> Result<DataType> {
        Ok(operands[0].clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = &arguments.args[..] else {
            return internal_err!("{} takes two operands", self.name());
        };
        let result = match self.operator {
            Operator::Plus => apply(left, right, numeric::add),
            Operator::Minus => apply(left, right, numeric::sub),
            Operator::Multiply => apply(left, right, numeric::mul),
            Operator::Divide => apply(left, right, numeric::div),
            _ => apply(left, right, numeric::rem),
        }?;
        if !result.data_type().is_floating() {
            return Ok(result);
        }
        let rows = arguments.number_rows;
        if not_finite(&result.to_array(rows)?)?.is_empty() {
            return Ok(result);
        }
        let divides = matches!(self.operator, Operator::Divide | Operator::Modulo);
        let values = [left, right].map(|operand| floats(&operand.to_array(rows)?));
        let [left, right] = values;
        let (left, right) = (left?, right?);
        let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
        for row in not_finite(&result.to_array(rows)?)? {
            if divides && right.value(row) == 0.0 {
                return Err(ArrowError::DivideByZero.into());
            }
            // Infinity that a file brings may be counted with.
            if left.value(row).is_finite() && right.value(row).is_finite() {
                return Err(ArrowError::ArithmeticOverflow("the result is not finite".into()).into());
            }
        }
        Ok(result)
    }
}

/// The functions that give Infinity or NaN for some numbers.
pub(super) fn may_be_infinite(function: &str) -> bool {
    const NAMES: [&str; 17] = [
        "acos", "acosh", "asin", "atanh", "cosh", "cot", "degrees", "exp", "ln", "log", "log10", "log2", "power",
        "sinh", "sqrt", "tan", "pow",
    ];
    NAMES.contains(&function)
}

/// The value, checked to be finite.
pub(super) fn finite(value: Expr) -> Expr {
    ScalarUDF::from(Finite {
        signature: Signature::any(1, Volatility::Immutable),
    })
    .call(vec![value])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Finite {
    signature: Signature,
}

impl ScalarUDFImpl for Finite {
    fn name(&self) -> &'static str {
        "_finite"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, values: &[DataType]) -> Result<DataType> {
        Ok(values[0].clone())
    }

    fn invoke_with_args(&self, mut arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = arguments.args.swap_remove(0);
        if value.data_type().is_floating() && !not_finite(&value.to_array(arguments.number_rows)?)?.is_empty() {
            return Err(ArrowError::ArithmeticOverflow("the result is not finite".into()).into());
        }
        Ok(value)
    }
}

/// The rows that hold Infinity or NaN.
pub(super) fn not_finite(values: &ArrayRef) -> Result<Vec<usize>> {
    let values = floats(values)?;
    let values = values.as_primitive::<Float64Type>();
    if values.values().iter().all(|value| value.is_finite()) {
        return Ok(Vec::new());
    }
    let rows = 0..values.len();
    Ok(rows
        .filter(|row| values.is_valid(*row) && !values.value(*row).is_finite())
        .collect())
}

fn floats(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast::cast(values, &DataType::Float64)?)
}
