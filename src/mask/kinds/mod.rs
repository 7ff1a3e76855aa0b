//! One file per kind of mask. Each takes an array whose nulls already count the nulls of everything above it, and
//! gives one of the same length with nulls at the same places, or more.

pub(super) mod age_cap;
pub(super) mod date_shift;
pub(super) mod hash;
pub(super) mod pseudonym;
pub(super) mod redact;
pub(super) mod spelling;
pub(super) mod year;
pub(super) mod zip3;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// The matrix lets no such pair through; a mask that met one all the same must not pass the value on.
fn unexpected(mask: &str, data_type: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("`{mask}` does not mask {data_type}"))
}

/// Refuses what a string column can't hold, before a builder would panic over it.
fn fits(mask: &str, values: usize, width: usize) -> Result<(), ArrowError> {
    match values.checked_mul(width) {
        Some(bytes) if i32::try_from(bytes).is_ok() => Ok(()),
        _ => Err(ArrowError::ComputeError(format!(
            "`{mask}` of {values} values at once is more than a string column holds"
        ))),
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
