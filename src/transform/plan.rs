//! From a SQL file to a plan that is known to fit its entity: parsed, planned, checked against the
//! contract, and carrying `_record`. Planned once per source; bound to each batch's date and input.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column as DfColumn, DFSchema, ParamValues, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::logical_plan::{Projection, TableScanBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::sqlparser::ast::Query;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::elements::Elements;
use super::failure::{self, Span, locate, planning, running};
use super::feed::Feed;
use super::guards::{self, Guard};
use super::narrow::{self, Narrowed};
use super::session::Engine;
use super::sort::KeySort;
use super::{ast, record, steady};
use crate::error::{Diagnostic, Error, Result};
use crate::ingest::RECORD_COLUMN;
use crate::mask;
use crate::project::{Batch, Column, Entity, PgType, Project, Source, Transform, did_you_mean};

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
    /// How often it scans `source`; more than once wants a feed of its own.
    pub scans: usize,
    /// The checks that the rows carry the result of, in the order of their columns.
    pub guards: Vec<Guard>,
    /// The elements of the records that its rows are as many as.
    pub conserves: Option<Elements>,
    /// The entity's columns in the contract's order, then `_record`, then a Boolean per guard; sorted by the key;
    /// `$date` and `$source` still open.
    plan: LogicalPlan,
    /// What the plan reads of `source`, `_record` included.
    input: SchemaRef,
}

impl Engine {
    /// Plans all transforms of a source and checks them against their entities; every problem at once.
    pub async fn prepare(
        &self,
        project: &Project,
        source: &Source,
        accepts: Accepts,
    ) -> std::result::Result<Vec<Prepared>, Vec<Diagnostic>> {
        let (full, session) = self.visible(source)?;
        let (mut prepared, mut problems) = (Vec::new(), Vec::new());
        for planner in planners(&session, &full, project, source, accepts) {
            let declared = source.conserves.iter().find(|one| one.entity == planner.entity.name);
            let conserves = declared.map(|one| Elements::plan(&session, &full, one, &sample(source)));
            match planner.plan().await {
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
        let again = planner.plan().await.ok()?;
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
        let physical = self.physical(prepared, batch, feed).await;
        let physical = physical.map_err(|e| running(&path, e))?;
        let rows = self
            .task()
            .and_then(|task| execute_stream(Arc::clone(&physical), task))
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
        feed: Arc<Feed>,
    ) -> std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let plan = bind_parameters(prepared.plan.clone(), batch)?;
        let plan = bind_feed(plan, feed, &prepared.input)?;
        self.state().create_physical_plan(&plan).await
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

/// What planning one transform needs.
struct Planner<'a> {
    session: &'a SessionState,
    full: &'a SchemaRef,
    source: &'a Source,
    transform: &'a Transform,
    entity: &'a Entity,
    accepts: Accepts,
}

/// One for each transform of the source whose entity is declared.
fn planners<'a>(
    session: &'a SessionState,
    full: &'a SchemaRef,
    project: &'a Project,
    source: &'a Source,
    accepts: Accepts,
) -> impl Iterator<Item = Planner<'a>> {
    source.transforms.iter().filter_map(move |transform| {
        Some(Planner {
            session,
            full,
            source,
            transform,
            entity: project.entity(&transform.entity).ok()?,
            accepts,
        })
    })
}

impl Planner<'_> {
    async fn plan(&self) -> std::result::Result<Prepared, Vec<Diagnostic>> {
        let (outline, sideways) = self.outline().await?;
        let sample = sample(self.source);
        let fail = |e: DataFusionError| vec![planning(self.transform, &e, sideways)];
        let checks = self.source.checks_of(self.entity);
        let guarded = guards::add(self.session, outline.plan.clone(), self.entity, checks);
        // Some forms are refused by the optimizer or the physical planner alone.
        let planned = match &guarded {
            Ok((plan, _)) => self.physically(plan, &sample).await,
            Err(_) => self.physically(&outline.plan, &sample).await,
        };
        let (plan, guards) = match (guarded, &planned) {
            (Ok(guarded), Ok(_)) => guarded,
            (Err(problems), Ok(_)) => return Err(problems),
            // Whether it is the transform's fault or that of a check's predicate.
            (_, Err(error)) => {
                self.physically(&outline.plan, &sample).await.map_err(fail)?;
                return Err(vec![failure::check(None, &self.entity.name, error)]);
            }
        };
        let scans = planned.and_then(|optimized| count_scans(&optimized)).map_err(fail)?;
        Ok(Prepared {
            outline,
            scans,
            guards,
            conserves: None,
            plan,
            input: Arc::clone(self.full),
        })
    }

    /// The transform's plan, its output checked against the contract; and whether its FROM unnests sideways.
    async fn outline(&self) -> std::result::Result<(Outline, bool), Vec<Diagnostic>> {
        let dialect = self.session.config_options().sql_parser.dialect;
        let statement = self
            .session
            .sql_to_statement(&self.transform.sql, &dialect)
            .map_err(|e| vec![planning(self.transform, &e, false)])?;
        let Some(query) = ast::query(&statement).cloned() else {
            return Err(vec![self.problem(
                "a transform is one SELECT",
                None::<Span>,
                "return the entity's rows with a SELECT",
            )]);
        };
        let sideways = ast::unnests_sideways(&query);
        let fail = |e: DataFusionError| vec![planning(self.transform, &e, sideways)];
        let plan = self.session.statement_to_plan(statement).await.map_err(fail)?;
        if let Some(function) = steady::unsteady_function(&plan).map_err(fail)? {
            let message =
                format!("`{function}()` differs from run to run, and a batch that runs again brings the same rows");
            let hint = "use $date for the batch's day, and columns of the record for what tells rows apart";
            return Err(vec![self.problem(&message, ast::select_span(&query), hint)]);
        }
        let (plan, record) = record::thread(plan, self.full).map_err(fail)?;

        // A sample batch settles the parameters' types; analysis finds what planning let pass.
        let bound = bind_parameters(plan.clone(), &sample(self.source)).map_err(fail)?;
        let options = self.session.config_options();
        let analyzed = self.session.analyzer().execute_and_check(bound, options, |_, _| {});
        self.check(&query, analyzed.map_err(fail)?.schema().as_arrow())?;
        let outline = Outline {
            entity: self.entity.name.clone(),
            path: self.transform.path.clone(),
            plan: self.shape(plan, record).map_err(fail)?,
        };
        Ok((outline, sideways))
    }

    /// The optimized plan, once a physical one could be made of it.
    async fn physically(
        &self,
        plan: &LogicalPlan,
        sample: &Batch,
    ) -> std::result::Result<LogicalPlan, DataFusionError> {
        let optimized = self.session.optimize(&bind_parameters(plan.clone(), sample)?)?;
        let planner = self.session.query_planner();
        planner.create_physical_plan(&optimized, self.session).await?;
        Ok(optimized)
    }

    /// The contract against the query's output.
    fn check(&self, query: &Query, output: &Schema) -> std::result::Result<(), Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let names: Vec<&str> = output
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .filter(|n| *n != RECORD_COLUMN)
            .collect();
        for (i, name) in names.iter().enumerate() {
            if self.entity.columns.iter().all(|c| c.name != *name) {
                problems.push(self.extra_column(query, name));
            } else if names[..i].contains(name) {
                let message = format!("column `{name}` is returned twice");
                problems.push(self.problem(&message, ast::output_span(query, name), "keep one of them"));
            }
        }
        for column in &self.entity.columns {
            match output.fields().iter().find(|f| *f.name() == column.name) {
                Some(field) => problems.extend(self.check_type(query, column, field.data_type())),
                None => problems.push(self.missing_column(query, column)),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn check_type(&self, query: &Query, column: &Column, arrow: &DataType) -> Option<Diagnostic> {
        if *arrow == DataType::Null && column.nullable {
            return None;
        }
        let reason = (self.accepts)(arrow, &column.pg_type).err()?;
        let message = format!(
            "column `{}` of {} is {} but the transform returns {arrow}",
            column.name, self.entity.name, column.pg_type
        );
        Some(self.problem(&message, ast::output_span(query, &column.name), &reason))
    }

    fn extra_column(&self, query: &Query, name: &str) -> Diagnostic {
        let declared = self.entity.columns.iter().map(|c| c.name.as_str());
        let hint = did_you_mean(name, declared)
            .unwrap_or_else(|| format!("drop it, or declare it under {} in pipeline.yaml", self.entity.name));
        let message = format!("column `{name}` is not one of {}", self.entity.name);
        self.problem(&message, ast::output_span(query, name), &hint)
    }

    fn missing_column(&self, query: &Query, column: &Column) -> Diagnostic {
        let message = format!(
            "column `{}` ({}) of {} is missing",
            column.name, column.pg_type, self.entity.name
        );
        let hint = if column.nullable {
            format!("return it, or `NULL AS {}` where this source has none", column.name)
        } else {
            format!("return it: {} needs a value in every row", self.entity.name)
        };
        self.problem(&message, ast::select_span(query), &hint)
    }

    fn problem(&self, message: &str, span: Option<impl Into<Span>>, hint: &str) -> Diagnostic {
        Diagnostic {
            message: message.to_owned(),
            location: Some(locate(self.transform, span.map(Into::into))),
            hint: Some(hint.to_owned()),
        }
    }

    /// The entity's columns in the contract's order, then `_record`.
    fn shape(&self, plan: LogicalPlan, record: Option<DfColumn>) -> std::result::Result<LogicalPlan, DataFusionError> {
        let mut columns = Vec::with_capacity(self.entity.columns.len() + 1);
        for column in &self.entity.columns {
            let found = plan
                .schema()
                .iter()
                .find(|(_, field)| *field.name() == column.name)
                .ok_or_else(|| DataFusionError::Internal(format!("column {} was checked and is gone", column.name)))?;
            columns.push(Expr::Column(DfColumn::from(found)).alias(&column.name));
        }
        columns.push(match record {
            Some(record) => Expr::Column(record).alias(RECORD_COLUMN),
            None => lit(ScalarValue::UInt64(None)).alias(RECORD_COLUMN),
        });
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
    }
}

/// A batch that stands for all of the source's while its SQL is planned.
fn sample(source: &Source) -> Batch {
    Batch {
        source: source.name.clone(),
        date: chrono::NaiveDate::default(),
    }
}

/// `$date` and `$source`.
fn parameters(batch: &Batch) -> std::result::Result<Vec<(&'static str, ScalarValue)>, DataFusionError> {
    let epoch = chrono::NaiveDate::default();
    let days = i32::try_from((batch.date - epoch).num_days())
        .map_err(|_| DataFusionError::Plan("the batch's date is out of range".into()))?;
    Ok(vec![
        ("date", ScalarValue::Date32(Some(days))),
        ("source", ScalarValue::Utf8(Some(batch.source.clone()))),
    ])
}

fn bind_parameters(plan: LogicalPlan, batch: &Batch) -> std::result::Result<LogicalPlan, DataFusionError> {
    plan.with_param_values(parameters(batch)?)
}

/// The parameters of an expression that stands for itself.
pub(super) fn bind_expression(
    expression: Expr,
    columns: &DFSchema,
    batch: &Batch,
) -> std::result::Result<Expr, DataFusionError> {
    let values = ParamValues::from(parameters(batch)?);
    let (expression, _) = expression.infer_placeholder_types(columns)?;
    let bound = expression.transform_up(|node| match node {
        Expr::Placeholder(placeholder) => {
            let (value, metadata) = values.get_placeholders_with_values(&placeholder.id)?.into_inner();
            Ok(Transformed::yes(Expr::Literal(value, metadata)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(bound.data)
}

/// Puts the batch's input in the place of the empty table that the plan was made with.
fn bind_feed(
    plan: LogicalPlan,
    feed: Arc<Feed>,
    input: &SchemaRef,
) -> std::result::Result<LogicalPlan, DataFusionError> {
    let declared: Vec<usize> = (0..input.fields().len() - 1).collect();
    let feed: Arc<dyn PartitionStream> = if feed.schema() == input {
        feed
    } else {
        Arc::new(Narrowed {
            schema: Arc::clone(input),
            full: feed,
        })
    };
    let table = provider_as_source(Arc::new(StreamingTable::try_new(Arc::clone(input), vec![feed])?));
    let bound = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) if record::is_source(&scan) => {
            let threaded = scan.projected_schema.fields().iter().any(|f| f.name() == RECORD_COLUMN);
            let projection = (!threaded).then(|| declared.clone());
            let scan = TableScanBuilder::new(scan.table_name, Arc::clone(&table))
                .with_projection(projection)
                .build()?;
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(bound.data)
}

fn count_scans(plan: &LogicalPlan) -> std::result::Result<usize, DataFusionError> {
    let mut scans = 0;
    plan.apply_with_subqueries(|node| {
        if matches!(node, LogicalPlan::TableScan(scan) if record::is_source(scan)) {
            scans += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

pub(super) fn without_record(full: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = full
        .fields()
        .iter()
        .filter(|f| f.name() != RECORD_COLUMN)
        .cloned()
        .collect();
    Arc::new(Schema::new(fields))
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
