//! One batch from its files to its swap.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::account::{self, Records};
use super::fingerprint::fingerprint;
use super::masking::AllMasks;
use super::observer::{Activity, Observer};
use super::prepare::Plans;
use super::schedule::internal;
use super::stage::{Passed, Stage};
use crate::error::{Error, Kind, Result};
use crate::ingest::{self, InputFile, Listing, ReadStats};
use crate::mask::Masks;
use crate::project::{Batch, Project, Source};
use crate::transform::Counted;
use crate::warehouse::quarantine::Entry;
use crate::warehouse::runs::{Action, Failure, RunRecord, Summary};
use crate::warehouse::{ActiveRun, BatchLocks, StageCounter, Warehouse};

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
    /// summed over all of them: only `list`, `claim`, `stage`, `verify` and `swap` add up to what the batch took.
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

/// What all batches of an invocation share.
pub(super) struct Worker {
    pub(super) project: Project,
    pub(super) warehouse: Warehouse,
    pub(super) plans: Plans,
    masks: AllMasks,
    locks: BatchLocks,
    invocation: Uuid,
    wait: bool,
    observer: Arc<dyn Observer>,
    pub(super) stop: CancellationToken,
    /// Chunks of input that are decoded or masked at once.
    pub(super) parallelism: usize,
}

impl Worker {
    pub(super) fn new(
        project: Project,
        locks: BatchLocks,
        plans: Plans,
        masks: AllMasks,
        wait: bool,
        observer: Arc<dyn Observer>,
        stop: CancellationToken,
    ) -> Self {
        // Chunks come in order: with more under way than there are cores, a core need not wait for the oldest.
        let parallelism = 2 * crate::cores();
        let invocation = Uuid::now_v7();
        Self {
            project,
            warehouse: locks.warehouse().clone(),
            plans,
            masks,
            locks,
            invocation,
            wait,
            observer,
            stop,
            parallelism,
        }
    }

    pub(super) fn project(&self) -> &Project {
        &self.project
    }

    pub(super) fn warehouse(&self) -> &Warehouse {
        &self.warehouse
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Runs one batch to its end; whatever fails is in the outcome.
    pub(super) async fn run(self: Arc<Self>, batch: Batch) -> BatchOutcome {
        let begun = Instant::now();
        let mut outcome = match Arc::clone(&self).load(&batch).await {
            Ok(outcome) => outcome,
            Err(error) => BatchOutcome::failed(batch, error),
        };
        outcome.elapsed = begun.elapsed();
        self.observer.finished(&outcome);
        outcome
    }

    async fn load(self: Arc<Self>, batch: &Batch) -> Result<BatchOutcome> {
        let source = self.project.source(&batch.source)?;
        let mut clock = Clock::start();
        let listing = ingest::list(&self.project.root, source, batch.date).await?;
        clock.lap("list");
        let key_id = self.masks.key_id(source);
        let record = RunRecord {
            mask_key_id: key_id.map(str::to_owned),
            invocation: self.invocation,
            action: Action::Load,
            fingerprint: listing
                .as_ref()
                .map(|l| fingerprint(&self.project, source, l.files(), key_id)),
            files: files_value(listing.as_ref().map_or(&[], |l| l.files())),
        };
        let Some(listing) = listing else {
            let run_id = self.locks.skip(batch, &record).await?;
            let skipped = BatchOutcome {
                status: Status::Skipped,
                ..BatchOutcome::not_started(batch.clone())
            };
            return Ok(BatchOutcome {
                run_id: Some(run_id),
                ..skipped
            });
        };
        let masks = self.masks.of(source, batch)?;
        let listing = listing.hashing_names(masks.names().cloned());
        let run = Arc::new(self.locks.start_run(batch, &record, self.wait).await?);
        clock.lap("claim");
        let run_id = run.run_id();

        let stats = Arc::new(ReadStats::default());
        let passed = Arc::clone(&self);
        let passed = passed.stage(source, batch, &listing, &run, &stats, masks).await;
        clock.lap("stage");
        // All tasks have ended, so this is the only holder left.
        let run = Arc::into_inner(run).ok_or_else(internal)?;
        let mut passed = match passed {
            Ok(passed) => passed,
            Err(error) => {
                self.note(&run, &account::entries(&listing, &stats.take_refused(), &[]))
                    .await;
                return Ok(self.failed(run, error).await);
            }
        };
        let refused = stats.take_refused();
        let records = Records {
            accepted: stats.records.load(Ordering::Relaxed),
            refused: refused.len() as u64,
        };
        let (mut entities, mut refusals) = (Vec::new(), Vec::new());
        for one in &mut passed {
            entities.push(EntityOutcome {
                entity: one.staged.entity().to_owned(),
                rows: one.staged.rows(),
                bytes: one.staged.bytes(),
                produced: one.screened.produced,
                warnings: one.screened.warnings.clone(),
                times: std::mem::take(&mut one.times),
                elements: one.elements.clone(),
            });
            refusals.extend(std::mem::take(&mut one.screened.refusals));
        }
        let mut connection = self.warehouse.acquire().await?;
        let refused = account::entries(&listing, &refused, &refusals);
        let checked = async {
            run.quarantine(&connection, &refused).await?;
            account::balance(stats.read.load(Ordering::Relaxed), records)?;
            account::verdict(source, batch, records, &entities, &refused)?;
            account::conservation(source, &entities)?;
            account::whole(&self.project, source, &run, &mut connection, &passed).await
        };
        let warnings = match checked.await {
            Ok(warnings) => warnings,
            Err(error) => {
                drop(connection);
                return Ok(self.failed(run, error).await);
            }
        };
        clock.lap("verify");
        clock.add("read", stats.times.split.get());
        clock.add("parse", stats.times.decode.get());
        clock.add("mask", stats.times.mask.get());
        for (stage, spent) in entities.iter().flat_map(|entity| &entity.times) {
            clock.add(stage, *spent);
        }
        let mut summary = Summary {
            records: records.read(),
            account: account::value(records, &entities),
            ..Summary::default()
        };
        for (stage, took) in &clock.laps {
            summary.time(stage, *took);
        }
        let staged = passed.into_iter().map(|one| one.staged).collect();
        let committed = run
            .swap(connection, &self.project.entities, staged, summary, &self.stop)
            .await?;
        clock.lap("swap");
        if committed.retries > 0 {
            tracing::info!(%batch, retries = committed.retries, "the swap gave way to readers");
        }
        Ok(BatchOutcome {
            status: Status::Committed,
            run_id: Some(run_id),
            records,
            files: listing.files().to_vec(),
            entities,
            warnings,
            times: clock.laps,
            ..BatchOutcome::not_started(batch.clone())
        })
    }

    /// Ends the run as failed; what it refused so far is noted.
    async fn failed(&self, run: ActiveRun, error: Error) -> BatchOutcome {
        let (run_id, batch) = (run.run_id(), run.batch().clone());
        self.give_up(run, &error).await;
        BatchOutcome {
            run_id: Some(run_id),
            ..BatchOutcome::failed(batch, error)
        }
    }

    /// For a run that fails anyway: its own error is the one to tell.
    async fn note(&self, run: &ActiveRun, refused: &[Entry]) {
        if refused.is_empty() {
            return;
        }
        let noted = async { run.quarantine(&*self.warehouse.acquire().await?, refused).await };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "what the run refused could not be noted");
        }
    }

    /// Ends the run in the history; what can't be written there, the next run finds out.
    async fn give_up(&self, run: ActiveRun, error: &Error) {
        if let Err(unmarked) = run.fail(Failure::of(error), &error.to_string()).await {
            tracing::warn!(error = %unmarked, "the run could not be marked as ended; the next run will");
        }
    }

    /// Fills the staging tables of all entities; stops early on a signal.
    async fn stage(
        self: Arc<Self>,
        source: &Source,
        batch: &Batch,
        listing: &Listing,
        run: &Arc<ActiveRun>,
        stats: &Arc<ReadStats>,
        masks: Arc<Masks>,
    ) -> Result<Vec<Passed>> {
        let input_bytes = listing.bytes();
        let plans = self.plans.of(&self.project, source, input_bytes).await;
        let counters: Vec<Arc<StageCounter>> = plans.iter().map(|_| Arc::default()).collect();
        self.observer.started(Activity {
            batch: batch.clone(),
            input_bytes,
            read: Arc::clone(stats),
            entities: plans
                .iter()
                .map(|p| p.outline.entity.clone())
                .zip(counters.iter().cloned())
                .collect(),
        });
        let stage = Stage {
            worker: &self,
            source,
            batch,
            listing,
            run,
            stats,
            plans,
            masks,
            tally: self.plans.engine.tally(plans, batch)?,
            counters: &counters,
        };
        stage.run().await
    }
}

/// The time of each stage.
struct Clock {
    last: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Clock {
    fn start() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }

    fn lap(&mut self, stage: &'static str) {
        let elapsed = self.last.elapsed();
        self.last = Instant::now();
        self.laps.push((stage, elapsed));
    }

    /// Time that goes on within a lap.
    fn add(&mut self, stage: &'static str, spent: Duration) {
        match self.laps.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, sum)) => *sum += spent,
            None => self.laps.push((stage, spent)),
        }
    }
}

fn files_value(files: &[InputFile]) -> serde_json::Value {
    files
        .iter()
        .map(|f| serde_json::json!({"path": f.path, "size": f.size, "etag": f.etag}))
        .collect()
}
