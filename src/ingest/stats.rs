//! Counts what a read finds, for progress bars and for the account of the batch. It decides nothing.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;

use super::Unknown;
use crate::error::Result;
use crate::mask::Unmasked;
use crate::model::Refusal;
use crate::timing::Spent;

/// About the most bytes of refused records that are kept to be counted.
const MOST_SALVAGED: usize = 32 << 20;

/// The counters of one read. They change while it goes on.
#[derive(Debug, Default)]
pub struct ReadStats {
    /// Records found in the files, good and bad. An unreadable rest of a file, or an unreadable file, counts as one.
    pub read: AtomicU64,
    /// Records decoded and handed on.
    pub records: AtomicU64,
    /// Of the records handed on, those that are left out because their person is on the suppression list.
    pub suppressed: AtomicU64,
    /// Bytes of input read, as stored: compressed, where the files are.
    pub bytes: AtomicU64,
    /// The times of all reads of this input together.
    pub times: Arc<ReadTimes>,
    unknown: Mutex<BTreeMap<String, Unknown>>,
    refused: Mutex<Vec<Refusal>>,
    empty: Mutex<Vec<String>>,
    salvaged: Mutex<Salvaged>,
}

/// What could be read of refused records.
#[derive(Debug, Default)]
struct Salvaged {
    batches: Vec<Unmasked>,
    bytes: usize,
}

/// How long each stage from the files to masked records took, summed over all threads.
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
    /// Makes the counters of another read of the same input. They start from nothing, but the times are shared and add
    /// up.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            times: Arc::clone(&self.times),
            ..Self::default()
        }
    }

    /// The undeclared fields that were found, by the declared path of the object that held them, such as `$` or
    /// `$.visits[]`.
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

    /// Takes out the refusals that were added so far.
    pub fn take_refused(&self) -> Vec<Refusal> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes out what could be read of the refused records, up to a number of bytes. It is there to be counted.
    pub fn take_salvaged(&self) -> Vec<Unmasked> {
        std::mem::take(&mut self.salvaged.lock().unwrap_or_else(PoisonError::into_inner).batches)
    }

    /// Looks at what could be read of the refused records, which stays.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn look_at_salvaged<T>(&self, look: impl FnMut(&Unmasked) -> Result<T>) -> Result<Vec<T>> {
        let salvaged = self.salvaged.lock().unwrap_or_else(PoisonError::into_inner);
        salvaged.batches.iter().map(look).collect()
    }

    pub(super) fn add_salvaged(&self, records: RecordBatch) {
        let mut salvaged = self.salvaged.lock().unwrap_or_else(PoisonError::into_inner);
        if salvaged.bytes < MOST_SALVAGED {
            salvaged.bytes += records.get_array_memory_size();
            salvaged.batches.push(Unmasked::new(records));
        }
    }

    /// Adds refusals. Returns how many are held now.
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
