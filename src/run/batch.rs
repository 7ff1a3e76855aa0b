//! One batch from its files to its swap.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::account::{RowCounts, entries, settle};
use super::fingerprint::fingerprint;
use super::observer::{Activity, Observer};
use super::prepare::Plans;
use super::schedule::internal;
use crate::error::{Error, Kind, Result};
use crate::ingest::{self, InputFile, Listing, ReadStats};
use crate::project::{Batch, Project, Source};
use crate::quality::Account;
use crate::transform::{Feed, Prepared, broadcast};
use crate::warehouse::runs::{Action, Failure, RunRecord, Summary};
use crate::warehouse::{Claim, Connection, Lease, StageCounter, Staged, Warehouse, orphans};

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
}

/// What one batch came to.
#[derive(Debug)]
pub struct BatchOutcome {
    pub batch: Batch,
    pub status: Status,
    pub run_id: Option<i64>,
    /// Records accepted.
    pub records: u64,
    /// What was read and produced and where it went; `None` where reading did not begin.
    pub account: Option<Account>,
    pub files: Vec<InputFile>,
    pub entities: Vec<EntityOutcome>,
    /// Stage and milliseconds, in the order of the way.
    pub timings: Vec<(String, u64)>,
    pub elapsed: Duration,
    pub error: Option<Error>,
}

impl BatchOutcome {
    pub(super) fn not_started(batch: Batch) -> Self {
        Self {
            batch,
            status: Status::NotStarted,
            run_id: None,
            records: 0,
            account: None,
            files: Vec::new(),
            entities: Vec::new(),
            timings: Vec::new(),
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

    /// The entities whose content the batch changed.
    pub(super) fn changed(&self) -> Vec<String> {
        self.entities.iter().map(|e| e.entity.clone()).collect()
    }
}

/// What all batches of an invocation share.
pub(super) struct Worker {
    project: Project,
    warehouse: Warehouse,
    plans: Plans,
    lease: Lease,
    invocation: Uuid,
    wait: bool,
    observer: Arc<dyn Observer>,
    stop: CancellationToken,
    cores: usize,
}

impl Worker {
    pub(super) async fn new(
        project: Project,
        warehouse: Warehouse,
        plans: Plans,
        wait: bool,
        observer: Arc<dyn Observer>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let lease = Lease::new(warehouse.clone());
        let healed = orphans::heal(&lease).await?;
        if !healed.is_empty() {
            tracing::info!(runs = ?healed, "removed what dead runs had left");
        }
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let invocation = Uuid::now_v7();
        Ok(Self {
            project,
            warehouse,
            plans,
            lease,
            invocation,
            wait,
            observer,
            stop,
            cores,
        })
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
        let record = RunRecord {
            invocation: self.invocation,
            action: Action::Load,
            fingerprint: listing.as_ref().map(|l| fingerprint(&self.project, source, l.files())),
            files: files_value(listing.as_ref().map_or(&[], |l| l.files())),
        };
        let Some(listing) = listing else {
            let run_id = self.lease.skip(batch, &record).await?;
            let skipped = BatchOutcome {
                status: Status::Skipped,
                ..BatchOutcome::not_started(batch.clone())
            };
            return Ok(BatchOutcome {
                run_id: Some(run_id),
                ..skipped
            });
        };
        let claim = Arc::new(self.lease.claim(batch, &record, self.wait).await?);
        clock.lap("claim");
        let run_id = claim.run_id();

        let counts = Arc::new(RowCounts::new(source));
        let stats = Arc::new(ReadStats::with(Arc::clone(&counts.quarantine)));
        let staged = Arc::clone(&self)
            .stage(source, batch, &listing, &claim, &stats, &counts)
            .await;
        clock.lap("stage");
        // All tasks have ended, so this is the only holder left.
        let claim = Arc::into_inner(claim).ok_or_else(internal)?;
        let account = counts.account(&stats, staged.as_deref().unwrap_or_default());
        let entries = entries(&listing, counts.quarantine.take());
        let staged = staged.and_then(|staged| match settle(&account, source, batch, &entries) {
            Ok(()) => Ok(staged),
            Err(error) => Err(error),
        });
        // Before the swap, and under the run's id: they count when the run does.
        let kept = claim.keep(&entries, &serde_json::json!(account)).await;
        let staged = match staged.and_then(|staged| kept.map(|()| staged)) {
            Ok(staged) => staged,
            Err(error) => {
                self.give_up(claim, &error).await;
                return Ok(BatchOutcome {
                    run_id: Some(run_id),
                    account: Some(account),
                    ..BatchOutcome::failed(batch.clone(), error)
                });
            }
        };
        let records = stats.records.load(Ordering::Relaxed);
        let entities = staged.iter().map(|s| EntityOutcome {
            entity: s.entity().to_owned(),
            rows: s.rows(),
            bytes: s.bytes(),
        });
        let entities: Vec<EntityOutcome> = entities.collect();
        let summary = Summary {
            records,
            timings: clock.laps.iter().cloned().collect(),
        };
        let mut connection = self.warehouse.acquire().await?;
        let committed = claim
            .swap(&mut connection, &self.project.entities, staged, summary, &self.stop)
            .await?;
        clock.lap("swap");
        if committed.retries > 0 {
            tracing::info!(%batch, retries = committed.retries, "the swap gave way to readers");
        }
        Ok(BatchOutcome {
            status: Status::Committed,
            run_id: Some(run_id),
            records,
            account: Some(account),
            files: listing.files().to_vec(),
            entities,
            timings: clock.laps,
            ..BatchOutcome::not_started(batch.clone())
        })
    }

    /// Ends the run in the history; what can't be written there, the next run finds out.
    async fn give_up(&self, claim: Claim, error: &Error) {
        if let Err(unmarked) = claim.fail(Failure::of(error), &error.to_string()).await {
            tracing::warn!(error = %unmarked, "the run could not be marked as ended; the next run will");
        }
    }

    /// Fills the staging tables of all entities; stops early on a signal.
    async fn stage(
        self: Arc<Self>,
        source: &Source,
        batch: &Batch,
        listing: &Listing,
        claim: &Arc<Claim>,
        stats: &Arc<ReadStats>,
        counts: &Arc<RowCounts>,
    ) -> Result<Vec<Staged>> {
        let plans = self.plans.by_source.get(&source.name).map_or(&[][..], Vec::as_slice);
        let counters: Vec<Arc<StageCounter>> = plans.iter().map(|_| Arc::default()).collect();
        self.observer.started(Activity {
            batch: batch.clone(),
            input_bytes: listing.files().iter().map(|f| f.size).sum(),
            read: Arc::clone(stats),
            entities: plans
                .iter()
                .map(|p| p.entity.clone())
                .zip(counters.iter().cloned())
                .collect(),
        });
        let stage = Stage {
            worker: &self,
            source,
            batch,
            listing,
            claim,
            stats,
            counts,
            plans,
            counters: &counters,
        };
        if plans.len() <= self.warehouse.connections() {
            return stage.together().await;
        }
        tokio::select! {
            staged = stage.one_by_one() => staged,
            () = self.stop.cancelled() => Err(Error::interrupted()),
        }
    }
}

/// The staging of one batch.
struct Stage<'a> {
    worker: &'a Arc<Worker>,
    source: &'a Source,
    batch: &'a Batch,
    listing: &'a Listing,
    claim: &'a Arc<Claim>,
    stats: &'a Arc<ReadStats>,
    counts: &'a Arc<RowCounts>,
    plans: &'a [Prepared],
    counters: &'a [Arc<StageCounter>],
}

impl Stage<'_> {
    /// All entities side by side from one parse; a transform that scans more than once reads for itself.
    async fn together(&self) -> Result<Vec<Staged>> {
        let connections = self.worker.warehouse.reserve(self.plans.len()).await?;
        let shared = self.plans.iter().filter(|p| p.scans == 1).count();
        let schema = ingest::arrow_schema(self.source);
        let (feed, reading) = broadcast(schema, self.read(self.stats), shared);
        let mut tasks = JoinSet::new();
        for (i, (plan, connection)) in self.plans.iter().zip(connections).enumerate() {
            let feed = if plan.scans == 1 {
                Arc::clone(&feed)
            } else {
                self.own_feed()
            };
            tasks.spawn(self.entity(i, plan, connection, feed));
        }
        // Also where no transform shares it: every record counts in the account of the batch.
        tasks.spawn(async move { reading.run().await.map(|()| None) });
        let mut staged = Vec::with_capacity(self.plans.len());
        let mut failed = None;
        loop {
            let done = tokio::select! {
                done = tasks.join_next() => done,
                () = self.worker.stop.cancelled() => Some(Ok(Err(Error::interrupted()))),
            };
            match done.map(|task| task.unwrap_or_else(|_| Err(internal()))) {
                Some(Ok(one)) => staged.extend(one),
                Some(Err(error)) => {
                    failed = Some(error);
                    break;
                }
                None => break,
            }
        }
        if let Some(error) = failed {
            tasks.shutdown().await;
            return Err(error);
        }
        staged.sort_by_key(|(i, _)| *i);
        Ok(staged.into_iter().map(|(_, staged)| staged).collect())
    }

    /// One entity after another over one connection, each with a parse of its own.
    async fn one_by_one(&self) -> Result<Vec<Staged>> {
        let mut staged = Vec::with_capacity(self.plans.len());
        for (i, plan) in self.plans.iter().enumerate() {
            let Some(connection) = self.worker.warehouse.reserve(1).await?.pop() else {
                return Err(internal());
            };
            // Records are counted once, in the first parse.
            let stats = if i == 0 { Arc::clone(self.stats) } else { Arc::default() };
            let shared = plan.scans == 1;
            let schema = ingest::arrow_schema(self.source);
            let (feed, reading) = broadcast(schema, self.read(&stats), usize::from(shared));
            let feed = if shared { feed } else { self.own_feed() };
            let counted = async { if shared || i == 0 { reading.run().await } else { Ok(()) } };
            let (one, ()) = futures::try_join!(self.entity(i, plan, connection, feed), counted)?;
            staged.extend(one.map(|(_, staged)| staged));
        }
        Ok(staged)
    }

    /// Runs one transform into its staging table.
    fn entity(
        &self,
        index: usize,
        plan: &Prepared,
        mut connection: Connection,
        feed: Arc<Feed>,
    ) -> impl Future<Output = Result<Option<(usize, Staged)>>> + Send + 'static {
        let (worker, claim) = (Arc::clone(self.worker), Arc::clone(self.claim));
        let (plan, batch, listing) = (plan.clone(), self.batch.clone(), self.listing.clone());
        let counter = Arc::clone(&self.counters[index]);
        let counts = Arc::clone(self.counts);
        async move {
            let rows = worker.plans.engine.execute(&plan, &batch, feed).await?;
            let rows = rows.inspect(|rows| {
                if let Ok(rows) = rows {
                    counts.produced(&plan.entity, rows.num_rows());
                }
            });
            let entity = worker.project.entity(&plan.entity)?;
            let staged = claim
                .stage(&mut connection, entity, rows, &|record| listing.place(record), &counter)
                .await?;
            Ok(Some((index, staged)))
        }
    }

    fn read(&self, stats: &Arc<ReadStats>) -> futures::stream::BoxStream<'static, Result<arrow::array::RecordBatch>> {
        self.listing
            .read(self.source, self.worker.cores, Arc::clone(stats))
            .boxed()
    }

    fn own_feed(&self) -> Arc<Feed> {
        let (listing, source, cores) = (self.listing.clone(), self.source.clone(), self.worker.cores);
        Feed::own(ingest::arrow_schema(self.source), move || {
            listing.read(&source, cores, Arc::default()).boxed()
        })
    }
}

/// Milliseconds per stage.
struct Clock {
    last: Instant,
    laps: Vec<(String, u64)>,
}

impl Clock {
    fn start() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }

    fn lap(&mut self, stage: &str) {
        let elapsed = self.last.elapsed();
        self.last = Instant::now();
        self.laps
            .push((stage.to_owned(), u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)));
    }
}

fn files_value(files: &[InputFile]) -> serde_json::Value {
    files
        .iter()
        .map(|f| serde_json::json!({"path": f.path, "size": f.size, "etag": f.etag}))
        .collect()
}
