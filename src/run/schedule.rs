//! Runs the batches of an invocation side by side, as many as asked for, and refreshes what reads
//! them once, after the last swap.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::batch::{BatchOutcome, Status, Worker};
use super::masking::AllMasks;
use super::observer::Observer;
use super::publish::Planned;
use super::{prepare, stop};
use crate::error::{Error, Kind, Result};
use crate::project::{Batch, Project};
use crate::transform::{Engine, Limits};
use crate::warehouse::{BatchLocks, Database, Warehouse, views};
use crate::workspace::Spill;

/// The default ceiling of batches at once: beyond it PostgreSQL, not this program, sets the pace.
const MOST_THREADS: usize = 4;

/// How an invocation works.
#[derive(Debug, Clone)]
pub struct Options {
    threads: usize,
    connections: usize,
    /// At once.
    transforms: usize,
    memory: usize,
    fail_fast: bool,
    wait: bool,
}

impl Options {
    /// Resolves the defaults for a number of batches; `memory` is the bytes of all their transforms.
    pub fn new(
        project: &Project,
        batches: usize,
        threads: Option<u16>,
        connections: Option<u16>,
        memory: usize,
    ) -> Self {
        let threads = threads
            .map_or_else(|| crate::cores().min(MOST_THREADS), usize::from)
            .min(batches.max(1));
        let most = project
            .sources
            .iter()
            .map(|s| s.transforms.len())
            .max()
            .unwrap_or(1)
            .max(1);
        let connections = connections.map_or(threads * most + 1, usize::from);
        Self {
            threads,
            connections,
            transforms: (threads * most).min(connections),
            memory,
            fail_fast: false,
            wait: false,
        }
    }

    #[must_use]
    pub fn fail_fast(self, fail_fast: bool) -> Self {
        Self { fail_fast, ..self }
    }

    #[must_use]
    pub fn wait(self, wait: bool) -> Self {
        Self { wait, ..self }
    }
}

/// What an invocation came to.
#[derive(Debug)]
pub struct Outcome {
    /// In the order in which the batches were resolved.
    pub batches: Vec<BatchOutcome>,
    /// Entity names, in the project's order.
    pub entities: Vec<String>,
    /// Materialized views that were refreshed.
    pub refreshed: Vec<String>,
    /// A refresh that failed after the batches were committed.
    pub refresh_error: Option<Error>,
    pub elapsed: Duration,
    /// The signal that stopped the invocation.
    pub signal: Option<i32>,
    /// Of a server, open until the outcome is told: one that ends sessions takes the processor from whoever tells it.
    _sessions: Option<Warehouse>,
}

impl Outcome {
    /// The exit code: an unreachable database wins over a failed batch, a signal over both.
    pub fn exit_code(&self) -> u8 {
        let errors = self
            .batches
            .iter()
            .filter_map(|b| b.error.as_ref())
            .chain(&self.refresh_error);
        let kinds: BTreeSet<u8> = errors.map(|e| e.kind.exit_code()).collect();
        match self.signal {
            Some(signal) => Kind::Interrupted(signal).exit_code(),
            None if kinds.contains(&3) => 3,
            None => kinds.first().copied().unwrap_or(0),
        }
    }
}

/// Runs `batches`; whatever fails of a batch is in its outcome.
///
/// # Errors
/// What keeps every batch from starting: transforms that do not fit, no database, pending migrations.
pub async fn run(
    project: Project,
    database: Database,
    batches: Vec<Batch>,
    options: Options,
    observer: Arc<dyn Observer>,
) -> Result<Outcome> {
    let begun = Instant::now();
    let spill = Spill::make(&project.root)?;
    let limits = Limits {
        memory: options.memory,
        at_once: options.transforms,
        spill: Some(spill.folder().to_owned()),
    };
    // One connection holds the batch locks.
    let connections = options.connections.saturating_sub(1).max(1);
    let embedded = !matches!(database, Database::Server(_));
    let opening = Opening::start(database, connections, &project);
    let engine = Engine::new(&limits)?;
    let sources = batches.iter().map(|batch| batch.source.clone()).collect();
    let (lineage, outlines) = Planned::beside(engine.clone(), &project, sources);
    let plans = prepare::plans(engine, &project, batches.iter()).await?;
    let _ = outlines.send(plans.outlines());
    let masks = AllMasks::plan(
        &project,
        batches.iter().map(|b| b.source.as_str()),
        embedded,
        &*observer,
    )?;
    let locks = opening.end().await?;
    prepare::database(&locks, &project, lineage).await?;
    let stop = stop::on_signals();
    let worker = Worker::new(
        project,
        locks,
        plans,
        masks,
        options.wait,
        Arc::clone(&observer),
        stop.token.clone(),
    );
    let worker = Arc::new(worker);

    let failed = CancellationToken::new();
    // In any order, so that a long batch does not keep others from starting.
    let mut outcomes: Vec<(usize, BatchOutcome)> = stream::iter(batches.into_iter().enumerate())
        .map(|(i, batch)| one(Arc::clone(&worker), batch, failed.clone(), options.fail_fast).map(move |o| (i, o)))
        .buffer_unordered(options.threads)
        .collect()
        .await;
    outcomes.sort_by_key(|(i, _)| *i);
    let outcomes: Vec<BatchOutcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();

    let changed: BTreeSet<String> = outcomes.iter().flat_map(BatchOutcome::changed).collect();
    let (mut refreshed, mut refresh_error) = (Vec::new(), None);
    if !changed.is_empty() && stop.signal().is_none() {
        observer.refreshing();
        let changed: Vec<String> = changed.into_iter().collect();
        match views::refresh(worker.warehouse(), worker.project(), &changed).await {
            Ok(done) => refreshed = done.into_iter().map(|view| view.name).collect(),
            Err(error) => refresh_error = Some(error),
        }
    }
    let entities = worker.project().entities.iter().map(|e| e.name.clone()).collect();
    let signal = stop.signal();
    let sessions = (!embedded).then(|| worker.warehouse().clone());
    Ok(Outcome {
        batches: outcomes,
        entities,
        refreshed,
        refresh_error,
        elapsed: begun.elapsed(),
        signal,
        _sessions: sessions,
    })
}

/// A server, looked at while the transforms are planned. The embedded database waits for them: it may have to be made,
/// and nothing is where they do not fit.
enum Opening {
    UnderWay(AbortOnDropHandle<Result<BatchLocks>>),
    Later(Database, usize),
}

impl Opening {
    fn start(database: Database, connections: usize, project: &Project) -> Self {
        match database {
            Database::Server(_) => {
                let project = project.clone();
                Self::UnderWay(AbortOnDropHandle::new(tokio::spawn(async move {
                    let warehouse = Warehouse::open(database, connections).await?;
                    let locks = BatchLocks::new(warehouse.clone());
                    locks.open_ahead();
                    prepare::compare(&warehouse, &project).await?;
                    Ok(locks)
                })))
            }
            embedded => Self::Later(embedded, connections),
        }
    }

    async fn end(self) -> Result<BatchLocks> {
        match self {
            Self::UnderWay(opening) => opening.await.unwrap_or_else(|_| Err(internal())),
            Self::Later(database, connections) => Warehouse::open(database, connections).await.map(BatchLocks::new),
        }
    }
}

/// Runs one batch as a task of its own, so that batches use all cores.
async fn one(worker: Arc<Worker>, batch: Batch, failed: CancellationToken, fail_fast: bool) -> BatchOutcome {
    if failed.is_cancelled() || worker.is_stopped() {
        return BatchOutcome::not_started(batch);
    }
    let task = tokio::spawn({
        let (worker, batch) = (Arc::clone(&worker), batch.clone());
        async move { worker.run(batch).await }
    });
    let outcome = task.await.unwrap_or_else(|_| BatchOutcome::failed(batch, internal()));
    if fail_fast && outcome.status == Status::Failed {
        failed.cancel();
    }
    outcome
}

/// A panic: its message went to nobody, since it may hold data.
pub(super) fn internal() -> Error {
    Error::batch("an internal error ended the batch; the old content stands")
        .hint("this is a defect of the program; run again with RUST_LOG=debug and report what it says")
}
