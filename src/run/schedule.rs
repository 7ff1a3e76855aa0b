//! Runs the batches of an invocation side by side, and refreshes the materialized views that read them once, after the
//! last swap.

use std::sync::Arc;
use std::time::Instant;

use futures::{FutureExt, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cluster::OnCluster;
use super::context::Context;
use super::masking::AllMasks;
use super::observer::Observer;
use super::outcome::{BatchOutcome, Outcome, Status};
use super::publish::Planned;
use super::stop::Stop;
use super::{batch, prepare, publish, stale_masks, stop};
use crate::error::{Error, Kind, Result};
use crate::model::{Batch, Project};
use crate::transform::{Engine, Limits};
use crate::warehouse::views::{self, Refresh};
use crate::warehouse::{BatchLocks, Database, Warehouse, roles};
use crate::workspace::Spill;

/// The most batches at once by default. With more of them PostgreSQL is the limit, not this program.
const MOST_THREADS: usize = 4;

/// The most batches at once on a cluster by default.
const MOST_ON_CLUSTER: usize = 16;

/// How an invocation works.
#[derive(Debug, Clone)]
pub struct Options {
    threads: usize,
    connections: usize,
    /// The most transforms at once.
    transforms: usize,
    memory: usize,
    fail_fast: bool,
    wait: bool,
    as_superuser: bool,
    cluster: Option<OnCluster>,
}

impl Options {
    /// Fills in the defaults for a number of batches. `memory` is for all their transforms together, in bytes.
    pub fn new(
        project: &Project,
        batches: usize,
        threads: Option<u16>,
        connections: Option<u16>,
        memory: usize,
    ) -> Self {
        let threads = threads
            .map_or_else(|| crate::cores::cores().min(MOST_THREADS), usize::from)
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
            as_superuser: false,
            cluster: None,
        }
    }

    /// Lets the executors of a cluster fill the batches. Then this process only begins, judges and swaps them, so more of
    /// them can be under way. `threads` and `connections` are what the user has said.
    #[must_use]
    pub fn on_cluster(
        self,
        cluster: OnCluster,
        batches: usize,
        threads: Option<u16>,
        connections: Option<u16>,
    ) -> Self {
        let threads = threads.map_or(MOST_ON_CLUSTER, usize::from).min(batches.max(1));
        Self {
            threads,
            connections: connections.map_or(threads + 1, usize::from),
            cluster: Some(cluster),
            ..self
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

    /// Whether a superuser may load although there are roles.
    #[must_use]
    pub fn as_superuser(self, as_superuser: bool) -> Self {
        Self { as_superuser, ..self }
    }
}

/// Runs `batches`. An error of a batch is part of its outcome.
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
    let embedded = !matches!(database, Database::Server(_));
    if embedded && options.cluster.is_some() {
        return Err(Error::project("executors of a cluster can't use the embedded database")
            .cause("it belongs to one process")
            .hint("name a PostgreSQL server: DATABASE_URL, or --database-url"));
    }
    let stop = stop::on_signals();
    let context = tokio::select! {
        context = context(project, database, &batches, &options, &limits, observer, &stop) => context?,
        // Nothing is begun yet, so there is nothing to stop cleanly.
        () = stop.token.cancelled() => return Err(stop.before_any_batch()),
    };
    let outcomes = all(&context, batches, &options).await;
    let refreshed = refresh(&context, &outcomes, &stop).await;
    Ok(Outcome {
        batches: outcomes,
        entities: context.project.entities.iter().map(|e| e.name.clone()).collect(),
        refreshed: refreshed.refreshed.into_iter().map(|view| view.name).collect(),
        refresh_errors: refreshed.errors,
        stale: refreshed.stale.into_iter().map(|view| view.name).collect(),
        elapsed: begun.elapsed(),
        signal: stop.signal(),
        _sessions: (!embedded).then(|| context.warehouse.clone()),
    })
}

/// Plans the transforms, opens the database, and compares the two. The database is opened last, since the embedded one
/// may have to be created, and must not be where the transforms do not fit.
async fn context(
    project: Project,
    database: Database,
    batches: &[Batch],
    options: &Options,
    limits: &Limits,
    observer: Arc<dyn Observer>,
    stop: &Stop,
) -> Result<Arc<Context>> {
    let embedded = !matches!(database, Database::Server(_));
    let engine = Engine::new(limits)?;
    let outlines = prepare::outlines(&engine, &project, batches).await?;
    let lineage = Planned::start(engine.clone(), &project, outlines.clone());
    let plans = prepare::plans(engine, &project, batches, &outlines).await?;
    let sources = batches.iter().map(|batch| batch.source.as_str());
    let masks = AllMasks::plan(&project, sources, embedded, &*observer)?;
    // One connection is that of the batch locks.
    let warehouse = Warehouse::open(database, options.connections.saturating_sub(1).max(1)).await?;
    if !options.as_superuser {
        roles::refuse_superuser(&warehouse).await?;
    }
    let locks = BatchLocks::new(warehouse);
    let published = prepare::database(&locks, &project, lineage).await?;
    stale_masks::warn(&published.stale, batches);
    Ok(Arc::new(Context {
        project,
        warehouse: locks.warehouse().clone(),
        locks,
        plans,
        masks,
        lineage: published.lineage,
        had_stale: !published.stale.is_empty(),
        observer,
        stop: stop.token.clone(),
        cluster: options.cluster.clone(),
        batches: batches.len(),
        invocation: Uuid::now_v7(),
        wait: options.wait,
    }))
}

/// Runs all batches, some at once. Returns their outcomes in the order of the batches.
async fn all(context: &Arc<Context>, batches: Vec<Batch>, options: &Options) -> Vec<BatchOutcome> {
    let failed = CancellationToken::new();
    // They end in any order, so that a long batch does not keep others from starting.
    let mut outcomes: Vec<(usize, BatchOutcome)> = stream::iter(in_turn(&context.project, batches))
        .map(|batches| {
            let each = stream::iter(batches).then(|(i, batch)| {
                one(Arc::clone(context), batch, failed.clone(), options.fail_fast).map(move |o| (i, o))
            });
            each.collect::<Vec<_>>()
        })
        .buffer_unordered(options.threads)
        .flat_map(stream::iter)
        .collect()
        .await;
    outcomes.sort_by_key(|(i, _)| *i);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Groups batches, each with its position. Those of a group run one after the other, by date. A group holds one batch,
/// or all batches of a source whose rows may refer to rows of its other batches: an earlier day may bring a later day's
/// parents.
fn in_turn(project: &Project, batches: Vec<Batch>) -> Vec<Vec<(usize, Batch)>> {
    let mut groups: Vec<Vec<(usize, Batch)>> = Vec::new();
    for (i, batch) in batches.into_iter().enumerate() {
        let looks_beyond = project
            .source(&batch.source)
            .is_ok_and(|source| project.looks_beyond(source));
        let group = groups
            .iter_mut()
            .find(|group| looks_beyond && group[0].1.source == batch.source);
        match group {
            Some(group) => group.push((i, batch)),
            None => groups.push(vec![(i, batch)]),
        }
    }
    for group in &mut groups {
        group.sort_by_key(|(_, batch)| batch.date);
    }
    groups
}

/// Refreshes the stale materialized views: those of these batches, and those of earlier runs that could not.
async fn refresh(context: &Context, outcomes: &[BatchOutcome], stop: &Stop) -> Refresh {
    let changed = outcomes.iter().any(|outcome| !outcome.changed().is_empty());
    let is_lost = |outcome: &BatchOutcome| outcome.error.as_ref().is_some_and(|e| e.kind == Kind::Unreachable);
    if stop.signal().is_some() || (!changed && outcomes.iter().any(is_lost)) {
        // The swaps have marked them, so the next run refreshes them.
        let stale = views::stale(&context.warehouse).await.unwrap_or_default();
        return Refresh {
            stale,
            ..Refresh::default()
        };
    }
    if changed {
        context.observer.refreshing();
    }
    match views::refresh(&context.warehouse, &context.project, &stop.token).await {
        Ok(refresh) => granted_again(context, refresh).await,
        Err(error) => Refresh {
            errors: vec![error],
            ..Refresh::default()
        },
    }
}

/// Opens to readers what the swaps and the refresh have made fit to be seen.
async fn granted_again(context: &Context, mut refresh: Refresh) -> Refresh {
    if let Some(lineage) = &context.lineage {
        let granted = publish::publish_again(&context.warehouse, &context.project, lineage, context.had_stale).await;
        refresh.errors.extend(granted.err());
    }
    refresh
}

/// Runs one batch in a task, so that batches use all cores.
async fn one(context: Arc<Context>, batch: Batch, failed: CancellationToken, fail_fast: bool) -> BatchOutcome {
    if failed.is_cancelled() || context.stop.is_cancelled() {
        return BatchOutcome::not_started(batch);
    }
    let task = tokio::spawn(batch::run(context, batch.clone()));
    let outcome = task
        .await
        .unwrap_or_else(|_| BatchOutcome::failed(batch, Error::internal()));
    if fail_fast && outcome.status == Status::Failed {
        failed.cancel();
    }
    outcome
}
