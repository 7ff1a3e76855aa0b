//! Counts what a read finds, for progress bars and for the account of the batch. It decides nothing.

mod report;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Unknown;
use crate::mask::Unmasked;
use crate::model::Refusal;
use crate::timing::Spent;

pub(super) use report::Findings;
pub use report::PartReport;

/// About the most bytes of refused records that are kept to be counted.
const MOST_SALVAGED: usize = 32 << 20;

/// The counters of one read. They change while it goes on.
#[derive(Debug, Default)]
pub struct ReadStats {
    /// Records found in the files, good and bad. An unreadable rest of a file, or an unreadable file, counts as one.
    pub read: AtomicU64,
    /// Records decoded and handed on.
    pub records: AtomicU64,
    /// Bytes of input read, as stored: compressed, where the files are.
    pub bytes: AtomicU64,
    /// The times of all reads of this input together.
    pub times: Arc<ReadTimes>,
    unknown: Mutex<BTreeMap<String, Unknown>>,
    kinds: Mutex<BTreeMap<usize, KindRecords>>,
    strays: Mutex<Unknown>,
    refused: Mutex<Vec<Refusal>>,
    empty: Mutex<Vec<String>>,
    salvaged: Mutex<Salvaged>,
    left_out: AtomicU64,
    warnings: Mutex<Vec<String>>,
    /// Of a part: what its read has found, for who puts the parts together. It is set at the end.
    findings: Mutex<Findings>,
    /// Of a part: the records that it holds of a file of which other parts hold some, by the index of the file.
    cut: Mutex<BTreeMap<usize, u64>>,
}

/// The records of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KindRecords {
    pub accepted: u64,
    pub refused: u64,
    /// Records that would be accepted or refused, but are of a person on the suppression list.
    pub suppressed: u64,
}

impl KindRecords {
    pub fn read(self) -> u64 {
        self.accepted + self.refused + self.suppressed
    }
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

    /// The records of a kind, by its index in the source. Refused records whose kind can't be told are not among them.
    pub fn records_of(&self, kind: usize) -> KindRecords {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.get(&kind).copied().unwrap_or_default()
    }

    /// Counts records that were handed on and are left out, since their person is on the suppression list.
    pub fn leave_out(&self, kind: usize, records: u64) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = kinds.entry(kind).or_default();
        sum.accepted = sum.accepted.saturating_sub(records);
        sum.suppressed += records;
        self.left_out.fetch_add(records, Ordering::Relaxed);
    }

    /// Counts a refused record whose person is on the suppression list.
    pub fn leave_out_refused(&self, kind: usize) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = kinds.entry(kind).or_default();
        sum.refused = sum.refused.saturating_sub(1);
        sum.suppressed += 1;
    }

    /// Of the records that were handed on, those that are left out.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// What this read has warned of, for who does not see its log.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add_warning(&self, warning: String) {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(warning);
    }

    pub(super) fn add_records(&self, kind: usize, met: KindRecords) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = kinds.entry(kind).or_default();
        sum.accepted += met.accepted;
        sum.refused += met.refused;
    }

    /// The records of no declared kind, by the value that would tell their kind or by its keyed hash.
    pub fn strays(&self) -> Unknown {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add_strays(&self, met: Unknown) {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner).add(met);
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

    pub(super) fn add_salvaged(&self, records: Unmasked, size: usize) {
        let mut salvaged = self.salvaged.lock().unwrap_or_else(PoisonError::into_inner);
        if salvaged.bytes < MOST_SALVAGED {
            salvaged.bytes += size;
            salvaged.batches.push(records);
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
