//! The plan of one batch, as Ballista sees it: a leaf with one partition. The scheduler gives a leaf that it does not know
//! to every task with all its partitions, so a leaf with more of them would do its work more than once.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::run::remote::Worker;

/// How many bytes of a report go into one row.
const PIECE: usize = 1 << 20;

/// What an executor needs to fill batches.
#[derive(Clone)]
pub(super) struct Here {
    pub worker: Arc<Worker>,
    /// Where connections to the database and stores live. Ballista runs tasks on threads of its own.
    pub runtime: Handle,
}

/// Fills one batch, and returns its report.
pub(super) struct FillBatch {
    pub run_id: i64,
    pub task: Arc<[u8]>,
    /// `None` on the client and the scheduler.
    here: Option<Here>,
    properties: Arc<PlanProperties>,
}

impl FillBatch {
    pub fn new(run_id: i64, task: Arc<[u8]>, here: Option<Here>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            run_id,
            task,
            here,
            properties: Arc::new(properties),
        }
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("report", DataType::Binary, false)]))
}

/// A report in rows. A message holds whole rows only, so a long report takes several.
fn rows(report: &[u8]) -> Result<Vec<RecordBatch>> {
    let row = |piece: &[u8]| {
        let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([piece]));
        Ok(RecordBatch::try_new(schema(), vec![column])?)
    };
    report.chunks(PIECE).map(row).collect()
}

/// The part of a report that some rows hold.
pub(super) fn piece(rows: &RecordBatch) -> Vec<u8> {
    let column = rows.columns().first().and_then(|column| column.as_binary_opt::<i32>());
    column
        .map(|column| column.iter().flatten().flatten().copied().collect())
        .unwrap_or_default()
}

/// Says nothing of the task: Ballista logs plans, and shows them.
impl fmt::Debug for FillBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FillBatch")
            .field("run_id", &self.run_id)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for FillBatch {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FillBatch: run={}", self.run_id)
    }
}

impl ExecutionPlan for FillBatch {
    fn name(&self) -> &'static str {
        "FillBatch"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(Here { worker, runtime }) = self.here.clone() else {
            return internal_err!("only an executor fills batches");
        };
        let task = Arc::clone(&self.task);
        let report = async move {
            let work = AbortOnDropHandle::new(runtime.spawn(async move { worker.work(&task).await }));
            // Only a stop of the executor ends the work without a report.
            let report = work
                .await
                .map_err(|_| DataFusionError::Execution("the executor stops".to_owned()))?;
            Ok::<_, DataFusionError>(stream::iter(rows(&report)?).map(Ok))
        };
        let rows = stream::once(report).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_several_pieces_arrives_whole() {
        let report: Vec<u8> = (0..2 * PIECE + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let sent = rows(&report).unwrap();
        assert_eq!(sent.len(), 3);
        let arrived: Vec<u8> = sent.iter().flat_map(piece).collect();
        assert!(arrived == report);
    }
}
