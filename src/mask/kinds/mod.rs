//! The kinds of masks, one file each. Each takes an array that is already null wherever one of its parents is null. It
//! returns an array of the same length that is null at the same places, and possibly at more.

pub(super) mod age_cap;
pub(super) mod date_shift;
pub(super) mod hash;
pub(super) mod partial;
pub(super) mod pseudonym;
pub(super) mod redact;
pub(super) mod reference;
pub(super) mod spelling;
pub(super) mod surrogate;
pub(super) mod year;
pub(super) mod zip3;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::compute::nullif;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use chrono::{Days, NaiveDate};

/// The error for a mask on a type that it can't take. The matrix allows no such pair. If one occurs all the same, the
/// value must not pass unmasked.
fn unexpected(mask: &str, data_type: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("`{mask}` does not mask {data_type}"))
}

/// Fails if the output would not fit into a string column, because the array builder would panic.
fn fits(mask: &str, values: usize, width: usize) -> Result<(), ArrowError> {
    match values.checked_mul(width) {
        Some(bytes) if i32::try_from(bytes).is_ok() => Ok(()),
        _ => Err(ArrowError::ComputeError(format!(
            "`{mask}` of {values} values at once is more than a string column holds"
        ))),
    }
}

/// `child`, set to null wherever `parent` is null. What a child array holds under a null parent is not a value.
pub(super) fn under(child: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef, ArrowError> {
    match parent {
        Some(parent) if parent.null_count() > 0 => nullif(child, &BooleanArray::new(!parent.inner(), None)),
        _ => Ok(Arc::clone(child)),
    }
}

/// The date for a number of days since 1970-01-01. `None` if it is outside of chrono's range.
fn date(days: i32) -> Option<NaiveDate> {
    let distance = Days::new(u64::from(days.unsigned_abs()));
    if days < 0 {
        NaiveDate::default().checked_sub_days(distance)
    } else {
        NaiveDate::default().checked_add_days(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_string_column_holds_is_refused_before_it_is_built() {
        let most = i32::MAX as usize;
        assert!(fits("hash", most, 1).is_ok());
        assert!(fits("hash", most / 32, 32).is_ok());
        for (values, width) in [(most + 1, 1), (most / 32 + 1, 32), (usize::MAX, 2)] {
            let error = fits("hash", values, width).unwrap_err().to_string();
            assert!(error.ends_with("is more than a string column holds"), "{error}");
        }
    }
}
