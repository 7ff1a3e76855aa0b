//! `surrogate`: 32 hex digits that are random for whoever reads them. Within one load equal values get equal ones, so that
//! its tables join. The next load gives others.
//!
//! They are made with a random key that exists for one load, in memory only. Once it is gone, nothing leads from a
//! surrogate to a value: neither the input nor the project's key. A list of values with random numbers would do the same,
//! and grow with the input. 45 CFR 164.514(c) lets a code stand for a person that is not derived from information about
//! the person, and that nobody can translate back.

use arrow::array::ArrayRef;
use arrow::error::ArrowError;

use super::hash;
use crate::mask::key::{MaskKey, Use};

pub(in crate::mask) fn apply(load: &MaskKey, domain: &str, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    hash::hex_tokens(&load.keyed(Use::Surrogate, domain), array, "surrogate")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, Int64Array, StringArray};

    use super::*;

    #[test]
    fn equal_values_are_equal_within_a_load_and_a_domain_and_nowhere_else() {
        let (one, other) = (MaskKey::random().unwrap(), MaskKey::random().unwrap());
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), None, Some("8"), Some("7")]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        let masked = apply(&one, "patient", &texts).unwrap();
        let ids = masked.as_string::<i32>();
        assert!(ids.value(0).len() == 32 && ids.is_null(1));
        assert_eq!(ids.value(0), ids.value(3));
        assert_ne!(ids.value(0), ids.value(2));
        let same = apply(&one, "patient", &numbers).unwrap();
        assert_eq!(same.as_string::<i32>().value(0), ids.value(0));
        for (load, domain) in [(&other, "patient"), (&one, "visit")] {
            let apart = apply(load, domain, &numbers).unwrap();
            assert_ne!(apart.as_string::<i32>().value(0), ids.value(0), "{domain}");
        }
    }
}
