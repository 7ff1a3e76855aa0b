//! Unnests a list without copying its elements: they lie one behind the other in Arrow's lists, so a slice of them is the
//! column of the result. DataFusion's operator copies the elements, with all that is nested in them, at each level.
//! docs/history/performance.md has the figures.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::NullHandling;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
    ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::sort::KeySort;

/// An optimizer rule that replaces unnests of one list by [`SlicingUnnest`]. It must come after the rule for sorts.
///
/// It replaces only those whose rows go to a [`KeySort`] or to the output straight away. Joins, aggregates and
/// DataFusion's sorts count the memory of a slice as that of all it is cut from, and would run out of it too early.
#[derive(Debug)]
pub(super) struct SliceElements;

impl PhysicalOptimizerRule for SliceElements {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        slicing(plan)
    }

    fn name(&self) -> &'static str {
        "slice_elements"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn slicing(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let hands_on = plan.is::<KeySort>()
        || plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<UnionExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<UnnestExec>();
    if !hands_on || plan.children().is_empty() {
        return Ok(plan);
    }
    let children = plan.children().into_iter().map(|child| slicing(Arc::clone(child)));
    let children = children.collect::<Result<Vec<_>>>()?;
    let changed = plan
        .children()
        .iter()
        .zip(&children)
        .any(|(one, other)| !Arc::ptr_eq(one, other));
    let plan = if changed {
        // A sliced list has the properties of the list.
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        plan.replace_children(children, options)?
    } else {
        plan
    };
    Ok(match SlicingUnnest::instead_of(&plan) {
        Some(unnest) => Arc::new(unnest),
        None => plan,
    })
}

/// Makes a row of each element of one list; a row whose list is null or empty gives none.
#[derive(Debug)]
pub(super) struct SlicingUnnest {
    /// The operator in whose place it stands.
    node: Arc<dyn ExecutionPlan>,
    /// The position of the list among the columns.
    list: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl SlicingUnnest {
    fn instead_of(node: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let unnest = node.downcast_ref::<UnnestExec>()?;
        let [list] = unnest.list_column_indices() else {
            return None;
        };
        let plain = unnest.struct_column_indices().is_empty()
            && list.depth == 1
            && unnest.options().null_handling == NullHandling::Drop
            && matches!(
                unnest.input().schema().field(list.index_in_input_schema).data_type(),
                DataType::List(_)
            );
        plain.then(|| Self {
            node: Arc::clone(node),
            list: list.index_in_input_schema,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for SlicingUnnest {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = self.node.children()[0].schema();
        write!(f, "SlicingUnnest: {}", input.field(self.list).name())
    }
}

impl ExecutionPlan for SlicingUnnest {
    fn name(&self) -> &'static str {
        "SlicingUnnest"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.node.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.node.input_distribution_requirements()
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
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Arc::new(Self {
            node: Arc::clone(&self.node).replace_children(children, options)?,
            list: self.list,
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
        let rows = context.session_config().batch_size();
        let input = input.execute(partition, context)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (schema, list) = (self.schema(), self.list);
        let pieces = input.map_ok(move |batch| {
            let metrics = metrics.clone();
            let mut elements = Elements {
                schema: Arc::clone(&schema),
                batch,
                list,
                rows,
                row: 0,
                taken: 0,
            };
            stream::iter(std::iter::from_fn(move || {
                let _timer = metrics.elapsed_compute().timer();
                let next = elements.next().transpose()?;
                metrics.record_output(next.as_ref().map_or(0, RecordBatch::num_rows));
                Some(next)
            }))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            pieces.try_flatten().boxed(),
        )))
    }
}

/// The elements of one batch that are still to come.
struct Elements {
    schema: SchemaRef,
    batch: RecordBatch,
    list: usize,
    /// The most rows of a piece.
    rows: usize,
    /// The next row of the batch, and how many elements of its list are taken already.
    row: usize,
    taken: usize,
}

impl Elements {
    /// The next piece, of at most so many rows.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let lists = self.batch.column(self.list).as_list::<i32>();
        let offsets = lists.value_offsets();
        let mut owners: Vec<u32> = Vec::new();
        let mut first = 0;
        while self.row < lists.len() && owners.len() < self.rows {
            let (start, end) = (
                position(offsets[self.row]) + self.taken,
                position(offsets[self.row + 1]),
            );
            // What a null list may hold is no element.
            if start >= end || lists.is_null(self.row) {
                self.row += 1;
                self.taken = 0;
                continue;
            }
            if owners.is_empty() {
                first = start;
            } else if start != first + owners.len() {
                break;
            }
            let count = (end - start).min(self.rows - owners.len());
            let owner = u32::try_from(self.row).unwrap_or(u32::MAX);
            owners.extend(std::iter::repeat_n(owner, count));
            self.taken += count;
        }
        if owners.is_empty() {
            return Ok(None);
        }
        let elements = lists.values().slice(first, owners.len());
        let owners = UInt32Array::from(owners);
        let columns = self.batch.columns().iter().enumerate().map(|(at, column)| {
            if at == self.list {
                Ok(Arc::clone(&elements))
            } else {
                take(column, &owners, None)
            }
        });
        let columns: Vec<ArrayRef> = columns.collect::<std::result::Result<_, _>>()?;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

fn position(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int32Array, ListArray, StringArray};
    use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
    use datafusion::arrow::compute::concat_batches;
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::common::UnnestOptions;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::physical_plan::unnest::ListUnnest;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use proptest::prelude::*;

    use super::*;

    /// Batches of lists. A list may be null over elements that it does not show, and a batch may start within its arrays.
    fn batches(lists: &[(bool, usize)], skipped: usize) -> Vec<RecordBatch> {
        let item = Arc::new(Field::new("item", DataType::Int32, true));
        let offsets = OffsetBuffer::from_lengths(lists.iter().map(|(_, length)| *length));
        let total = i32::try_from(lists.iter().map(|(_, length)| length).sum::<usize>()).unwrap();
        let values: Int32Array = (0..total).map(|value| (value % 7 != 3).then_some(value)).collect();
        let nulls: NullBuffer = lists.iter().map(|(valid, _)| *valid).collect();
        let array = ListArray::try_new(Arc::clone(&item), offsets, Arc::new(values), Some(nulls)).unwrap();
        let ids: StringArray = (0..lists.len()).map(|row| Some(row.to_string())).collect();
        let schema = Schema::new(vec![
            Field::new("id", DataType::Utf8, true),
            Field::new("list", DataType::List(item), true),
        ]);
        let whole = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(array)]).unwrap();
        let skipped = skipped.min(lists.len());
        let half = skipped / 2;
        vec![
            whole.slice(half, skipped - half),
            whole.slice(skipped, lists.len() - skipped),
        ]
    }

    fn plan(batches: &[RecordBatch]) -> Arc<dyn ExecutionPlan> {
        let schema = batches[0].schema();
        let output = Schema::new(vec![
            Field::new("id", DataType::Utf8, true),
            Field::new("list", DataType::Int32, true),
        ]);
        let input = MemorySourceConfig::try_new_exec(&[batches.to_vec()], schema, None).unwrap();
        let list = ListUnnest {
            index_in_input_schema: 1,
            depth: 1,
        };
        let options = UnnestOptions::new().with_preserve_nulls(false);
        Arc::new(UnnestExec::new(input, vec![list], Vec::new(), Arc::new(output), options).unwrap())
    }

    fn rows(plan: Arc<dyn ExecutionPlan>, most: usize) -> RecordBatch {
        let context = SessionContext::new_with_config(SessionConfig::new().with_batch_size(most));
        let schema = plan.schema();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pieces = runtime
            .block_on(datafusion::physical_plan::collect(plan, context.task_ctx()))
            .unwrap();
        assert!(pieces.iter().all(|piece| (1..=most).contains(&piece.num_rows())));
        concat_batches(&schema, &pieces).unwrap()
    }

    proptest! {
        #[test]
        fn gives_the_rows_that_datafusion_gives(
            lists in prop::collection::vec((any::<bool>(), 0_usize..6), 0..40),
            skipped in 0_usize..20,
            most in 1_usize..9,
        ) {
            let batches = batches(&lists, skipped);
            let expected = rows(plan(&batches), most);
            let slicing = slicing(plan(&batches)).unwrap();
            prop_assert!(slicing.is::<SlicingUnnest>());
            prop_assert_eq!(rows(slicing, most), expected);
        }
    }

    #[test]
    fn elements_are_not_copied() {
        let batches = batches(&[(true, 3), (true, 4)], 0);
        let list = batches[1].column(1).as_list::<i32>().values().to_data();
        let unnested = rows(slicing(plan(&batches[1..])).unwrap(), 100);
        assert_eq!(
            unnested.column(1).to_data().buffers()[0].as_ptr(),
            list.buffers()[0].as_ptr()
        );
    }
}
