//! Binds a batch to a plan: its date and source replace `$date` and `$source`, its input replaces the tables of the
//! source's kinds.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ParamValues, ScalarValue, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::stream;

use super::inputs::Inputs;
use super::narrow;
use super::scan_input::ScanInput;
use crate::model::Batch;
use crate::model::RECORD_COLUMN;

/// The values of `$date` and `$source`.
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

/// Binds the parameters of an expression that is not part of a plan.
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

/// The physical plan of a transform for one batch. `inputs` are the parts of the tables that it reads.
pub(super) async fn physical(
    session: &SessionState,
    plan: &LogicalPlan,
    batch: &Batch,
    inputs: &Inputs,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = bind_inputs(bind_parameters(plan.clone(), batch)?, inputs)?;
    session.create_physical_plan(&plan).await
}

/// Replaces the empty tables with which the plan was made by the input.
fn bind_inputs(plan: LogicalPlan, inputs: &Inputs) -> Result<LogicalPlan> {
    let bound = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let Some((kind, input)) = inputs.of_scan(&scan) else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let schema = Arc::clone(&input.schema);
            let declared: Vec<usize> = (0..schema.fields().len() - 1).collect();
            let slot = Arc::new(Slot {
                kind,
                schema: Arc::clone(&schema),
            });
            let table = provider_as_source(Arc::new(StreamingTable::try_new(schema, vec![slot])?));
            let threaded = scan.projected_schema.fields().iter().any(|f| f.name() == RECORD_COLUMN);
            let projection = (!threaded).then(|| declared.clone());
            let scan = TableScanBuilder::new(scan.table_name, table)
                .with_projection(projection)
                .build()?;
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(bound.data)
}

/// A batch's input, stored in the context in which plans run. A plan itself holds no input, so it can be made before
/// the input is read, and can serve more than one batch.
struct Input(Arc<ScanInput>);

/// The context in which a plan finds its input. A plan that scans nothing, for example because a predicate is false
/// on this date, does not get the input: holding it unread would block the transforms that share it.
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

/// The place of the input in a plan. The schema says which part of the input the plan reads.
#[derive(Debug)]
struct Slot {
    /// The index of the kind whose records it reads.
    kind: usize,
    schema: SchemaRef,
}

impl PartitionStream for Slot {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let Some(input) = context.session_config().get_extension::<Input>() else {
            let missing = async { internal_err!("a plan ran without its input") };
            return Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                stream::once(missing),
            ));
        };
        let records = input.0.records(self.kind);
        if self.schema == records.schema() {
            records
        } else {
            narrow::stream(records, &self.schema)
        }
    }
}

/// The kinds that a plan reads, by their indexes, once for each scan.
pub(super) fn scans(plan: &LogicalPlan, inputs: &Inputs) -> Result<Vec<usize>> {
    let mut scans = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            scans.extend(inputs.of_scan(scan).map(|(kind, _)| kind));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}
