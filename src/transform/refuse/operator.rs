//! A projection or a filter that finds the rows for which its expressions fail.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array};
use datafusion::arrow::compute::{BatchCoalescer, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef, UInt64Type};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
    ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::StreamExt;
use futures::stream::{self, Fuse};

use super::evaluate::{Evaluated, evaluate};
use super::failed::{Failed, is_marked, record_column};
use super::fault::{Fault, may_fail};
use super::outputs::{Keys, Labels};

/// The properties of an operator follow from those of its new children.
pub(super) const RECOMPUTED: ReplaceChildrenOptions = ReplaceChildrenOptions {
    children_properties: ChildrenPropertiesMode::Recompute,
};

/// What comes of a row that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// It goes on with a mark in `_record`.
    Refuse,
    /// The batch fails.
    Fail,
}

/// A projection or a filter of the plan, and how to do its work.
#[derive(Debug)]
pub(super) struct Refusing {
    node: Arc<dyn ExecutionPlan>,
    worker: Worker,
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Debug, Clone)]
struct Worker {
    work: Work,
    output: SchemaRef,
    policy: Policy,
    /// For which column of the entity each column of the output is made, where that is one.
    columns: Arc<[Option<String>]>,
    /// Whether each column of the output is a key of an aggregate. A row that fails there has no group.
    keys: Arc<[bool]>,
    failed: Failed,
}

#[derive(Debug, Clone)]
enum Work {
    Project(Arc<[Arc<dyn PhysicalExpr>]>),
    Filter {
        predicate: Arc<dyn PhysicalExpr>,
        projection: Option<Vec<usize>>,
        batch_size: usize,
    },
}

impl Refusing {
    /// The operator in place of a projection or a filter, where an expression of it may fail. A filter that gets marked
    /// rows is replaced, too, since it has to let them pass.
    pub fn instead_of(
        node: &Arc<dyn ExecutionPlan>,
        policy: Policy,
        gets_marks: bool,
        labels: &Labels,
        keys: &Keys,
        failed: &Failed,
    ) -> Option<Self> {
        let work = if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
            let expressions: Vec<_> = projection.expr().iter().map(|one| Arc::clone(&one.expr)).collect();
            expressions
                .iter()
                .any(may_fail)
                .then(|| Work::Project(expressions.into()))?
        } else {
            let filter = node.downcast_ref::<FilterExec>()?;
            (node.fetch().is_none() && (gets_marks || may_fail(filter.predicate()))).then(|| Work::Filter {
                predicate: Arc::clone(filter.predicate()),
                projection: filter.projection().as_ref().map(|columns| columns.to_vec()),
                batch_size: filter.batch_size(),
            })?
        };
        let schema = node.schema();
        let labelled = schema.fields().iter().map(|field| {
            let label = labels.get(field.name()).unwrap_or(field.name());
            (!label.starts_with("__")).then(|| label.clone())
        });
        Some(Self {
            worker: Worker {
                work,
                output: node.schema(),
                policy,
                columns: labelled.collect(),
                keys: schema
                    .fields()
                    .iter()
                    .map(|field| keys.contains(field.name()))
                    .collect(),
                failed: failed.clone(),
            },
            node: Arc::clone(node),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl Worker {
    fn project(&self, expressions: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(expressions.len());
        let mut failed = Vec::new();
        for (at, expression) in expressions.iter().enumerate() {
            let Evaluated { values, failed: rows } = evaluate(expression, batch, self.output.field(at))?;
            columns.push(values);
            let label = self.columns[at].as_deref();
            failed.extend(rows.into_iter().map(|(row, fault)| (row, label, fault, self.keys[at])));
        }
        if !failed.is_empty() {
            let at = record_column(&self.output);
            // The output may have only marks.
            let known = record_column(batch.schema_ref()).map(|at| batch.column(at));
            let records = known.or_else(|| at.map(|at| &columns[at])).cloned();
            if let Some((row, label, fault, _)) = failed.iter().find(|(.., is_key)| *is_key) {
                let record = records.as_ref().and_then(|records| number(records, *row));
                return Err(self.failed.fatal(*label, record, fault));
            }
            let failed = failed
                .into_iter()
                .map(|(row, label, fault, _)| (row, label, fault))
                .collect();
            let marked = self.mark(records.as_ref(), at.map(|at| &columns[at]), failed)?;
            if let (Some(at), Some(marked)) = (at, marked) {
                columns[at] = marked;
            }
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.output),
            columns,
            &rows,
        )?)
    }

    /// The rows for which the predicate holds, and those that are or get marked.
    fn filter(
        &self,
        predicate: &Arc<dyn PhysicalExpr>,
        projection: Option<&[usize]>,
        batch: &RecordBatch,
    ) -> Result<RecordBatch> {
        let field = Field::new("predicate", DataType::Boolean, true);
        let Evaluated { values, failed } = evaluate(predicate, batch, &field)?;
        let mut keep = values.as_boolean().clone();
        let mut batch = batch.clone();
        let failed = undecided(predicate, &batch, failed)?;
        let at = record_column(batch.schema_ref());
        if !failed.is_empty() {
            let records = at.map(|at| Arc::clone(batch.column(at)));
            let failed = failed.into_iter().map(|(row, fault)| (row, None, fault)).collect();
            if let (Some(at), Some(marked)) = (at, self.mark(records.as_ref(), records.as_ref(), failed)?) {
                let mut columns = batch.columns().to_vec();
                columns[at] = marked;
                batch = RecordBatch::try_new(batch.schema(), columns)?;
            }
        }
        if let Some(at) = at.filter(|_| self.policy == Policy::Refuse) {
            let records = batch.column(at).as_primitive::<UInt64Type>();
            if (0..batch.num_rows()).any(|row| is_marked(records, row)) {
                let holds = |row: usize| keep.is_valid(row) && keep.value(row);
                keep = (0..batch.num_rows())
                    .map(|row| Some(is_marked(records, row) || holds(row)))
                    .collect::<BooleanArray>();
            }
        }
        let batch = match projection {
            Some(columns) => batch.project(columns)?,
            None => batch,
        };
        Ok(filter_record_batch(&batch, &keep)?)
    }

    /// The column `before` with marks for the rows that failed, which have these records. A row has one mark, of what failed
    /// first. `None` where there is no column to mark.
    fn mark(
        &self,
        records: Option<&ArrayRef>,
        before: Option<&ArrayRef>,
        failed: Vec<(usize, Option<&str>, Fault)>,
    ) -> Result<Option<ArrayRef>> {
        let record = |row: usize| records.and_then(|records| number(records, row));
        if self.policy == Policy::Fail {
            return match failed.into_iter().next() {
                Some((row, column, fault)) => Err(self.failed.fatal(column, record(row), &fault)),
                None => Ok(None),
            };
        }
        let Some(before) = before.and_then(|before| before.as_primitive_opt::<UInt64Type>()) else {
            return Ok(None);
        };
        let mut marked: Vec<Option<u64>> = before.iter().collect();
        let mut done = vec![false; marked.len()];
        for (row, column, fault) in failed {
            if !done[row] && !is_marked(before, row) {
                done[row] = true;
                marked[row] = Some(self.failed.note(column, record(row), &fault)?);
            }
        }
        Ok(Some(Arc::new(UInt64Array::from(marked))))
    }
}

/// The number of a row's record, where it is known.
fn number(records: &ArrayRef, row: usize) -> Option<u64> {
    let records = records.as_primitive_opt::<UInt64Type>()?;
    records.is_valid(row).then(|| records.value(row))
}

/// The failed rows of a predicate without those that another of its conditions excludes: in `a AND b`, where b fails and
/// a is false, the row does not pass, in whatever order they are evaluated.
fn undecided(
    predicate: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
    failed: Vec<(usize, Fault)>,
) -> Result<Vec<(usize, Fault)>> {
    let conditions = split_conjunction(predicate);
    if failed.is_empty() || conditions.len() < 2 {
        return Ok(failed);
    }
    let mut undecided = Vec::with_capacity(failed.len());
    for (row, fault) in failed {
        let single = batch.slice(row, 1);
        let mut excluded = false;
        for condition in &conditions {
            if let Ok(value) = condition.evaluate(&single) {
                let value = value.into_array(1)?;
                let value = value.as_boolean();
                excluded |= value.is_null(0) || !value.value(0);
            }
        }
        if !excluded {
            undecided.push((row, fault));
        }
    }
    Ok(undecided)
}

/// A filter under way. Few rows of a batch may pass, so they are gathered into larger batches.
struct Filtering {
    input: Fuse<SendableRecordBatchStream>,
    gathered: BatchCoalescer,
    worker: Worker,
    predicate: Arc<dyn PhysicalExpr>,
    projection: Option<Vec<usize>>,
    metrics: BaselineMetrics,
}

impl Filtering {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.gathered.next_completed_batch() {
                return Ok(Some(batch));
            }
            let next = self.input.next().await.transpose()?;
            let _timer = self.metrics.elapsed_compute().timer();
            match next {
                Some(batch) => {
                    let projection = self.projection.as_deref();
                    let passed = self.worker.filter(&self.predicate, projection, &batch)?;
                    self.gathered.push_batch(passed)?;
                }
                None if self.gathered.is_empty() => return Ok(None),
                None => self.gathered.finish_buffered_batch()?,
            }
        }
    }
}

impl DisplayAs for Refusing {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusing: ")?;
        self.node.fmt_as(format, f)
    }
}

impl ExecutionPlan for Refusing {
    fn name(&self) -> &'static str {
        "Refusing"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.node.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.node.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.node.maintains_input_order()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.node.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.node.apply_expressions(f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            node: Arc::clone(&self.node).replace_children(children, RECOMPUTED)?,
            worker: self.worker.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let [input] = self.node.children()[..] else {
            return datafusion::common::internal_err!("an operator without its input");
        };
        let input = input.execute(partition, context)?.fuse();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let worker = self.worker.clone();
        let rows = match self.worker.work.clone() {
            Work::Project(expressions) => input
                .map(move |batch| {
                    let batch = batch?;
                    let _timer = metrics.elapsed_compute().timer();
                    worker.project(&expressions, &batch)
                })
                .boxed(),
            Work::Filter {
                predicate,
                projection,
                batch_size,
            } => {
                let gathered = BatchCoalescer::new(self.schema(), batch_size);
                let filtering = Filtering {
                    input,
                    gathered,
                    worker,
                    predicate,
                    projection,
                    metrics,
                };
                stream::try_unfold(filtering, |mut filtering| async {
                    let next = filtering.next().await?;
                    Ok(next.map(|batch| (batch, filtering)))
                })
                .boxed()
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
