//! `redact`: every value becomes `[redacted]` and a null stays null. So the output still shows that there was a value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::error::ArrowError;

pub(in crate::mask) const REDACTED: &str = "[redacted]";

pub(in crate::mask) fn apply(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    super::fits("redact", array.len(), REDACTED.len())?;
    let valid = array.len() - array.null_count();
    let mut builder = StringBuilder::with_capacity(array.len(), valid * REDACTED.len());
    for i in 0..array.len() {
        builder.append_option(array.is_valid(i).then_some(REDACTED));
    }
    Ok(Arc::new(builder.finish()))
}
