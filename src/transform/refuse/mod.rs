//! Refuses the rows for which an expression fails (a cast, a date function, a division by zero), so that the rest of the
//! batch loads. DataFusion alone fails the whole batch without saying which record it was.
//!
//! Projections and filters that keep rows apart are replaced by [`Refusing`]. A row that fails goes on with nulls in
//! place of what failed, and with a mark in place of its record's number. So each row that the transform would have
//! produced is counted, also where a list is unnested later, and its keys are known. Marked rows pass all filters.
//! [`Failed::restore`] turns the marks into misfits. Where rows are joined, numbered or cut by a LIMIT, a row can't be taken
//! out without a trace in others. There the batch fails, with the record where it is known. DISTINCT and GROUP BY carry marks
//! on (see `merged`); but where what failed is a key by which rows are aggregated, its group is unknown, and the batch fails.

mod evaluate;
mod failed;
mod fault;
mod operator;
mod outputs;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

use super::row_checks;
use super::sort::KeySort;
use crate::model::RECORD_COLUMN;
pub use failed::Failed;
use failed::record_column;
use operator::{Policy, RECOMPUTED, Refusing};
use outputs::{Keys, Labels};

/// Replaces the projections and filters of a plan in which an expression may fail.
pub(super) fn refusing(plan: Arc<dyn ExecutionPlan>, failed: &Failed) -> Result<Arc<dyn ExecutionPlan>> {
    let walk = Walk { failed };
    let schema = plan.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let labels = names.map(|name| (name.clone(), name)).collect();
    Ok(walk.down(plan, carries_record, &labels, &Keys::new())?.plan)
}

struct Walk<'a> {
    failed: &'a Failed,
}

struct Walked {
    plan: Arc<dyn ExecutionPlan>,
    /// Whether rows of it may be marked.
    marks: bool,
}

/// Whether a plan's output has the record that a mark may replace, and a mark gets from there to the output of all.
type Reaches = fn(&Arc<dyn ExecutionPlan>) -> bool;

/// Whether a plan's output has the record, or, below another aggregate, what that makes the mark of.
fn carries_record(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_partial = |aggregate: &AggregateExec| {
        aggregate.mode() == &AggregateMode::Partial
            && aggregate.aggr_expr().iter().any(|one| one.name() == RECORD_COLUMN)
    };
    record_column(&plan.schema()).is_some() || plan.downcast_ref::<AggregateExec>().is_some_and(is_partial)
}

impl Walk<'_> {
    fn down(&self, plan: Arc<dyn ExecutionPlan>, reaches: Reaches, labels: &Labels, keys: &Keys) -> Result<Walked> {
        let marking = reaches(&plan);
        let below: Reaches = if marking && keeps_rows_apart(&plan) {
            carries_record
        } else {
            |_| false
        };
        let before: Vec<Arc<dyn ExecutionPlan>> = plan.children().into_iter().cloned().collect();
        let (mut children, mut marks, mut changed) = (Vec::with_capacity(before.len()), false, false);
        let outputs = outputs::of(&plan);
        let labels_below = match &outputs {
            Some(outputs) => outputs::labels_below(outputs, labels)?,
            None => labels.clone(),
        };
        for child in before {
            let keys_below = outputs::keys_below(&plan, outputs.as_deref(), keys, &child.schema())?;
            let walked = self.down(Arc::clone(&child), below, &labels_below, &keys_below)?;
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
        match Refusing::instead_of(&plan, policy, marks, labels, keys, self.failed) {
            Some(refusing) => Ok(Walked {
                plan: Arc::new(refusing),
                marks: marks || marking,
            }),
            None => Ok(Walked { plan, marks }),
        }
    }
}

/// Whether each row of the operator's output comes from one row of its input, with that row's record, and no row
/// decides what comes of another; or whether it carries on the marks of the rows that it merges.
fn keeps_rows_apart(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let mut columns = projection.expr().iter().filter(|one| one.alias == RECORD_COLUMN);
        return columns.any(|one| outputs::is_record(&one.expr));
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        // The column is there only where `merged` has put it.
        return aggregate.limit_options().is_none() && carries_record(node);
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
            || outputs::unnests(node)
            || node.is::<UnionExec>()
            || node.is::<CooperativeExec>()
            || node.is::<CoalescePartitionsExec>())
}
