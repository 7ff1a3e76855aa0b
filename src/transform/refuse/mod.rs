//! Refuses the rows for which an expression fails (a cast, a date function, a division by zero), so that the rest of the
//! batch loads. DataFusion alone fails the whole batch without saying which record it was.
//!
//! Projections and filters that keep rows apart are replaced by [`Refusing`]. A row that fails goes on with nulls in
//! place of what failed, and with a mark in place of its record's number. So each row that the transform would have
//! produced is counted, also where a list is unnested later, and its keys are known. Marked rows pass all filters.
//! [`Failed::restore`] turns the marks into misfits. Where rows are joined, aggregated or cut by a LIMIT, a row can't
//! be taken out without a trace in others. There the batch fails, with the record where it is known.

mod evaluate;
mod failed;
mod fault;
mod operator;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

use super::row_checks;
use super::sort::KeySort;
use crate::model::RECORD_COLUMN;
pub use failed::Failed;
use failed::record_column;
use operator::{Labels, Policy, RECOMPUTED, Refusing};

/// Replaces the projections and filters of a plan in which an expression may fail.
pub(super) fn refusing(plan: Arc<dyn ExecutionPlan>, failed: &Failed) -> Result<Arc<dyn ExecutionPlan>> {
    let walk = Walk { failed };
    let schema = plan.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let labels = names.map(|name| (name.clone(), name)).collect();
    Ok(walk.down(plan, record_column, &labels)?.plan)
}

struct Walk<'a> {
    failed: &'a Failed,
}

struct Walked {
    plan: Arc<dyn ExecutionPlan>,
    /// Whether rows of it may be marked.
    marks: bool,
}

/// Where a plan's output has the record that a mark may replace, if a mark gets from there to the output of all.
type Reaches = fn(&Schema) -> Option<usize>;

impl Walk<'_> {
    fn down(&self, plan: Arc<dyn ExecutionPlan>, reaches: Reaches, labels: &Labels) -> Result<Walked> {
        let marking = reaches(&plan.schema()).is_some();
        let below: Reaches = if marking && keeps_rows_apart(&plan) {
            record_column
        } else {
            |_| None
        };
        let before: Vec<Arc<dyn ExecutionPlan>> = plan.children().into_iter().cloned().collect();
        let (mut children, mut marks, mut changed) = (Vec::with_capacity(before.len()), false, false);
        let labels_below = match plan.downcast_ref::<ProjectionExec>() {
            Some(projection) => labels_below(projection, labels)?,
            None => labels.clone(),
        };
        for child in before {
            let walked = self.down(Arc::clone(&child), below, &labels_below)?;
            changed |= !Arc::ptr_eq(&child, &walked.plan);
            marks |= walked.marks;
            children.push(walked.plan);
        }
        let plan = if changed {
            plan.replace_children(children, RECOMPUTED)?
        } else {
            plan
        };
        let policy = if marking { Policy::Refuse } else { Policy::Fail };
        match Refusing::instead_of(&plan, policy, marks, labels, self.failed) {
            Some(refusing) => Ok(Walked {
                plan: Arc::new(refusing),
                marks: marks || marking,
            }),
            None => Ok(Walked { plan, marks }),
        }
    }
}

/// The labels of a projection's input: a column that only one of its outputs needs is made for that one. Outputs that are
/// no columns of the entity, such as those of checks, count only where no other needs it.
fn labels_below(projection: &ProjectionExec, labels: &Labels) -> Result<Labels> {
    let mut needed: HashMap<String, Option<String>> = HashMap::new();
    for output in projection.expr() {
        let label = labels.get(&output.alias);
        output.expr.apply(|part| {
            if let Some(column) = part.downcast_ref::<Column>() {
                let known = needed.entry(column.name().to_owned()).or_insert_with(|| label.cloned());
                let own = |label: &str| label.starts_with('_');
                match (known.as_deref(), label) {
                    (Some(known), Some(label)) if known == label || own(label) => {}
                    (Some(this), Some(label)) if own(this) => *known = Some(label.clone()),
                    // An expression that several outputs share: the first stands for all.
                    _ if column.name().starts_with("__") => {}
                    _ => *known = None,
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let known = |(name, label): (String, Option<String>)| Some((name, label?));
    Ok(needed.into_iter().filter_map(known).collect())
}

/// Whether each row of the operator's output comes from one row of its input, with that row's record, and no row
/// decides what comes of another.
fn keeps_rows_apart(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let mut columns = projection.expr().iter().filter(|one| one.alias == RECORD_COLUMN);
        return columns.any(|one| {
            one.expr
                .downcast_ref::<Column>()
                .is_some_and(|column| column.name() == RECORD_COLUMN)
        });
    }
    let windows = match (
        node.downcast_ref::<BoundedWindowAggExec>(),
        node.downcast_ref::<WindowAggExec>(),
    ) {
        (Some(window), _) => Some(window.window_expr()),
        (_, Some(window)) => Some(window.window_expr()),
        _ => None,
    };
    if let Some(windows) = windows {
        return windows.iter().all(|one| row_checks::numbers_duplicates(one.name()));
    }
    node.fetch().is_none()
        && (node.is::<FilterExec>()
            || node.is::<KeySort>()
            || node.is::<SortExec>()
            || node.is::<SortPreservingMergeExec>()
            || node.is::<UnnestExec>()
            || node.is::<UnionExec>()
            || node.is::<CooperativeExec>()
            || node.is::<CoalescePartitionsExec>())
}
