//! The collector of a batch's refusals. Memory is bounded: it keeps [`MOST_ENTRIES`] of them and counts the rest, and
//! a batch with more can't be committed, so that every refusal of a loaded batch has its entry.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entries that one batch may have.
pub const MOST_ENTRIES: usize = 100_000;

/// One record or row that is not loaded, and why. It holds places, names that are declared, and no value of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The entity whose row this is; `None` for a record of the source.
    pub entity: Option<Arc<str>>,
    /// What refused it, e.g. `json`, `schema`, `matches`, or the name of a check.
    pub check: Cow<'static, str>,
    /// As in the column `_record`: file index and record number; `None` where a transform aggregated it away.
    pub record: Option<u64>,
    /// In the decompressed stream of the file, from its start.
    pub byte_offset: Option<u64>,
    /// A declared path (`visits[].date`) or a column; never a name that only the data holds.
    pub path: Option<String>,
    /// What is wrong, in words without a value.
    pub reason: String,
}

/// How many were refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records, each once.
    pub records: u64,
    /// Rows, per entity; an entity without refusals is absent.
    pub rows: BTreeMap<Arc<str>, u64>,
}

impl Counts {
    /// Refused rows of one entity.
    pub fn of(&self, entity: &str) -> u64 {
        self.rows.get(entity).copied().unwrap_or(0)
    }

    /// Records and rows together: entries that there should be.
    pub fn total(&self) -> u64 {
        self.records + self.rows.values().sum::<u64>()
    }
}

/// What a batch refused, collected from all its tasks.
#[derive(Debug, Default)]
pub struct Quarantine {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Refusal>,
    counts: Counts,
}

impl Quarantine {
    /// Adds a refused record or row, which counts as one: add it once, with the first check that it breaks.
    pub fn add(&self, refusal: Refusal) {
        let mut inner = self.lock();
        match &refusal.entity {
            None => inner.counts.records += 1,
            Some(entity) => *inner.counts.rows.entry(Arc::clone(entity)).or_default() += 1,
        }
        if inner.entries.len() < MOST_ENTRIES {
            inner.entries.push(refusal);
        }
    }

    /// So far.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Refused records so far.
    pub fn records(&self) -> u64 {
        self.lock().counts.records
    }

    /// Refused rows of one entity so far.
    pub fn rows(&self, entity: &str) -> u64 {
        self.lock().counts.of(entity)
    }

    /// All entries up to here in the order of their records, and no longer in here; the counts stay.
    pub fn take(&self) -> Vec<Refusal> {
        let mut entries = std::mem::take(&mut self.lock().entries);
        entries.sort_by(|a, b| (&a.entity, a.record, &a.check).cmp(&(&b.entity, b.record, &b.check)));
        entries
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(entity: Option<&str>, record: u64) -> Refusal {
        Refusal {
            entity: entity.map(Arc::from),
            check: "schema".into(),
            record: Some(record),
            byte_offset: None,
            path: None,
            reason: "wrong".to_owned(),
        }
    }

    #[test]
    fn counts_records_and_rows_apart_and_keeps_the_counts() {
        let quarantine = Quarantine::default();
        quarantine.add(refusal(Some("visits"), 7));
        quarantine.add(refusal(None, 9));
        quarantine.add(refusal(None, 3));
        let taken = quarantine.take();
        assert_eq!(
            taken.iter().map(|r| r.record).collect::<Vec<_>>(),
            [Some(3), Some(9), Some(7)]
        );
        let counts = quarantine.counts();
        assert_eq!(
            (
                counts.records,
                counts.of("visits"),
                counts.of("patients"),
                counts.total()
            ),
            (2, 1, 0, 3)
        );
        assert!(quarantine.take().is_empty());
    }

    #[test]
    fn keeps_no_more_entries_than_allowed_and_counts_all() {
        let quarantine = Quarantine::default();
        for record in 0..MOST_ENTRIES as u64 + 5 {
            quarantine.add(refusal(None, record));
        }
        assert_eq!(quarantine.records(), MOST_ENTRIES as u64 + 5);
        assert_eq!(quarantine.take().len(), MOST_ENTRIES);
    }
}
