//! Puts a batch in a plan: its date and source in the place of `$date` and `$source`, its input in that of `source`.

use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ParamValues, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::stream;

use super::feed::Feed;
use super::narrow::Narrowed;
use super::record;
use crate::ingest::RECORD_COLUMN;
use crate::project::Batch;

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

pub(super) fn bind_parameters(plan: LogicalPlan, batch: &Batch) -> std::result::Result<LogicalPlan, DataFusionError> {
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

/// The physical plan of a transform for one batch, over input that has the schema of the plan's.
pub(super) async fn physical(
    session: &SessionState,
    plan: &LogicalPlan,
    batch: &Batch,
    feed: Arc<dyn PartitionStream>,
) -> std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let plan = bind_feed(bind_parameters(plan.clone(), batch)?, feed)?;
    session.create_physical_plan(&plan).await
}

/// Puts the batch's input in the place of the empty table that the plan was made with.
fn bind_feed(plan: LogicalPlan, feed: Arc<dyn PartitionStream>) -> std::result::Result<LogicalPlan, DataFusionError> {
    let schema = Arc::clone(feed.schema());
    let declared: Vec<usize> = (0..schema.fields().len() - 1).collect();
    let table = provider_as_source(Arc::new(StreamingTable::try_new(schema, vec![feed])?));
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

/// The feed as a plan over no more than `input` of it reads it.
pub(super) fn fitted(feed: Arc<Feed>, input: &SchemaRef) -> Arc<dyn PartitionStream> {
    if feed.schema() == input {
        return feed;
    }
    Arc::new(Narrowed {
        schema: Arc::clone(input),
        full: feed,
    })
}

/// Where a batch's input will be: a plan can be made over it before there is any.
#[derive(Debug)]
pub(super) struct Slot {
    schema: SchemaRef,
    feed: OnceLock<Arc<dyn PartitionStream>>,
}

impl Slot {
    pub(super) fn of(schema: &SchemaRef) -> Arc<Self> {
        Arc::new(Self {
            schema: Arc::clone(schema),
            feed: OnceLock::new(),
        })
    }

    /// Once; a second feed is not taken.
    pub(super) fn fill(&self, feed: Arc<dyn PartitionStream>) {
        let _ = self.feed.set(feed);
    }
}

impl PartitionStream for Slot {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.feed.get() {
            Some(feed) => feed.execute(context),
            None => Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                stream::once(async { Err(DataFusionError::Internal("a plan ran before its input came".into())) }),
            )),
        }
    }
}

pub(super) fn count_scans(plan: &LogicalPlan) -> std::result::Result<usize, DataFusionError> {
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
