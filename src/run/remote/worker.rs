//! An executor's part of a batch: it checks that it has the same program, key, project, database and files as the run, and
//! fills the staging tables.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::frames::{End, Message};
use super::parts::{PartRows, Parts};
use super::progress::Counts;
use super::recipe::{Recipe, Work};
use super::report::Report;
use super::same::{of_executor, same_key, seen};
use crate::error::{Code, Error, Result};
use crate::ingest::{Part, ReadStats};
use crate::model::{Batch, Project};
use crate::run::context::Context;
use crate::run::files::{input, noted};
use crate::run::fill::{self, Filled, Filling, Unfilled};
use crate::run::fingerprint::fingerprint;
use crate::run::input::BatchInput;
use crate::run::masking::AllMasks;
use crate::run::observer::{Observer, Silent};
use crate::run::prepare;
use crate::transform::{Engine, Limits};
use crate::warehouse::{BatchLocks, Database, Handed, StagingRun, Warehouse, roles};

/// How often an executor looks whether the run of its task still goes on.
const LOOK: Duration = Duration::from_secs(2);
/// How long the database may not answer before an executor gives a batch up.
const LOST: Duration = Duration::from_mins(1);
/// How long the database may take to answer who asks how this executor is.
const ANSWER: Duration = Duration::from_secs(3);

/// Reads a project of which the texts were sent.
pub type LoadSent = fn(&Path, BTreeMap<PathBuf, String>) -> Result<Project>;

/// What an executor may use.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// The most batches at once.
    pub tasks: usize,
    /// Bytes that sorts, joins and aggregates of all of them may use before they spill.
    pub memory: usize,
    /// The most database connections, beside one for looking after the runs.
    pub connections: usize,
}

/// Fills batches for runs of other processes.
pub struct Worker {
    locks: BatchLocks,
    load: LoadSent,
    capacity: Capacity,
    folder: PathBuf,
}

impl Worker {
    /// Opens the database. `folder` is for spill files; only this user may enter it.
    ///
    /// # Errors
    /// The database can't be reached, is the embedded one, or refuses this user.
    pub async fn open(
        database: Database,
        folder: &Path,
        capacity: Capacity,
        as_superuser: bool,
        load: LoadSent,
    ) -> Result<Self> {
        if !matches!(database, Database::Server(_)) {
            return Err(Error::project("an executor can't use the embedded database")
                .cause("it belongs to one process")
                .hint("name the PostgreSQL server of the runs: DATABASE_URL, or --database-url"));
        }
        let warehouse = Warehouse::open(database, capacity.connections.max(1)).await?;
        if !as_superuser {
            roles::refuse_superuser(&warehouse).await?;
        }
        Ok(Self {
            locks: BatchLocks::new(warehouse),
            load,
            capacity,
            folder: folder.to_owned(),
        })
    }

    /// Whether the database answers.
    pub async fn reaches_database(&self) -> bool {
        let answer = tokio::time::timeout(ANSWER, self.locks.reaches_database()).await;
        answer.unwrap_or(false)
    }

    /// Whether the run of a task still goes on. Where that can't be told, it does.
    pub async fn goes_on(&self, task: &[u8]) -> bool {
        let Ok(recipe) = Recipe::from_bytes(task) else {
            return false;
        };
        match self.locks.join(&recipe.batch(), recipe.run_id).await {
            Ok(_) => true,
            Err(error) => error.code != Code::RunSuperseded,
        }
    }

    /// Does the task of filling the tables, and returns its report. `parts` are the rows of the parts, where others read the
    /// input. A fault of the batch is part of the report, so that no other executor tries it again. Dropping the future stops
    /// the work; what it has begun in the database is rolled back.
    pub async fn work(&self, task: &[u8], parts: Vec<PartRows>) -> Vec<u8> {
        // The message of a panic may hold data, so it is not sent.
        let done = AssertUnwindSafe(Box::pin(self.fill(task, parts))).catch_unwind().await;
        let report = match done {
            Ok(Ok(filled)) => Report::Filled(filled),
            Ok(Err(unfilled)) => Report::Unfilled(unfilled),
            Err(_) => Report::Unfilled(Error::internal().into()),
        };
        report.to_bytes()
    }

    /// Does the task of reading a part, and sends the rows of what it has read. The last one says that the part ends, or
    /// which fault of the batch kept it from being read.
    pub async fn read(&self, task: &[u8], rows: &mpsc::Sender<Vec<u8>>) {
        let stats = Arc::new(ReadStats::default());
        let done = AssertUnwindSafe(Box::pin(self.read_part(task, &stats, rows)))
            .catch_unwind()
            .await;
        let end = End {
            error: done.unwrap_or_else(|_| Err(Error::internal())).err(),
            report: stats.report(),
        };
        // Where nobody listens any more, nobody needs to know.
        let _ = send(&Message::End(Box::new(end)), rows).await;
    }

    async fn read_part(&self, task: &[u8], stats: &Arc<ReadStats>, rows: &mpsc::Sender<Vec<u8>>) -> Result<()> {
        let recipe = Recipe::from_bytes(task)?;
        let Work::Read { part, .. } = recipe.work else {
            return Err(Error::internal());
        };
        let counts = Arc::new(Counts::of(&recipe.work));
        counts.started(fill::activity(&recipe.batch(), &[], &[], 0, stats));
        Box::pin(self.while_it_runs(&recipe, async |_, stop| {
            tokio::select! {
                done = self.sent(&recipe, part, stats, rows, &counts, stop.clone()) => {
                    counts.note(&self.locks, recipe.run_id).await;
                    done
                }
                () = stop.cancelled() => Err(Error::interrupted()),
                never = counts.tell(&self.locks, recipe.run_id) => match never {},
            }
        }))
        .await
    }

    /// Reads a part and sends its records.
    async fn sent(
        &self,
        recipe: &Recipe,
        part: Part,
        stats: &Arc<ReadStats>,
        rows: &mpsc::Sender<Vec<u8>>,
        counts: &Arc<Counts>,
        stop: CancellationToken,
    ) -> Result<()> {
        let batch = recipe.batch();
        let (context, mut input) = self.prepared(recipe, &batch, counts, stop).await?;
        let source = Arc::clone(&input.source);
        fill::suppress(&context, &source, &mut input).await?;
        input.stats = Arc::clone(stats);
        let mut records = input.read_part(part);
        let mut end = Ok(());
        while let Some(read) = records.next().await {
            match read {
                Ok(read) => send(&Message::Records(read), rows).await?,
                Err(error) => end = Err(error),
            }
        }
        for salvaged in input.take_salvaged()? {
            send(&Message::Salvaged(salvaged), rows).await?;
        }
        end
    }

    async fn fill(&self, task: &[u8], parts: Vec<PartRows>) -> Result<Filled<Handed>, Unfilled> {
        let recipe = Recipe::from_bytes(task)?;
        let counts = Arc::new(Counts::of(&recipe.work));
        Box::pin(self.while_it_runs(&recipe, async |run, stop| {
            tokio::select! {
                filled = self.filled(&recipe, parts, &run, &counts, stop) => {
                    Ok(filled?.with_tables(|table| Ok(table.hand_over()))?)
                }
                never = counts.tell(&self.locks, recipe.run_id) => match never {},
            }
        }))
        .await
    }

    /// Does some work of a run until that is over.
    async fn while_it_runs<T, E: From<Error>>(
        &self,
        recipe: &Recipe,
        work: impl AsyncFnOnce(StagingRun, CancellationToken) -> Result<T, E>,
    ) -> Result<T, E> {
        same_key(recipe.key_id.as_deref())?;
        let run = self
            .locks
            .join(&recipe.batch(), recipe.run_id)
            .await
            .map_err(of_executor)?;
        let stop = CancellationToken::new();
        let watched = async {
            match self.until_over(&run).await {
                Ok(()) => {
                    stop.cancel();
                    std::future::pending().await
                }
                // What waits for the database does not end by itself.
                Err(lost) => lost,
            }
        };
        tokio::select! {
            done = work(run.clone(), stop.clone()) => done,
            lost = watched => Err(lost.into()),
        }
    }

    async fn filled(
        &self,
        recipe: &Recipe,
        parts: Vec<PartRows>,
        run: &StagingRun,
        counts: &Arc<Counts>,
        stop: CancellationToken,
    ) -> Result<Filled<crate::warehouse::Staged>, Unfilled> {
        let batch = recipe.batch();
        let (context, mut input) = self.prepared(recipe, &batch, counts, stop).await?;
        match &recipe.work {
            Work::Fill if parts.is_empty() => {}
            Work::FillFrom(of) if of.len() == parts.len() => {
                let parts = of.iter().copied().zip(parts).collect();
                input.parts = Some(Arc::new(Parts::new(parts)));
            }
            _ => return Err(Error::internal().into()),
        }
        let filling = Filling {
            context: &context,
            source: context.project.source(&batch.source)?,
            batch: &batch,
            input,
        };
        filling.run(run).await
    }

    /// Plans a batch, and makes sure that this executor has the project and the input of the run.
    async fn prepared(
        &self,
        recipe: &Recipe,
        batch: &Batch,
        counts: &Arc<Counts>,
        stop: CancellationToken,
    ) -> Result<(Arc<Context>, BatchInput)> {
        let project = (self.load)(&recipe.root, recipe.texts.clone())?;
        let context = self.context(project, batch, counts, stop).await?;
        let source = context.project.source(&batch.source)?;
        let listing = seen(&context, source, batch, &recipe.files).await?;
        let files = noted(&context, listing.files());
        if fingerprint(&context.project, source, &files, context.masks.key_id(source)) != recipe.fingerprint {
            return Err(
                Error::batch("an executor does not have the project and the input of the run")
                    .code(Code::InputChanged)
                    .hint("run again: a file of the project or of the input was changed meanwhile"),
            );
        }
        let input = input(&context, source, batch, listing, recipe.today)?;
        Ok((context, input))
    }

    /// Plans the batch.
    async fn context(
        &self,
        project: Project,
        batch: &Batch,
        counts: &Arc<Counts>,
        stop: CancellationToken,
    ) -> Result<Arc<Context>> {
        let source = project.source(&batch.source)?;
        let limits = Limits {
            memory: self.capacity.memory,
            at_once: self.capacity.tasks.max(1) * source.transforms.len().max(1),
            spill: Some(self.folder.clone()),
        };
        let engine = Engine::new(&limits)?;
        let batches = std::slice::from_ref(batch);
        let outlines = prepare::outlines(&engine, &project, batches).await?;
        let plans = prepare::plans(engine, &project, batches, &outlines).await?;
        let masks = AllMasks::plan(&project, std::iter::once(batch.source.as_str()), false, &Silent)?;
        Ok(Arc::new(Context {
            project,
            warehouse: self.locks.warehouse().clone(),
            locks: self.locks.clone(),
            plans,
            masks,
            // Only the process that began the run shows numbers.
            lineage: None,
            had_stale: false,
            observer: Arc::<Counts>::clone(counts),
            stop,
            cluster: None,
            batches: 1,
            invocation: Uuid::nil(),
            wait: false,
        }))
    }

    /// Returns when the run is over, or the process that began it is gone. Where that can't be told, the work goes on for a
    /// while: it can't end with a table that outlives the run.
    ///
    /// # Errors
    /// The database does not answer any more.
    async fn until_over(&self, run: &StagingRun) -> Result<()> {
        let mut heard = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            let looked = self.locks.is_live(run);
            match tokio::time::timeout(LOST.saturating_sub(heard.elapsed()), looked).await {
                Ok(Ok(true)) => heard = Instant::now(),
                Ok(Ok(false)) => return Ok(()),
                _ if heard.elapsed() < LOST => {}
                _ => {
                    return Err(
                        Error::unreachable("an executor has lost the database; the old content stands")
                            .cause(format!("it has not answered for {} seconds", LOST.as_secs()))
                            .hint("look at the network between them, then run the batch again"),
                    );
                }
            }
        }
    }
}

async fn send(message: &Message, rows: &mpsc::Sender<Vec<u8>>) -> Result<()> {
    for piece in message.pieces()? {
        rows.send(piece).await.map_err(|_| Error::interrupted())?;
    }
    Ok(())
}
