//! Sorts rows by binary keys that compare as the columns do (arrow-row), in runs of hundreds of thousands of rows.
//!
//! DataFusion's own sort compares several columns within batches of some thousand rows. For each run that it spills,
//! it then encodes the columns and merges hundreds of such batches, while the transform waits. This sort encodes the
//! columns once and sorts a run as a whole. Another thread writes the run while the next one fills. DataFusion merges
//! the runs. docs/history/performance.md has the figures.

mod order;
mod size;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::config::ConfigOptions;
use datafusion::common::internal_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::apply_expression_roots;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::streaming_merge::{SortedSpillFile, StreamingMergeBuilder};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, InputDistributionRequirements, PlanProperties,
    SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt, stream};

use order::Run;
use size::rows_size;

use super::memory::Share;

/// An optimizer rule that replaces sorts of a whole input in one partition by [`KeySort`]. Sorts with a row limit
/// stay with DataFusion.
#[derive(Debug)]
pub(super) struct SortByKeys;

impl PhysicalOptimizerRule for SortByKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let replaced = node.downcast_ref::<SortExec>().map(KeySort::instead_of).transpose()?;
            Ok(match replaced.flatten() {
                Some(sort) => Transformed::yes(Arc::new(sort) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "sort_by_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Sorts all rows of an input with one partition.
#[derive(Debug)]
pub(super) struct KeySort {
    order: LexOrdering,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl KeySort {
    fn instead_of(sort: &SortExec) -> Result<Option<Self>> {
        let whole = sort.fetch().is_none() && sort.input().properties().partitioning.partition_count() == 1;
        if !whole || !RowConverter::supports_fields(&fields(sort.expr(), &sort.input().schema())?) {
            return Ok(None);
        }
        Ok(Some(Self {
            order: sort.expr().clone(),
            input: Arc::clone(sort.input()),
            properties: Arc::clone(sort.properties()),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }
}

fn fields(order: &LexOrdering, schema: &SchemaRef) -> Result<Vec<SortField>> {
    let field = |by: &PhysicalSortExpr| Ok(SortField::new_with_options(by.expr.data_type(schema)?, by.options));
    order.iter().map(field).collect()
}

impl DisplayAs for KeySort {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySort: expr=[{}]", self.order)
    }
}

impl ExecutionPlan for KeySort {
    fn name(&self) -> &'static str {
        "KeySort"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.order.iter().map(|by| &by.expr), f)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let sort = SortExec::new(self.order.clone(), children.swap_remove(0));
        Ok(match Self::instead_of(&sort)? {
            Some(sort) => Arc::new(sort),
            None => Arc::new(sort),
        })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let schema = self.schema();
        let sorter = Sorter::new(self, partition, &context)?;
        let rows = stream::once(sorter.sort(input)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// A run that is being written to disk, and the memory in bytes that it holds until then.
struct Writing {
    task: SpawnedTask<Result<Option<SortedSpillFile>>>,
    bytes: usize,
}

/// A batch of more than this part of a run is held even where it can't be reserved: its rows are in memory already, and
/// they are written at once.
const LARGE: usize = 8;

/// A run need not be larger than this, in bytes. Longer runs take longer to sort, since they do not fit into the processor's
/// caches, and save little of the merge. docs/history/performance.md has the figures.
const ENOUGH: usize = 24 << 20;

/// How many times a run's largest batch DataFusion sets aside to merge two runs: two read ahead of each, and a copy.
const MERGE_OF_TWO: usize = 8;

/// One sort under way.
struct Sorter {
    schema: SchemaRef,
    order: LexOrdering,
    converter: RowConverter,
    batch_size: usize,
    /// The size of a run in bytes that is possible at any time: half of the transform's own memory, since another run may
    /// be on its way to the disk. A run may be larger, see [`Self::is_full`].
    run_size: usize,
    run: Run,
    /// The size of the longest run so far in bytes, or of one that is possible at any time.
    longest: usize,
    /// The addresses of the buffers that the size of the run includes.
    counted: HashSet<usize>,
    /// The memory of the run that fills and of the one that is being written.
    held: MemoryReservation,
    writing: Option<Writing>,
    written: Vec<SortedSpillFile>,
    /// The least number of rows per batch among the written runs.
    fewest_rows: usize,
    /// `None` where there is no folder to spill to.
    spills: Option<SpillManager>,
    context: Arc<TaskContext>,
    metrics: BaselineMetrics,
}

impl Sorter {
    fn new(sort: &KeySort, partition: usize, context: &Arc<TaskContext>) -> Result<Self> {
        let schema = sort.schema();
        let runtime = context.runtime_env();
        let spill = SpillMetrics::new(&sort.metrics, partition);
        let spills = SpillManager::new(Arc::clone(&runtime), spill, Arc::clone(&schema));
        let run_size = match context.session_config().get_extension::<Share>() {
            Some(share) => share.0 / 2,
            None => limit(&runtime.memory_pool) / 2,
        };
        Ok(Self {
            converter: RowConverter::new(fields(&sort.order, &sort.input.schema())?)?,
            order: sort.order.clone(),
            batch_size: context.session_config().batch_size(),
            run_size,
            longest: run_size,
            run: Run::default(),
            counted: HashSet::new(),
            held: MemoryConsumer::new("KeySort")
                .with_can_spill(true)
                .register(&runtime.memory_pool),
            writing: None,
            written: Vec::new(),
            fewest_rows: usize::MAX,
            spills: runtime.disk_manager.tmp_files_enabled().then_some(spills),
            context: Arc::clone(context),
            metrics: BaselineMetrics::new(&sort.metrics, partition),
            schema,
        })
    }

    async fn sort(mut self, mut input: SendableRecordBatchStream) -> Result<SendableRecordBatchStream> {
        while let Some(batch) = input.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.take(batch).await?;
            }
        }
        // The input's memory is freed first, since the merge needs it.
        drop(input);
        self.end().await
    }

    async fn take(&mut self, batch: RecordBatch) -> Result<()> {
        let keys = {
            let _timer = self.metrics.elapsed_compute().timer();
            let columns = self
                .order
                .iter()
                .map(|by| by.expr.evaluate(&batch)?.into_array(batch.num_rows()));
            self.converter.convert_columns(&columns.collect::<Result<Vec<_>>>()?)?
        };
        let of_keys = keys.size() + batch.num_rows() * order::PER_ROW;
        let mut of_batch = rows_size(&batch, &mut self.counted);
        if self.is_full(of_batch + of_keys) && self.write().await? {
            of_batch = rows_size(&batch, &mut self.counted);
        }
        let bytes = of_batch + of_keys;
        while let Err(error) = self.held.try_grow(bytes) {
            // Memory is short before the run is full, because another operator holds much of it.
            if self.writing.is_some() {
                self.wait().await?;
            } else if !self.write().await? {
                if self.spills.is_none() || bytes < self.run_size / LARGE {
                    return Err(error);
                }
                self.run.push(batch, of_batch, keys);
                self.write().await?;
                return self.wait().await;
            }
        }
        self.run.push(batch, of_batch, keys);
        Ok(())
    }

    /// Whether the run is as large as it may be, before so many bytes more. Where the transform's own memory is small, it may
    /// be larger as long as there is memory to borrow.
    fn is_full(&self, more: usize) -> bool {
        let of_others = self.writing.as_ref().map_or(0, |writing| writing.bytes);
        let size = (self.held.size() - of_others).saturating_add(more);
        let lent = limit(&self.context.runtime_env().memory_pool) / 2;
        size > self.run_size.max(lent.min(ENOUGH))
    }

    /// Rows per batch of a sorted run. While runs are merged, at least one batch of each is in memory. The last run, which is
    /// seldom full, has batches as large as those before.
    fn batch_rows(&mut self) -> usize {
        self.longest = self.longest.max(self.run.size());
        self.run.rows_of(self.longest / 256).min(self.batch_size)
    }

    /// Starts to write the run on another thread. Returns false where the run is empty or there is no folder to spill
    /// to.
    async fn write(&mut self) -> Result<bool> {
        let Some(spills) = self.spills.clone().filter(|_| !self.run.is_empty()) else {
            return Ok(false);
        };
        self.wait().await?;
        let rows = self.batch_rows();
        let run = std::mem::take(&mut self.run);
        self.counted.clear();
        let (schema, elapsed) = (Arc::clone(&self.schema), self.metrics.elapsed_compute().clone());
        self.fewest_rows = self.fewest_rows.min(rows);
        let task = SpawnedTask::spawn_blocking(move || {
            let _timer = elapsed.timer();
            let mut file = spills.create_in_progress_file("KeySort")?;
            let mut largest = 0;
            for batch in run.sorted(schema, rows) {
                largest = largest.max(file.append_batch(&batch?)?);
            }
            let written = file.finish()?;
            Ok(written.map(|file| SortedSpillFile {
                file,
                max_record_batch_memory: largest,
            }))
        });
        let bytes = self.held.size();
        self.writing = Some(Writing { task, bytes });
        Ok(true)
    }

    /// Waits until the run that is being written is complete.
    async fn wait(&mut self) -> Result<()> {
        if let Some(Writing { task, bytes }) = self.writing.take() {
            self.written.extend(ended(task).await??);
            self.held.shrink(bytes);
        }
        Ok(())
    }

    async fn end(mut self) -> Result<SendableRecordBatchStream> {
        if self.written.is_empty() && self.writing.is_none() {
            return self.in_memory().await;
        }
        // The last run is written, too. Held in memory, it would leave the merge less memory than the runs had.
        self.write().await?;
        self.wait().await?;
        let Some(spills) = self.spills else {
            return internal_err!("rows were spilled without a disk");
        };
        let pool = &self.context.runtime_env().memory_pool;
        let largest = self.written.iter().map(|run| run.max_record_batch_memory).max();
        let needed = largest.unwrap_or(0).saturating_mul(MERGE_OF_TWO);
        // Rows as large as that are merged two runs at a time, whatever the share: there is no smaller batch of them.
        let pool: Arc<dyn MemoryPool> = if needed > self.run_size {
            Arc::new(GreedyMemoryPool::new(needed))
        } else {
            Arc::clone(pool)
        };
        StreamingMergeBuilder::new()
            .with_sorted_spill_files(self.written)
            .with_spill_manager(spills)
            .with_schema(self.schema)
            .with_expressions(&self.order)
            .with_metrics(self.metrics)
            // The merge holds the rows of its output batch. More rows than in the runs' batches might not fit into
            // the memory.
            .with_batch_size(self.fewest_rows)
            .with_reservation(MemoryConsumer::new("KeySort's merge").register(&pool))
            .build()
    }

    /// Returns all rows in order, where nothing was spilled.
    async fn in_memory(mut self) -> Result<SendableRecordBatchStream> {
        let rows = self.batch_rows();
        let (run, held, schema) = (self.run, self.held, Arc::clone(&self.schema));
        let elapsed = self.metrics.elapsed_compute().clone();
        let sorting = elapsed.clone();
        let mut sorted = ended(SpawnedTask::spawn_blocking(move || {
            let _timer = sorting.timer();
            run.sorted(schema, rows)
        }))
        .await?;
        let batches = std::iter::from_fn(move || {
            let (_held, _timer) = (&held, elapsed.timer());
            sorted.next()
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema,
            stream::iter(batches),
        )))
    }
}

/// The bytes that a pool can give now.
fn limit(pool: &Arc<dyn MemoryPool>) -> usize {
    match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => bytes,
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    }
}

/// What another thread's work came to; a panic there is one here.
async fn ended<T: Send + 'static>(task: SpawnedTask<T>) -> Result<T> {
    task.join_unwind()
        .await
        .map_err(|error| DataFusionError::External(Box::new(error)))
}
