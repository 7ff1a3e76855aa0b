//! From a SQL file to a plan that is known to fit its entity: parsed, planned, checked against the
//! contract, and carrying `_record`. Planned once per source; bound to each batch's date and input.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::bind::{self, without_record};
use super::elements::Elements;
use super::failure::running;
use super::feed::Feed;
use super::guards::Guard;
use super::narrow;
use super::planner::{Planner, planners, sample};
use super::session::Engine;
use super::sort::KeySort;
use crate::error::{Diagnostic, Error, Result};
use crate::mask;
use crate::project::{Batch, PgType, Project, Source};

/// Tells whether a column of this Arrow type can be stored in this PostgreSQL type without loss; why not, otherwise.
pub type Accepts = fn(&DataType, &PgType) -> std::result::Result<(), String>;

/// A transform that can be read: its names are known and its output's columns are the entity's.
#[derive(Debug, Clone)]
pub struct Outline {
    pub entity: String,
    /// The SQL file, relative to the project.
    pub path: PathBuf,
    /// Not optimized: the entity's columns in the contract's order, then `_record`.
    pub(crate) plan: LogicalPlan,
}

/// A transform that was planned and fits its entity.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub outline: Outline,
    /// How often it scans `source`, at most: on some dates the optimizer may find one idle. More than once wants a feed
    /// of its own.
    pub scans: usize,
    /// The checks that the rows carry the result of, in the order of their columns.
    pub guards: Vec<Guard>,
    /// The elements of the records that its rows are as many as.
    pub conserves: Option<Elements>,
    /// The entity's columns in the contract's order, then `_record`, then a Boolean per guard; sorted by the key;
    /// `$date` and `$source` still open.
    pub(super) plan: LogicalPlan,
    /// What the plan reads of `source`, `_record` included.
    pub(super) input: SchemaRef,
    pub(super) ready: Ready,
}

/// The physical plan that preparing came to.
#[derive(Debug, Clone)]
pub(super) struct Ready(Arc<Made>);

#[derive(Debug)]
struct Made {
    /// The batch that it was made with.
    batch: Batch,
    plan: Arc<dyn ExecutionPlan>,
    serves_all: bool,
    /// Where it serves one batch: what has run is not run again.
    taken: AtomicBool,
}

impl Ready {
    pub(super) fn new(batch: Batch, plan: Arc<dyn ExecutionPlan>, serves_all: bool) -> Self {
        Self(Arc::new(Made {
            batch,
            plan,
            serves_all,
            taken: AtomicBool::new(false),
        }))
    }

    #[cfg(test)]
    pub(super) fn serves_all(&self) -> bool {
        self.0.serves_all
    }

    /// The plan to run for this batch, where it needs none of its own.
    fn of(&self, batch: &Batch) -> std::result::Result<Option<Arc<dyn ExecutionPlan>>, DataFusionError> {
        let made = &*self.0;
        if made.serves_all {
            // With metrics of its own.
            return reset_plan_states(Arc::clone(&made.plan)).map(Some);
        }
        let first = made.batch == *batch && !made.taken.swap(true, Ordering::Relaxed);
        Ok(first.then(|| Arc::clone(&made.plan)))
    }
}

impl Engine {
    /// Plans all transforms of a source and checks them against their entities; every problem at once. For `batch`,
    /// which may stand for all of them ([`sample`]), they are then ready to run.
    pub async fn prepare(
        &self,
        project: &Project,
        source: &Source,
        batch: &Batch,
        accepts: Accepts,
    ) -> std::result::Result<Vec<Prepared>, Vec<Diagnostic>> {
        let (full, session) = self.visible(source)?;
        let (mut prepared, mut problems) = (Vec::new(), Vec::new());
        for planner in planners(&session, &full, project, source, accepts) {
            let declared = source.conserves.iter().find(|one| one.entity == planner.entity.name);
            let conserves = declared.map(|one| Elements::plan(&session, &full, one, &sample(source)));
            match planner.plan(batch).await {
                Ok(one) => prepared.push(Prepared {
                    conserves: conserves.and_then(|planned| planned.map_err(|found| problems.push(found)).ok()),
                    ..one
                }),
                Err(found) => problems.extend(found.into_iter().chain(conserves.and_then(Result::err))),
            }
        }
        if problems.is_empty() {
            Ok(prepared)
        } else {
            Err(problems)
        }
    }

    /// Plans the transforms of a source as far as telling where their columns come from needs. Types may be any; every
    /// problem at once.
    pub async fn outline(
        &self,
        project: &Project,
        source: &Source,
    ) -> std::result::Result<Vec<Outline>, Vec<Diagnostic>> {
        let (full, session) = self.visible(source)?;
        let (mut outlines, mut problems) = (Vec::new(), Vec::new());
        for planner in planners(&session, &full, project, source, |_, _| Ok(())) {
            match planner.outline().await {
                Ok((outline, _)) => outlines.push(outline),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(outlines)
        } else {
            Err(problems)
        }
    }

    /// What a transform of the source sees, `_record` included, and the session in which nothing else exists.
    fn visible(&self, source: &Source) -> std::result::Result<(SchemaRef, SessionState), Vec<Diagnostic>> {
        let full = mask::visible_schema(source).map_err(|error| match error.diagnostics {
            found if found.is_empty() => vec![plain(error.message)],
            found => found,
        })?;
        let session = self.session(without_record(&full));
        session
            .map(|session| (full, session))
            .map_err(|e| vec![plain(e.to_string())])
    }

    /// Plans a transform again over those fields of `source` alone that it uses, by their paths, such as
    /// `visits[].date`. Where it mentions others, it stays as it was.
    pub async fn narrow(
        &self,
        project: &Project,
        source: &Source,
        prepared: &Prepared,
        used: &BTreeSet<String>,
    ) -> Prepared {
        let input = narrow::schema(&prepared.input, used);
        let again = self.again(project, source, prepared, &input).await;
        again.unwrap_or_else(|| prepared.clone())
    }

    async fn again(
        &self,
        project: &Project,
        source: &Source,
        prepared: &Prepared,
        input: &SchemaRef,
    ) -> Option<Prepared> {
        if *input == prepared.input {
            return None;
        }
        let session = self.session(without_record(input)).ok()?;
        let planner = Planner {
            session: &session,
            full: input,
            source,
            transform: source.transforms.iter().find(|t| t.entity == prepared.outline.entity)?,
            entity: project.entity(&prepared.outline.entity).ok()?,
            // The types were accepted before.
            accepts: |_, _| Ok(()),
        };
        let again = planner.plan(&sample(source)).await.ok()?;
        let same = again.plan.schema().as_arrow() == prepared.plan.schema().as_arrow() && again.scans == prepared.scans;
        same.then(|| Prepared {
            // Counted over the whole records.
            conserves: prepared.conserves.clone(),
            ..again
        })
    }

    /// Runs a prepared transform over a batch's input.
    ///
    /// Yields batches with exactly the entity's columns in the contract's order, then `_record` (nullable `UInt64`), then
    /// a Boolean column per guard; rows sorted by the entity's key, and of those with the same key the input's first
    /// comes first; without a key, sorted by its widest index.
    pub async fn execute(&self, prepared: &Prepared, batch: &Batch, feed: Arc<Feed>) -> Result<Execution> {
        let path = prepared.outline.path.clone();
        let physical = self.physical(prepared, batch).await;
        let physical = physical.map_err(|e| running(&path, e))?;
        let rows = self
            .task()
            .and_then(|task| bind::with_input(task, &physical, feed))
            .and_then(|task| execute_stream(Arc::clone(&physical), Arc::new(task)))
            .map_err(|e| running(&path, e))?;
        Ok(Execution {
            rows: rows.map(move |next| next.map_err(|e| running(&path, e))).boxed(),
            effort: Effort(physical),
        })
    }

    async fn physical(
        &self,
        prepared: &Prepared,
        batch: &Batch,
    ) -> std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        match prepared.ready.of(batch)? {
            Some(plan) => Ok(plan),
            None => bind::physical(self.state(), &prepared.plan, batch, &prepared.input).await,
        }
    }
}

/// A transform under way.
pub struct Execution {
    pub rows: BoxStream<'static, Result<RecordBatch>>,
    pub effort: Effort,
}

/// What a transform's operators worked so far.
pub struct Effort(Arc<dyn ExecutionPlan>);

impl Effort {
    /// The time spent in all operators but sorts, and in sorts.
    pub fn spent(&self) -> (Duration, Duration) {
        let (mut transform, mut sort) = (Duration::ZERO, Duration::ZERO);
        let mut plans = vec![&self.0];
        while let Some(plan) = plans.pop() {
            let nanos = plan
                .metrics()
                .and_then(|metrics| metrics.elapsed_compute())
                .unwrap_or(0);
            let spent = Duration::from_nanos(nanos as u64);
            *if plan.is::<KeySort>() || plan.is::<SortExec>() {
                &mut sort
            } else {
                &mut transform
            } += spent;
            plans.extend(plan.children());
        }
        (transform, sort)
    }
}

fn plain(message: String) -> Diagnostic {
    Diagnostic {
        message,
        location: None,
        hint: None,
    }
}

impl Prepared {
    /// How many leaves of the records it reads.
    #[cfg(test)]
    pub(crate) fn reads(&self) -> usize {
        self.input
            .flattened_fields()
            .iter()
            .filter(|field| !field.data_type().is_nested())
            .count()
    }

    /// All problems of preparing as one error.
    pub fn problems(diagnostics: Vec<Diagnostic>) -> Error {
        Error::project("the transforms do not fit the project").diagnostics(diagnostics)
    }
}
