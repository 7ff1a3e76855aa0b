//! The mark of a row that failed, in place of its record's number, and the function that keeps only marks: `refuse` sets
//! them, and rows that are merged carry them on.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The bit of `_record` that marks a row that failed. The other bits are its position among the failed rows. Record numbers
/// never have it: they are a file's index and 40 bits.
pub(super) const MARK: u64 = 1 << 63;

/// The name of [`mark`].
pub(super) const FUNCTION: &str = "_mark";

/// The record's number where it is a mark, and else null.
pub(super) fn mark(record: Expr) -> Expr {
    ScalarUDF::from(Mark {
        signature: Signature::exact(vec![DataType::UInt64], Volatility::Immutable),
    })
    .call(vec![record])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mark {
    signature: Signature,
}

impl ScalarUDFImpl for Mark {
    fn name(&self) -> &'static str {
        FUNCTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let records = arguments.args[0].to_array(arguments.number_rows)?;
        let marks = records.as_primitive::<UInt64Type>().iter();
        let marks: UInt64Array = marks.map(|record| record.filter(|record| record & MARK != 0)).collect();
        Ok(ColumnarValue::Array(Arc::new(marks) as ArrayRef))
    }
}
