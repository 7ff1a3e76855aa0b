//! Numbers the rows of a plan in their order. `row_number() OVER ()` does the same, but first merges the columns of
//! several batches into one; numbering needs only the number of rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::UInt64Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The next number in this process. Only the order of two numbers matters.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// An expression whose numbers increase with each row. The plan must have one partition.
pub(super) fn ordinal() -> Expr {
    ScalarUDF::from(Ordinal {
        // Volatile, because otherwise it would be evaluated once, as a constant.
        signature: Signature::nullary(Volatility::Volatile),
    })
    .call(Vec::new())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordinal {
    signature: Signature,
}

impl ScalarUDFImpl for Ordinal {
    fn name(&self) -> &'static str {
        "_ordinal"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows as u64;
        let first = NEXT.fetch_add(rows, Ordering::Relaxed);
        let numbers = UInt64Array::from_iter_values(first..first + rows);
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    }
}
