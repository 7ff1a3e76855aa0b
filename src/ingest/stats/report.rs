//! What the read of a part has found, to be sent to who puts the parts together. It holds no value of the data.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::Unknown;
use super::super::decode::Cuts;
use super::{KindRecords, ReadStats};
use crate::model::Refusal;

/// What the read of a part has found, apart from the records.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PartReport {
    read: u64,
    records: u64,
    bytes: u64,
    left_out: u64,
    split: Duration,
    decode: Duration,
    mask: Duration,
    kinds: BTreeMap<usize, KindRecords>,
    strays: Unknown,
    pub(in super::super) refused: Vec<Refusal>,
    pub(in super::super) empty: Vec<String>,
    /// The records of each file that other parts hold some of, by the index of the file.
    pub(in super::super) cut: BTreeMap<usize, u64>,
    pub(in super::super) findings: Findings,
}

/// What the read of a part has found by which only the whole input is judged.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in super::super) struct Findings {
    /// Records that were accepted, or skipped as of another kind than is wanted.
    pub records: u64,
    pub refused: u64,
    /// The undeclared fields, by kind and by object.
    pub unknown: Vec<Vec<Unknown>>,
    /// By kind.
    pub cuts: Vec<Cuts>,
    /// How many files have no column for a declared field, with the kind and the field's path.
    pub lacking: Vec<(usize, String, u64)>,
    /// The bad record that fails the batch, and where its fault is.
    pub fatal: Option<(Refusal, Option<u64>)>,
}

impl ReadStats {
    /// Takes out what the read of a part has found. It has ended.
    pub fn report(&self) -> PartReport {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        PartReport {
            read: self.read.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            left_out: self.left_out(),
            split: self.times.split.get(),
            decode: self.times.decode.get(),
            mask: self.times.mask.get(),
            kinds,
            strays: self.strays(),
            refused: self.take_refused(),
            empty: self.empty_files(),
            cut: self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            findings: std::mem::take(&mut *findings),
        }
    }

    /// Counts what a part has found, but for its refusals and empty files.
    pub(in super::super) fn add_part(&self, part: &PartReport) {
        self.read.fetch_add(part.read, Ordering::Relaxed);
        self.records.fetch_add(part.records, Ordering::Relaxed);
        self.bytes.fetch_add(part.bytes, Ordering::Relaxed);
        self.left_out.fetch_add(part.left_out, Ordering::Relaxed);
        self.times.split.add(part.split);
        self.times.decode.add(part.decode);
        self.times.mask.add(part.mask);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, met) in &part.kinds {
            let sum = kinds.entry(*kind).or_default();
            sum.accepted += met.accepted;
            sum.refused += met.refused;
            sum.suppressed += met.suppressed;
        }
        self.add_strays(part.strays.clone());
    }

    pub(in super::super) fn add_cut(&self, file: usize, records: u64) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        cut.insert(file, records);
    }

    /// Notes the bad record that fails the batch. In a part its number is not yet that of the whole file.
    pub(in super::super) fn set_fatal(&self, refusal: &Refusal) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.fatal = Some((refusal.clone(), refusal.fault_offset));
    }

    pub(in super::super) fn set_findings(&self, findings: Findings) {
        let mut held = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let fatal = held.fatal.take();
        *held = Findings { fatal, ..findings };
    }
}
