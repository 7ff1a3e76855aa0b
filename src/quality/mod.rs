//! Decides which rows may be loaded: applies the checks that a transform's rows carry the result of, keeps the first of
//! the rows with one key, and refuses what belongs to a refused row. It counts what it refuses and says why, never with
//! a value; it knows neither SQL nor PostgreSQL.

mod keys;
mod screen;

pub use keys::{Key, Keys};
pub use screen::{Deny, Screen, Screened};

use std::sync::Arc;

/// A record or row that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `None`: a record, refused before any transform saw it.
    pub entity: Option<Arc<str>>,
    /// The name of the check that it broke.
    pub check: Arc<str>,
    /// `_record` of where it came from, where the transform kept it.
    pub record: Option<u64>,
    /// In the decompressed file, where known.
    pub byte_offset: Option<u64>,
    /// The declared path, or the column.
    pub path: Option<Arc<str>>,
    /// Holds no value.
    pub reason: Arc<str>,
}

#[cfg(test)]
mod tests;
