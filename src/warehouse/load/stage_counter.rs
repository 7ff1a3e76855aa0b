//! Counts the progress of one entity's staging.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::timing::Spent;

/// The progress of one entity's staging, read by the progress display.
#[derive(Debug, Default)]
pub struct StageCounter {
    /// Rows encoded.
    pub rows: AtomicU64,
    /// Bytes sent to the database.
    pub bytes: AtomicU64,
    /// The time spent on encoding rows.
    pub encode: Spent,
    /// The time spent on waiting for the server to take more.
    pub wait: Spent,
    phase: AtomicU8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    #[default]
    Waiting,
    Copying,
    Indexing,
    Staged,
}

impl StageCounter {
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Waiting,
            1 => Phase::Copying,
            2 => Phase::Indexing,
            _ => Phase::Staged,
        }
    }

    /// Starts again from zero, for an entity that is staged again.
    pub fn restart(&self) {
        self.rows.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.enter(Phase::Waiting);
    }

    /// Shows what another process has counted.
    pub fn show(&self, rows: u64, bytes: u64, phase: Phase) {
        self.rows.store(rows, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.enter(phase);
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}
