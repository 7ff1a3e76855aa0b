//! A batch's staging tables: all entities side by side from one parse of the input, or one after the other, each row
//! through its entity's checks. Where a refused row has dependants in another entity, that one is staged again.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use tokio::task::JoinSet;

use super::batch::Worker;
use super::masking::masked;
use super::schedule::internal;
use crate::error::{Error, Result};
use crate::ingest::{Listing, ReadStats};
use crate::mask::{Masked, Masks};
use crate::project::{Batch, Rule, Severity, Source};
use crate::quality::{Deny, Key, Keys, Screen, Screened};
use crate::timing::Spent;
use crate::transform::{Counted, Execution, Feed, Prepared, Tally, broadcast};
use crate::warehouse::{ActiveRun, Connection, StageCounter, Staged};

/// Bytes of input that are held, for one transform after the other to read over one session. Another session costs as
/// much as staging so few rows.
const SMALL: u64 = 64 << 10;
/// Bytes of columns that are held of it. Of such files, compressed ones alone can come to more.
const HELD: usize = 8 << 20;

/// One entity's rows, staged.
pub(super) struct Passed {
    /// Of its plan.
    index: usize,
    pub staged: Staged,
    pub screened: Screened,
    pub times: Vec<(&'static str, Duration)>,
    /// What its rows must be as many as, where the source says so.
    pub elements: Option<Counted>,
}

/// The staging of one batch.
pub(super) struct Stage<'a> {
    pub worker: &'a Arc<Worker>,
    pub source: &'a Source,
    pub batch: &'a Batch,
    pub listing: &'a Listing,
    pub run: &'a Arc<ActiveRun>,
    pub stats: &'a Arc<ReadStats>,
    pub plans: &'a [Prepared],
    pub masks: Arc<Masks>,
    pub counters: &'a [Arc<StageCounter>],
    /// Sees each record once, however often the input is parsed.
    pub tally: Arc<Tally>,
}

impl Stage<'_> {
    /// Fills the staging tables of all entities.
    pub async fn run(&self) -> Result<Vec<Passed>> {
        let passed = if self.listing.bytes() <= SMALL {
            self.unless_stopped(self.held()).await
        } else if self.plans.len() <= self.worker.warehouse.connections() {
            // Its tasks hear the signal themselves, for they must have ended when this returns.
            self.together().await
        } else {
            self.unless_stopped(self.one_by_one()).await
        };
        let mut passed = self.unless_stopped(self.settle(passed?)).await?;
        for one in &mut passed {
            one.elements = self.tally.of(one.staged.entity());
        }
        Ok(passed)
    }

    /// A panic is an error here as it is of a task, so that the run is ended in the history.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = AssertUnwindSafe(work).catch_unwind() => done.unwrap_or_else(|_| Err(internal())),
            () = self.worker.stop.cancelled() => Err(Error::interrupted()),
        }
    }

    /// All entities side by side from one parse; a transform that scans more than once reads for itself.
    async fn together(&self) -> Result<Vec<Passed>> {
        let connections = self.worker.warehouse.reserve(self.plans.len()).await?;
        let shared = self.plans.iter().filter(|p| p.scans == 1).count();
        let schema = self.masks.output_schema();
        let (feeds, reading) = broadcast(&schema, self.tally.watch(self.read(self.stats)), shared);
        let mut feeds = feeds.into_iter();
        let mut tasks = JoinSet::new();
        for (i, (plan, connection)) in self.plans.iter().zip(connections).enumerate() {
            let shared = if plan.scans == 1 { feeds.next() } else { None };
            let feed = shared.unwrap_or_else(|| self.own_feed());
            tasks.spawn(self.entity(i, connection, feed, Vec::new()));
        }
        // Also where no transform shares it: every record counts in the account of the batch.
        tasks.spawn(async move { reading.run().await.map(|()| None) });
        let mut passed = Vec::with_capacity(self.plans.len());
        let mut failed = None;
        loop {
            let done = tokio::select! {
                done = tasks.join_next() => done,
                () = self.worker.stop.cancelled() => Some(Ok(Err(Error::interrupted()))),
            };
            match done.map(|task| task.unwrap_or_else(|_| Err(internal()))) {
                Some(Ok(one)) => passed.extend(one),
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
        passed.sort_by_key(|passed: &Passed| passed.index);
        Ok(passed)
    }

    /// One entity after another over one connection, all from one parse that is held; where it comes to more than its
    /// files let expect, each from its own.
    async fn held(&self) -> Result<Vec<Passed>> {
        let mut records = self.tally.watch(self.read(self.stats));
        let (mut held, mut bytes) = (Some(Vec::new()), 0);
        while let Some(batch) = records.next().await {
            let batch = batch?;
            bytes += batch.batch().get_array_memory_size();
            if bytes > HELD {
                held = None;
            }
            if let Some(held) = &mut held {
                held.push(batch);
            }
        }
        let feed = match held {
            Some(held) => Feed::own(self.masks.output_schema(), move || {
                stream::iter(held.clone().into_iter().map(Ok)).boxed()
            }),
            None => self.own_feed(),
        };
        let mut passed = Vec::with_capacity(self.plans.len());
        for i in 0..self.plans.len() {
            let connection = self.one_connection().await?;
            passed.extend(self.entity(i, connection, Arc::clone(&feed), Vec::new()).await?);
        }
        Ok(passed)
    }

    /// One entity after another over one connection, each with a parse of its own.
    async fn one_by_one(&self) -> Result<Vec<Passed>> {
        let mut passed = Vec::with_capacity(self.plans.len());
        for (i, plan) in self.plans.iter().enumerate() {
            let connection = self.one_connection().await?;
            // Records and their elements are counted once, in the first parse.
            let records = if i == 0 {
                self.tally.watch(self.read(self.stats))
            } else {
                self.read(&Arc::new(self.stats.again()))
            };
            let shared = plan.scans == 1;
            let schema = self.masks.output_schema();
            let (mut feeds, reading) = broadcast(&schema, records, usize::from(shared));
            let feed = feeds.pop().unwrap_or_else(|| self.own_feed());
            let counted = async { if shared || i == 0 { reading.run().await } else { Ok(()) } };
            let (one, ()) = futures::try_join!(self.entity(i, connection, feed, Vec::new()), counted)?;
            passed.extend(one);
        }
        Ok(passed)
    }

    /// Runs one transform through its checks into its staging table.
    fn entity(
        &self,
        index: usize,
        mut connection: Connection,
        feed: Arc<Feed>,
        deny: Vec<Deny>,
    ) -> impl Future<Output = Result<Option<Passed>>> + Send + use<> {
        let (worker, run) = (Arc::clone(self.worker), Arc::clone(self.run));
        let (plan, batch, listing) = (self.plans[index].clone(), self.batch.clone(), self.listing.clone());
        let counter = Arc::clone(&self.counters[index]);
        let children = self.children(&plan.outline.entity);
        async move {
            let Execution { rows, effort } = worker.plans.engine.execute(&plan, &batch, feed).await?;
            let entity = worker.project.entity(&plan.outline.entity)?;
            let place = |record: u64| listing.place(record);
            let screen = Mutex::new(Screen::new(entity, &plan.guards, children, deny));
            let checking = Spent::default();
            let accepted = rows.map(|rows| {
                let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
                let rows = rows?;
                checking.on(|| screen.pass(&rows, &place))
            });
            let staged = run.stage(&mut connection, entity, accepted, &place, &counter).await?;
            let screened = screen.into_inner().unwrap_or_else(PoisonError::into_inner).finish()?;
            if staged.rows() != screened.accepted() {
                let counts = format!("{} accepted, {} staged", screened.accepted(), staged.rows());
                return Err(Error::batch(format!("the account of {} does not add up", entity.name)).cause(counts));
            }
            let (transform, sort) = effort.spent();
            let times = vec![
                ("transform", transform),
                ("sort", sort),
                ("check", checking.get()),
                ("encode", counter.encode.get()),
                ("copy_wait", counter.wait.get()),
                ("index", staged.indexed()),
            ];
            Ok(Some(Passed {
                index,
                staged,
                screened,
                times,
                elements: None,
            }))
        }
    }

    /// The columns by which other entities belong to this one.
    fn children(&self, entity: &str) -> Vec<Vec<String>> {
        let parents = self
            .worker
            .project
            .entities
            .iter()
            .filter_map(|child| child.parent.as_ref());
        let mut children: Vec<Vec<String>> = Vec::new();
        for parent in parents.filter(|parent| parent.entity == entity) {
            if !children.contains(&parent.columns) {
                children.push(parent.columns.clone());
            }
        }
        children
    }

    /// Refuses what belongs to refused rows, parents first. Where nothing was refused this costs a look at each
    /// relationship that a check asks for; else the entities concerned are staged again.
    async fn settle(&self, mut passed: Vec<Passed>) -> Result<Vec<Passed>> {
        for at in 0..passed.len() {
            let deny = self.denied(&mut passed, at).await?;
            if deny.is_empty() {
                continue;
            }
            let Passed { index, staged, .. } = passed.remove(at);
            let mut connection = self.one_connection().await?;
            self.run.unstage(&mut connection, staged).await?;
            self.counters[index].restart();
            let again = self.entity(index, connection, self.own_feed(), deny).await?;
            passed.insert(at, again.ok_or_else(internal)?);
            if !self.denied_by_checks(&mut passed, at).await?.is_empty() {
                let name = &self.plans[index].outline.entity;
                return Err(Error::batch(format!(
                    "rows of {name} that belong to no row can't be told apart"
                )));
            }
        }
        Ok(passed)
    }

    /// What the entity at this position may not hold.
    async fn denied(&self, passed: &mut [Passed], at: usize) -> Result<Vec<Deny>> {
        let entity = self.worker.project.entity(passed[at].staged.entity())?;
        let mut deny = Vec::new();
        if let Some(parent) = &entity.parent
            && let Some(above) = passed.iter().find(|passed| passed.staged.entity() == parent.entity)
        {
            let refused = above
                .screened
                .refused
                .iter()
                .find(|keys| keys.columns == parent.columns);
            let of_parent = |keys| Deny {
                keys,
                check: "parent".into(),
                reason: format!("its row of {} was refused", parent.entity).into(),
                keep_orphans: false,
            };
            deny.extend(refused.filter(|keys| !keys.is_empty()).cloned().map(of_parent));
            if refused.is_some_and(|keys| keys.nameless) {
                let connection = self.one_connection().await?;
                let (child, columns) = (&passed[at].staged, &parent.columns);
                let missing = self.run.missing(&connection, child, &above.staged, columns).await?;
                deny.extend(keys_of(columns, &missing).map(of_parent));
            }
        }
        deny.extend(self.denied_by_checks(passed, at).await?);
        Ok(deny)
    }

    /// What checks of relationships refuse.
    async fn denied_by_checks(&self, passed: &mut [Passed], at: usize) -> Result<Vec<Deny>> {
        let entity = self.worker.project.entity(passed[at].staged.entity())?;
        let mut deny = Vec::new();
        for check in self.source.checks_of(entity) {
            let Rule::Relationships {
                entity: target,
                columns,
            } = &check.rule
            else {
                continue;
            };
            let Some(other) = passed.iter().find(|passed| passed.staged.entity() == target) else {
                return Err(
                    Error::project(format!("the check {} of {} can't be made", check.name, entity.name))
                        .cause(format!("{} brings no rows to {target}", self.source.name)),
                );
            };
            let connection = self.one_connection().await?;
            let missing = self
                .run
                .missing(&connection, &passed[at].staged, &other.staged, columns)
                .await?;
            if missing.is_empty() {
                continue;
            }
            let reason = format!("{target} has no row with the same {}", columns.join(", "));
            match check.severity {
                Severity::Fail => {
                    let message = format!("the check {} of {} failed", check.name, entity.name);
                    return Err(Error::batch(message)
                        .cause(reason)
                        .hint("mend the input or the SQL, or let the check refuse rows: severity: quarantine"));
                }
                Severity::Warn => {
                    let warned = passed[at].screened.warnings.entry(check.name.clone()).or_default();
                    *warned = missing.len() as u64;
                }
                Severity::Quarantine => deny.extend(keys_of(columns, &missing).map(|keys| Deny {
                    keys,
                    check: check.name.as_str().into(),
                    reason: reason.into(),
                    keep_orphans: check.keep_orphans,
                })),
            }
        }
        Ok(deny)
    }

    async fn one_connection(&self) -> Result<Connection> {
        self.worker.warehouse.reserve(1).await?.pop().ok_or_else(internal)
    }

    fn read(&self, stats: &Arc<ReadStats>) -> BoxStream<'static, Result<Masked>> {
        self.reader()(Arc::clone(stats))
    }

    fn own_feed(&self) -> Arc<Feed> {
        let (read, stats) = (self.reader(), Arc::clone(self.stats));
        Feed::own(self.masks.output_schema(), move || read(Arc::new(stats.again())))
    }

    /// Reads the input through its masks, anew with each call.
    fn reader(&self) -> impl Fn(Arc<ReadStats>) -> BoxStream<'static, Result<Masked>> + Send + Sync + use<> {
        let (listing, source, masks) = (self.listing.clone(), self.source.clone(), Arc::clone(&self.masks));
        let parallelism = self.worker.parallelism;
        move |stats| {
            let times = Arc::clone(&stats.times);
            let records = listing.read(&source, parallelism, stats);
            masked(records, Arc::clone(&masks), parallelism, times)
        }
    }
}

/// Keys that PostgreSQL told as texts; `None` where there are none.
fn keys_of(columns: &[String], texts: &[Vec<String>]) -> Option<Keys> {
    let keys = texts
        .iter()
        .map(|key| Key::new(key.iter().map(|part| Some(part.as_str()))));
    let keys: HashSet<Key> = keys.flatten().collect();
    (!keys.is_empty()).then(|| Keys {
        keys,
        ..Keys::new(columns.to_vec())
    })
}
