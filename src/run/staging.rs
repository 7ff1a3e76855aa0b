//! Fills a batch's staging tables, all entities side by side from one parse of the input, or one after the other. Each
//! row goes through the checks of its entity.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use tokio::task::JoinSet;

use super::context::Context;
use super::input::BatchInput;
use crate::error::{Error, Result};
use crate::model::{Batch, Entity, Project};
use crate::quality::{Deny, FindMisfits, RowValidator, Suppress, ValidationReport};
use crate::timing::Spent;
use crate::transform::{Execution, Prepared, ScanInput, Tally, broadcast};
use crate::warehouse::{Connection, Fit, StageCounter, Staged, StagingRun};

/// One entity's rows, staged.
pub(super) struct StagedEntity {
    /// The index of its plan.
    pub index: usize,
    pub staged: Staged,
    pub report: ValidationReport,
    /// In the order of [`STAGES`].
    pub times: [Duration; 6],
}

/// The names of the times of an entity.
pub(super) const STAGES: [&str; 6] = ["transform", "sort", "check", "encode", "copy_wait", "index"];

/// The staging of one batch.
pub(super) struct Staging<'a> {
    pub context: &'a Arc<Context>,
    pub batch: &'a Batch,
    pub input: &'a BatchInput,
    pub run: &'a StagingRun,
    pub plans: &'a [Prepared],
    pub counters: &'a [Arc<StageCounter>],
    pub tally: Arc<Tally>,
}

impl Staging<'_> {
    /// Fills the staging tables of all entities. A signal stops it early.
    pub async fn run(&self) -> Result<Vec<StagedEntity>> {
        let staged = if self.plans.len() <= self.context.warehouse.connections() {
            // It handles the signal itself, since its tasks must have ended when it returns.
            self.side_by_side().await
        } else {
            self.unless_stopped(self.one_by_one()).await
        };
        let staged = self.unless_stopped(self.cascade_refusals(staged?)).await?;
        self.unless_stopped(self.suppress_rare(staged)).await
    }

    /// Turns a panic into an error, as for a task, so that the history shows the run as ended.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = AssertUnwindSafe(work).catch_unwind() => done.unwrap_or_else(|_| Err(Error::internal())),
            () = self.context.stop.cancelled() => Err(Error::interrupted()),
        }
    }

    /// Stages all entities at once from one parse. A transform that scans the records more than once reads by itself.
    async fn side_by_side(&self) -> Result<Vec<StagedEntity>> {
        let connections = self.context.warehouse.reserve(self.plans.len()).await?;
        let shared: Vec<usize> = self.plans.iter().filter_map(Prepared::shares).collect();
        let (inputs, reading) = broadcast(&self.input.schemas(), self.input.read(&self.tally), &shared);
        let mut inputs = inputs.into_iter();
        let mut tasks = JoinSet::new();
        for (index, (plan, connection)) in self.plans.iter().zip(connections).enumerate() {
            let shared = plan.shares().and_then(|_| inputs.next());
            let input = shared.unwrap_or_else(|| self.input.scan());
            let entity = self.entity(index, connection, input, Vec::new(), None);
            tasks.spawn(async move { entity.await.map(Some) });
        }
        // It runs even if no transform shares it, because every record counts for the account of the batch.
        tasks.spawn(async move { reading.run().await.map(|()| None) });
        let mut staged = Vec::with_capacity(self.plans.len());
        loop {
            let done = tokio::select! {
                done = tasks.join_next() => done,
                () = self.context.stop.cancelled() => Some(Ok(Err(Error::interrupted()))),
            };
            match done.map(|task| task.unwrap_or_else(|_| Err(Error::internal()))) {
                Some(Ok(one)) => staged.extend(one),
                Some(Err(error)) => {
                    tasks.shutdown().await;
                    return Err(error);
                }
                None => break,
            }
        }
        staged.sort_by_key(|one: &StagedEntity| one.index);
        Ok(staged)
    }

    /// Stages one entity after another over one connection, each from a parse of its own.
    async fn one_by_one(&self) -> Result<Vec<StagedEntity>> {
        let mut staged = Vec::with_capacity(self.plans.len());
        for (index, plan) in self.plans.iter().enumerate() {
            let connection = self.connection().await?;
            let shared = plan.shares();
            // Only the first parse counts records and their elements.
            let records = match shared {
                _ if index == 0 => self.input.read(&self.tally),
                Some(kind) => self.input.read_again(kind),
                None => stream::empty().boxed(),
            };
            let (mut inputs, reading) = broadcast(&self.input.schemas(), records, shared.as_slice());
            let input = inputs.pop().unwrap_or_else(|| self.input.scan());
            let counted = async {
                if shared.is_some() || index == 0 {
                    reading.run().await
                } else {
                    Ok(())
                }
            };
            let entity = self.entity(index, connection, input, Vec::new(), None);
            let (one, ()) = futures::try_join!(entity, counted)?;
            staged.push(one);
        }
        Ok(staged)
    }

    /// Runs one transform through its checks into its staging table.
    pub fn entity(
        &self,
        index: usize,
        mut connection: Connection,
        input: Arc<ScanInput>,
        deny: Vec<Deny>,
        suppress: Option<Suppress>,
    ) -> impl Future<Output = Result<StagedEntity>> + Send + use<> {
        let (context, run) = (Arc::clone(self.context), self.run.clone());
        let (plan, batch, batch_input) = (self.plans[index].clone(), self.batch.clone(), self.input.clone());
        let counter = Arc::clone(&self.counters[index]);
        let children = children(&self.context.project, &plan.outline.entity);
        async move {
            let Execution { rows, metrics, failed } = context.plans.engine.execute(&plan, &batch, input).await?;
            let entity = context.project.entity(&plan.outline.entity)?;
            let locate = |record: u64| batch_input.locate(record);
            let misfits = find_misfits(entity.clone(), batch.source.clone());
            let mut validator = RowValidator::new(entity, &plan.row_checks, children, deny).refusing_misfits(misfits);
            if let Some(suppress) = suppress {
                validator = validator.suppressing(entity, suppress);
            }
            let validator = Mutex::new(validator);
            let checking = Spent::default();
            let accepted = rows.map(|rows| {
                let mut validator = validator.lock().unwrap_or_else(PoisonError::into_inner);
                let rows = rows.map_err(|error| failed.explain(error, &locate))?;
                let (rows, unmade) = failed.restore(rows)?;
                checking.on(|| validator.pass(&rows, unmade, &locate))
            });
            let place = |record: u64| locate(record).to_string();
            let staged = run.stage(&mut connection, entity, accepted, &place, &counter).await?;
            let validator = validator.into_inner().unwrap_or_else(PoisonError::into_inner);
            let report = validator.finish()?;
            if staged.rows() != report.accepted() {
                let counts = format!("{} accepted, {} staged", report.accepted(), staged.rows());
                return Err(Error::batch(format!("the account of {} does not add up", entity.name)).cause(counts));
            }
            let (transform, sort) = metrics.spent();
            let times = [
                transform,
                sort,
                checking.get(),
                counter.encode.get(),
                counter.wait.get(),
                staged.indexed(),
            ];
            Ok(StagedEntity {
                index,
                staged,
                report,
                times,
            })
        }
    }

    pub async fn connection(&self) -> Result<Connection> {
        let mut reserved = self.context.warehouse.reserve(1).await?;
        reserved.pop().ok_or_else(Error::internal)
    }
}

/// The sets of columns by which other entities refer to this one as their parent.
pub(crate) fn children(project: &Project, entity: &str) -> Vec<Vec<String>> {
    let parents = project.entities.iter().filter_map(|child| child.parent.as_ref());
    let mut children: Vec<Vec<String>> = Vec::new();
    for parent in parents.filter(|parent| parent.entity == entity) {
        if !children.contains(&parent.columns) {
            children.push(parent.columns.clone());
        }
    }
    children
}

/// Finds the rows that the entity's table can't take.
pub(crate) fn find_misfits(entity: Entity, source: String) -> FindMisfits {
    let mut fit = None;
    Box::new(move |batch| {
        let misfit =
            |cause: String| Error::batch(format!("the rows of {} do not fit its contract", entity.name)).cause(cause);
        let fit = match &mut fit {
            Some(fit) => fit,
            none => none.insert(Fit::new(&entity, &source, &batch.schema()).map_err(misfit)?),
        };
        fit.misfits(batch).map_err(misfit)
    })
}
