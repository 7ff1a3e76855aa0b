//! The plan of one batch, as Ballista sees it. Most often it is a leaf with one partition. A batch that is divided has a
//! child for each part, which is a stage of its own:
//!
//! ```text
//! FillBatch
//!   CoalescePartitionsExec   (where Ballista cuts)
//!     ReadPart 0
//!   CoalescePartitionsExec
//!     ReadPart 1
//! ```
//!
//! The scheduler gives a leaf that it does not know to every task with all its partitions, so a leaf with more of them would
//! do its work more than once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::job_files::JobFiles;
use crate::error::Error;
use crate::run::remote::{Job, PartRows, Worker};

/// How many bytes of a report go into one row.
const PIECE: usize = 1 << 20;

/// The most rows of a part that wait to be written.
const WAITING: usize = 4;

/// What an executor needs to fill batches.
#[derive(Clone)]
pub(super) struct Here {
    pub worker: Arc<Worker>,
    /// Where connections to the database and stores live. Ballista runs tasks on threads of its own.
    pub runtime: Handle,
    pub files: Arc<JobFiles>,
}

/// The plan of a batch.
pub(super) fn plan(run_id: i64, job: Job) -> Arc<dyn ExecutionPlan> {
    let read = |(part, task): (usize, Vec<u8>)| {
        let part: Arc<dyn ExecutionPlan> = Arc::new(ReadPart::new(run_id, part, task.into(), None));
        let cut: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(part));
        cut
    };
    let parts = job.parts.into_iter().enumerate().map(read).collect();
    Arc::new(FillBatch::new(run_id, job.fill.into(), parts, None))
}

fn properties() -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema()),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Final,
        Boundedness::Bounded,
    ))
}

/// Fills one batch, and returns its report.
pub(super) struct FillBatch {
    pub run_id: i64,
    pub task: Arc<[u8]>,
    /// Where the rows of the parts come from. Empty: it reads the input itself.
    parts: Vec<Arc<dyn ExecutionPlan>>,
    /// `None` on the client and the scheduler.
    here: Option<Here>,
    properties: Arc<PlanProperties>,
}

impl FillBatch {
    pub fn new(run_id: i64, task: Arc<[u8]>, parts: Vec<Arc<dyn ExecutionPlan>>, here: Option<Here>) -> Self {
        Self {
            run_id,
            task,
            parts,
            here,
            properties: properties(),
        }
    }
}

/// Reads a part of a batch's input, and returns its records, masked.
pub(super) struct ReadPart {
    pub run_id: i64,
    /// The index of the part. It is for who looks at the plan.
    pub part: usize,
    pub task: Arc<[u8]>,
    /// `None` on the client and the scheduler.
    here: Option<Here>,
    properties: Arc<PlanProperties>,
}

impl ReadPart {
    pub fn new(run_id: i64, part: usize, task: Arc<[u8]>, here: Option<Here>) -> Self {
        Self {
            run_id,
            part,
            task,
            here,
            properties: properties(),
        }
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("report", DataType::Binary, false)]))
}

/// A report in rows. A message holds whole rows only, so a long report takes several.
fn rows(report: &[u8]) -> Result<Vec<RecordBatch>> {
    report.chunks(PIECE).map(row).collect()
}

fn row(piece: &[u8]) -> Result<RecordBatch> {
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([piece]));
    Ok(RecordBatch::try_new(schema(), vec![column])?)
}

/// The pieces that rows of a part hold.
fn pieces(rows: &RecordBatch) -> Vec<Vec<u8>> {
    let column = rows.columns().first().and_then(|column| column.as_binary_opt::<i32>());
    column
        .map(|column| column.iter().flatten().map(<[u8]>::to_vec).collect())
        .unwrap_or_default()
}

/// An error of Ballista's, which must reach the scheduler as it is: it tells which rows are lost, and has them made again.
type Lost = Arc<Mutex<Option<DataFusionError>>>;

/// The rows of a part, as they come from the executor that has read it.
fn arriving(part: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>, lost: &Lost) -> PartRows {
    let (part, context, lost) = (Arc::clone(part), Arc::clone(context), Arc::clone(lost));
    Arc::new(move || {
        let lost = Arc::clone(&lost);
        let rows = match part.execute(0, Arc::clone(&context)) {
            Ok(rows) => rows.left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        };
        let rows = rows.flat_map(move |rows| {
            let pieces = match rows {
                Ok(rows) => pieces(&rows).into_iter().map(Ok).collect(),
                Err(error) => {
                    lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    vec![Err(Error::internal())]
                }
            };
            stream::iter(pieces)
        });
        rows.boxed()
    })
}

/// The part of a report that some rows hold.
pub(super) fn piece(rows: &RecordBatch) -> Vec<u8> {
    pieces(rows).concat()
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

/// As little as [`FillBatch`] says.
impl fmt::Debug for ReadPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadPart")
            .field("run_id", &self.run_id)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for ReadPart {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadPart: run={} part={}", self.run_id, self.part)
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
        self.parts.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, parts: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let task = Arc::clone(&self.task);
        Ok(Arc::new(Self::new(self.run_id, task, parts, self.here.clone())))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(Here { worker, runtime, files }) = self.here.clone() else {
            return internal_err!("only an executor fills batches");
        };
        files.begin(&context, &self.task);
        let (task, lost) = (Arc::clone(&self.task), Lost::default());
        let parts = self.parts.iter().map(|part| arriving(part, &context, &lost)).collect();
        let report = async move {
            let work = AbortOnDropHandle::new(runtime.spawn(async move { worker.work(&task, parts).await }));
            // Only a stop of the executor ends the work without a report.
            let report = work.await.map_err(|_| stopping())?;
            if let Some(error) = lost.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(error);
            }
            Ok::<_, DataFusionError>(stream::iter(rows(&report)?).map(Ok))
        };
        let rows = stream::once(report).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), rows)))
    }
}

impl ExecutionPlan for ReadPart {
    fn name(&self) -> &'static str {
        "ReadPart"
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

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(Here { worker, runtime, files }) = self.here.clone() else {
            return internal_err!("only an executor reads parts");
        };
        files.begin(&context, &self.task);
        let task = Arc::clone(&self.task);
        let (sender, pieces) = mpsc::channel::<Vec<u8>>(WAITING);
        let work = AbortOnDropHandle::new(runtime.spawn(async move { worker.read(&task, &sender).await }));
        let rows = stream::unfold((pieces, Some(work)), |(mut pieces, work)| async move {
            if let Some(piece) = pieces.recv().await {
                return Some((row(&piece), (pieces, work)));
            }
            // Only a stop of the executor ends the work before the part ends.
            let ended = work?.await;
            ended.err().map(|_| (Err(stopping()), (pieces, None)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), rows)))
    }
}

fn stopping() -> DataFusionError {
    DataFusionError::Execution("the executor stops".to_owned())
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
