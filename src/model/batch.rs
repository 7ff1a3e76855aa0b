//! A batch: one source on one day.

use chrono::NaiveDate;

/// One batch: one source on one day. Batches are loaded, replaced and retried as a whole, and run in parallel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Batch {
    pub source: String,
    pub date: NaiveDate,
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.source, self.date)
    }
}
