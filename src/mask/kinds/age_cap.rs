//! `age_cap`: ages of 90 and above become 90, the single category that 45 CFR 164.514(b)(2)(i)(C) allows for them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::error::ArrowError;

const OLDEST: i32 = 90;

pub(in crate::mask) fn apply(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Int32 => Ok(Arc::new(
            array
                .as_primitive::<Int32Type>()
                .unary::<_, Int32Type>(|age| age.min(OLDEST)),
        )),
        DataType::Int64 => Ok(Arc::new(
            array
                .as_primitive::<Int64Type>()
                .unary::<_, Int64Type>(|age| age.min(i64::from(OLDEST))),
        )),
        other => Err(super::unexpected("age_cap", other)),
    }
}
