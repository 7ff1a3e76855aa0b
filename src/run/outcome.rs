//! What an invocation came to, and each of its batches.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::ingest::InputFile;
use crate::model::Batch;
use crate::transform::Counted;
use crate::warehouse::Warehouse;

/// What an invocation came to.
#[derive(Debug)]
pub struct Outcome {
    /// In the order in which the batches were resolved.
    pub batches: Vec<BatchOutcome>,
    /// Entity names, in the project's order.
    pub entities: Vec<String>,
    /// Materialized views that were refreshed.
    pub refreshed: Vec<String>,
    /// Refreshes that failed after the batches were committed.
    pub refresh_errors: Vec<Error>,
    /// Materialized views whose rows are older than the tables' still.
    pub stale: Vec<String>,
    pub elapsed: Duration,
    /// The signal that stopped the invocation.
    pub signal: Option<i32>,
    /// Of a server, open until the outcome is told: one that ends sessions takes the processor from whoever tells it.
    pub(super) _sessions: Option<Warehouse>,
}

impl Outcome {
    /// The exit code: an unreachable database wins over a failed batch, a signal over both.
    pub fn exit_code(&self) -> u8 {
        let errors = self
            .batches
            .iter()
            .filter_map(|b| b.error.as_ref())
            .chain(&self.refresh_errors);
        let kinds: BTreeSet<u8> = errors.map(|e| e.kind.exit_code()).collect();
        match self.signal {
            Some(signal) => Kind::Interrupted(signal).exit_code(),
            None if kinds.contains(&3) => 3,
            None => kinds.first().copied().unwrap_or(0),
        }
    }
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Committed,
    /// Its input is missing and the source says to skip it.
    Skipped,
    Failed,
    /// A signal stopped it.
    Interrupted,
    /// `--fail-fast` or a signal came before it.
    NotStarted,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Committed => "loaded",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::NotStarted => "not started",
        })
    }
}

/// What one batch brought to one entity.
#[derive(Debug, Clone)]
pub struct EntityOutcome {
    pub entity: String,
    pub rows: u64,
    /// As sent to PostgreSQL.
    pub bytes: u64,
    /// Rows that the transform returned: those loaded and those refused.
    pub produced: u64,
    /// Rows that break a check which only warns, by check.
    pub warnings: BTreeMap<String, u64>,
    /// Stage and the time that it worked or waited for this entity, in the order of the way.
    pub times: Vec<(&'static str, Duration)>,
    /// What `produced` must be, where the source says so.
    pub elements: Option<Counted>,
}

impl EntityOutcome {
    /// Rows that a check refused.
    pub fn refused(&self) -> u64 {
        self.produced - self.rows
    }
}

/// What one batch came to.
#[derive(Debug)]
pub struct BatchOutcome {
    pub batch: Batch,
    pub status: Status,
    pub run_id: Option<i64>,
    pub records: Records,
    pub files: Vec<InputFile>,
    pub entities: Vec<EntityOutcome>,
    /// What checks of the whole batch only warn of.
    pub warnings: Vec<String>,
    /// Stage and the time that it took, in the order of the way. Stages run side by side, and those of an entity are
    /// summed over all of them: only `list`, `lock`, `stage`, `verify` and `swap` add up to what the batch took.
    pub times: Vec<(&'static str, Duration)>,
    pub elapsed: Duration,
    pub error: Option<Error>,
}

impl BatchOutcome {
    pub(super) fn not_started(batch: Batch) -> Self {
        Self {
            batch,
            status: Status::NotStarted,
            run_id: None,
            records: Records::default(),
            files: Vec::new(),
            entities: Vec::new(),
            warnings: Vec::new(),
            times: Vec::new(),
            elapsed: Duration::ZERO,
            error: None,
        }
    }

    /// Its input is missing, and its source says that this is normal.
    pub(super) fn skipped(batch: Batch, run_id: i64) -> Self {
        Self {
            status: Status::Skipped,
            run_id: Some(run_id),
            ..Self::not_started(batch)
        }
    }

    pub(super) fn failed(batch: Batch, error: Error) -> Self {
        let status = match error.kind {
            Kind::Interrupted(_) => Status::Interrupted,
            _ => Status::Failed,
        };
        Self {
            status,
            error: Some(error),
            ..Self::not_started(batch)
        }
    }

    /// Rows of an entity; `None` where the source does not serve it or the batch was not loaded.
    pub fn rows(&self, entity: &str) -> Option<u64> {
        self.entities.iter().find(|e| e.entity == entity).map(|e| e.rows)
    }

    /// Records and rows that were not loaded.
    pub fn quarantined(&self) -> u64 {
        self.records.refused + self.entities.iter().map(EntityOutcome::refused).sum::<u64>()
    }

    /// The entities whose content the batch changed.
    pub(super) fn changed(&self) -> Vec<String> {
        self.entities.iter().map(|e| e.entity.clone()).collect()
    }
}

/// Of a batch's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Records {
    pub accepted: u64,
    pub refused: u64,
}

impl Records {
    pub fn read(self) -> u64 {
        self.accepted + self.refused
    }
}
