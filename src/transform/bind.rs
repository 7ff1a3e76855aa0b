//! Puts a batch in a plan: its date and source in the place of `$date` and `$source`, its input in that of `source`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ParamValues, ScalarValue, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::stream;

use super::scan_input::ScanInput;
use super::sort::KeySort;
use super::{narrow, record};
use crate::model::Batch;
use crate::model::RECORD_COLUMN;

/// `$date` and `$source`.
fn parameters(batch: &Batch) -> Result<Vec<(&'static str, ScalarValue)>> {
    let epoch = chrono::NaiveDate::default();
    let days = i32::try_from((batch.date - epoch).num_days())
        .map_err(|_| DataFusionError::Plan("the batch's date is out of range".into()))?;
    Ok(vec![
        ("date", ScalarValue::Date32(Some(days))),
        ("source", ScalarValue::Utf8(Some(batch.source.clone()))),
    ])
}

pub(super) fn bind_parameters(plan: LogicalPlan, batch: &Batch) -> Result<LogicalPlan> {
    plan.with_param_values(parameters(batch)?)
}

/// The parameters of an expression that stands for itself.
pub(super) fn bind_expression(expression: Expr, columns: &DFSchema, batch: &Batch) -> Result<Expr> {
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

/// The physical plan of a transform for one batch, over the part of its input that has this schema.
pub(super) async fn physical(
    session: &SessionState,
    plan: &LogicalPlan,
    batch: &Batch,
    input: &SchemaRef,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = bind_input(bind_parameters(plan.clone(), batch)?, input)?;
    session.create_physical_plan(&plan).await
}

/// Puts the input in the place of the empty table that the plan was made with.
fn bind_input(plan: LogicalPlan, input: &SchemaRef) -> Result<LogicalPlan> {
    let declared: Vec<usize> = (0..input.fields().len() - 1).collect();
    let slot = Arc::new(Slot(Arc::clone(input)));
    let table = provider_as_source(Arc::new(StreamingTable::try_new(Arc::clone(input), vec![slot])?));
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

/// Where a batch's input comes from, in the context of the plans that read it: a plan holds no input, so that it can be
/// made before there is any, and serve more than one batch.
struct Input(Arc<ScanInput>);

/// The context in which a plan finds its input. One that scans nothing, as where a predicate is false on this date, does
/// not get it, for it would keep it from those who share it.
pub(super) fn with_input(
    task: TaskContext,
    plan: &Arc<dyn ExecutionPlan>,
    input: Arc<ScanInput>,
) -> Result<TaskContext> {
    if !plan.exists(|node| Ok(node.is::<StreamingTableExec>()))? {
        return Ok(task);
    }
    let config = task.session_config().clone().with_extension(Arc::new(Input(input)));
    Ok(task.with_session_config(config))
}

/// The input in a plan: as much of it as the schema says.
#[derive(Debug)]
struct Slot(SchemaRef);

impl PartitionStream for Slot {
    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let Some(input) = context.session_config().get_extension::<Input>() else {
            let missing = async { internal_err!("a plan ran without its input") };
            return Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.0),
                stream::once(missing),
            ));
        };
        let records = input.0.records();
        if self.0 == *input.0.schema() {
            records
        } else {
            narrow::stream(records, &self.0)
        }
    }
}

/// What keeps nothing between two runs: each instance of it, and of the expressions in it, can serve any batch.
fn is_stateless(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<ProjectionExec>()
        || node.is::<FilterExec>()
        || node.is::<UnnestExec>()
        || node.is::<UnionExec>()
        || node.is::<KeySort>()
        || node.is::<StreamingTableExec>()
}

/// Whether the physical plan of one batch is that of all.
pub(super) fn serves_all(plan: &LogicalPlan, physical: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let stateful = physical.exists(|node| Ok(!is_stateless(node)))?;
    Ok(!stateful && plan.get_parameter_names()?.is_empty())
}

pub(super) fn count_scans(plan: &LogicalPlan) -> Result<usize> {
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
