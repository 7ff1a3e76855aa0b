//! The batch of rows that is being validated.

use std::collections::BTreeSet;

use arrow::array::{Array, UInt64Array};

use crate::model::RecordRef;

/// The reason for refusing a row.
#[derive(Clone, Copy)]
pub(super) struct Grounds<'a> {
    pub check: &'a str,
    /// The column, where the check is about one column.
    pub path: Option<&'a str>,
    pub reason: &'a str,
    /// Whether its dependants are refused, too.
    pub cascades: bool,
}

/// Tells where a record is, given its value of [`crate::model::RECORD_COLUMN`].
pub type Locate<'a> = &'a (dyn Fn(u64) -> RecordRef + Sync);

/// The batch that is being validated.
pub(super) struct Pass<'a> {
    pub locate: Locate<'a>,
    pub kept: Vec<bool>,
    pub record: Option<UInt64Array>,
    /// Refused rows whose dependants are refused, too.
    pub cascading: BTreeSet<usize>,
    /// Rows that the transform could not make. Some of their values are missing.
    pub unmade: BTreeSet<usize>,
}

impl Pass<'_> {
    pub fn record(&self, row: usize) -> Option<u64> {
        let record = self.record.as_ref()?;
        record.is_valid(row).then(|| record.value(row))
    }
}
