//! The outcome of an invocation and of each of its batches.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::kinds::KindsOutcome;
use crate::error::{Error, Kind};
use crate::ingest::{Export, InputFile};
use crate::model::{Batch, Shown};
use crate::transform::Counted;
use crate::warehouse::Warehouse;

/// The outcome of an invocation.
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
    /// Materialized views that still lack changes of the tables they read.
    pub stale: Vec<String>,
    pub elapsed: Duration,
    /// The signal that stopped the invocation.
    pub signal: Option<i32>,
    /// The sessions of a server, kept open until the outcome is printed. A server that closes sessions at the same time
    /// would slow that down.
    pub(super) _sessions: Option<Warehouse>,
}

impl Outcome {
    /// The exit code. An unreachable database takes precedence over a failed batch, and a signal over both.
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
    /// `--fail-fast` or a signal ended the invocation first.
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

/// What one batch loaded into one entity.
#[derive(Debug, Clone)]
pub struct EntityOutcome {
    pub entity: String,
    pub rows: u64,
    /// The size as sent to PostgreSQL.
    pub bytes: u64,
    /// Rows that the transform returned: those loaded and those refused.
    pub produced: u64,
    /// The number of rows that break a check with `severity: warn`, by check.
    pub warnings: BTreeMap<String, Shown>,
    /// The time that each stage worked or waited for this entity, in the order of the stages.
    pub times: Vec<(&'static str, Duration)>,
    /// The elements that `produced` must equal, where the source has `conserves` for this entity.
    pub elements: Option<Counted>,
    /// Rows that the refused records would have given, as far as those can be read.
    pub missing: u64,
    /// Rows that were loaded without their quasi-identifiers.
    pub suppressed: Shown,
    /// Set if the rows are the keys that the batch deletes.
    pub deletions: Option<Deletions>,
}

/// From which entity the keys of a table are deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletions {
    pub from: String,
    /// Keys of which no batch of the source has a row, this one included.
    pub never_loaded: Shown,
}

impl EntityOutcome {
    /// Rows that a check refused.
    pub fn refused(&self) -> u64 {
        self.produced - self.rows
    }

    /// Rows that there would be if nothing were refused.
    pub fn expected(&self) -> u64 {
        self.produced + self.missing
    }

    /// Rows that are not loaded: those refused, and those of refused records.
    pub fn lost(&self) -> u64 {
        self.refused() + self.missing
    }
}

/// The outcome of one batch.
#[derive(Debug)]
pub struct BatchOutcome {
    pub batch: Batch,
    pub status: Status,
    pub run_id: Option<i64>,
    pub records: Records,
    pub kinds: KindsOutcome,
    pub files: Vec<InputFile>,
    /// What the manifests of a bulk export say.
    pub export: Option<Export>,
    pub entities: Vec<EntityOutcome>,
    /// Warnings of checks over the whole batch.
    pub warnings: Vec<String>,
    /// The time that each stage took, in the order of the stages. Only `list`, `lock`, `stage`, `verify` and `swap`
    /// follow one another and add up to the time of the batch. The others run within `stage`, summed over all entities.
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
            kinds: KindsOutcome::default(),
            files: Vec::new(),
            export: None,
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

    /// The rows loaded into an entity. `None`: the source has no transform for it, or the batch was not loaded.
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

/// The numbers of a batch's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Records {
    pub accepted: u64,
    pub refused: u64,
    /// Records of persons on the suppression list.
    pub suppressed: u64,
    /// Records of no declared kind, which are left out.
    pub unknown: u64,
}

impl Records {
    pub fn read(self) -> u64 {
        self.accepted + self.refused + self.suppressed + self.unknown
    }
}
