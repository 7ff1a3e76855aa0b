//! What a read counts while it goes on, for progress bars and accounts. It never decides anything.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use super::Unknown;
use crate::model::Refusal;
use crate::timing::Spent;

/// Counters of one read; shared with whoever shows progress while it goes on.
#[derive(Debug, Default)]
pub struct ReadStats {
    /// Records found in the files, good and bad; an unreadable stretch counts as one.
    pub read: AtomicU64,
    /// Records decoded and handed on.
    pub records: AtomicU64,
    /// Bytes of input read, as they lie in the files (compressed where those are).
    pub bytes: AtomicU64,
    /// Of all reads of this input.
    pub times: Arc<ReadTimes>,
    unknown: Mutex<BTreeMap<String, Unknown>>,
    refused: Mutex<Vec<Refusal>>,
    empty: Mutex<Vec<String>>,
}

/// How long the way from the files to masked records took.
#[derive(Debug, Default)]
pub struct ReadTimes {
    /// Reading, decompressing and finding records.
    pub split: Spent,
    /// Decoding records into columns.
    pub decode: Spent,
    /// Masking them.
    pub mask: Spent,
}

impl ReadStats {
    /// For another read of the same input: it counts from nothing, and its time is added to this one's.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            times: Arc::clone(&self.times),
            ..Self::default()
        }
    }

    /// The undeclared fields that were met, per declared path of the object that held them (`$`, `$.visits[]`).
    pub fn unknown_fields(&self) -> BTreeMap<String, Unknown> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The files that hold no record, as messages name them.
    pub fn empty_files(&self) -> Vec<String> {
        self.empty.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add_empty(&self, file: &str) {
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        empty.push(file.to_owned());
    }

    /// The records that were refused so far, taken out.
    pub fn take_refused(&self) -> Vec<Refusal> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many are held now.
    pub(super) fn refuse(&self, records: Vec<Refusal>) -> usize {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.extend(records);
        refused.len()
    }

    pub(super) fn add_unknown(&self, path: &str, met: &Unknown) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.entry(path.to_owned()).or_default().add(met.clone());
    }
}
