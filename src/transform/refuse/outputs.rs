//! Follows columns down through projections and aggregates: for which column of the entity each is made, and which of them
//! tell the groups of an aggregate apart.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;

use crate::model::RECORD_COLUMN;
use crate::transform::marks;
use crate::transform::unnest::SlicingUnnest;

/// The column of the entity for which a column of a plan is made, by the latter's name.
pub(super) type Labels = HashMap<String, String>;

/// The columns by which rows above are put into the groups of an aggregate. A row that fails in one of them has no group.
pub(super) type Keys = HashSet<String>;

/// A column of an operator's output, and what it is made of.
pub(super) struct Output {
    name: String,
    parts: Vec<Arc<dyn PhysicalExpr>>,
    /// Whether it tells groups apart.
    is_group: bool,
}

/// The outputs of a projection or an aggregate; `None` of other operators, whose outputs have the names of their inputs.
pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Vec<Output>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let output = |one: &datafusion::physical_plan::projection::ProjectionExpr| Output {
            name: one.alias.clone(),
            parts: vec![Arc::clone(&one.expr)],
            is_group: false,
        };
        return Some(projection.expr().iter().map(output).collect());
    }
    let aggregate = plan.downcast_ref::<AggregateExec>()?;
    if matches!(aggregate.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned) {
        // It merges what another has made under the same names.
        return None;
    }
    let merges = !aggregate.aggr_expr().is_empty();
    let groups = aggregate.group_expr().expr().iter().map(|(part, name)| Output {
        name: name.clone(),
        parts: vec![Arc::clone(part)],
        is_group: merges,
    });
    let aggregates = aggregate.aggr_expr().iter().zip(aggregate.filter_expr());
    let aggregates = aggregates.map(|(one, filter)| Output {
        name: one.name().to_owned(),
        parts: one.expressions().into_iter().chain(filter.clone()).collect(),
        is_group: false,
    });
    Some(groups.chain(aggregates).collect())
}

/// The labels of an operator's input: a column that only one of its outputs needs is made for that one. Outputs that are
/// no columns of the entity, such as those of checks, count only where no other needs it.
pub(super) fn labels_below(outputs: &[Output], labels: &Labels) -> Result<Labels> {
    let mut needed: HashMap<String, Option<String>> = HashMap::new();
    for (output, part) in parts(outputs) {
        let label = labels.get(&output.name);
        part.apply(|part| {
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

fn parts(outputs: &[Output]) -> impl Iterator<Item = (&Output, &Arc<dyn PhysicalExpr>)> {
    outputs
        .iter()
        .flat_map(|output| output.parts.iter().map(move |part| (output, part)))
}

/// The keys among the columns of an operator's input, which has this schema.
pub(super) fn keys_below(
    plan: &Arc<dyn ExecutionPlan>,
    outputs: Option<&[Output]>,
    keys: &Keys,
    input: &Schema,
) -> Result<Keys> {
    if let Some(outputs) = outputs {
        let mut below = Keys::new();
        for (output, part) in parts(outputs) {
            if !output.is_group && !keys.contains(&output.name) {
                continue;
            }
            part.apply(|part| {
                if let Some(column) = part.downcast_ref::<Column>() {
                    below.insert(column.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        return Ok(below);
    }
    // These have other names below.
    if !keys.is_empty() && (unnests(plan) || plan.is::<UnionExec>()) {
        return Ok(input.fields().iter().map(|field| field.name().clone()).collect());
    }
    Ok(keys.clone())
}

/// Whether an operator makes rows of the elements of lists.
pub(super) fn unnests(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<UnnestExec>() || plan.is::<SlicingUnnest>()
}

/// Whether an expression is a row's record, or its mark.
pub(super) fn is_record(expression: &Arc<dyn PhysicalExpr>) -> bool {
    if let Some(function) = expression.downcast_ref::<ScalarFunctionExpr>()
        && function.name() == marks::FUNCTION
    {
        return function.args().iter().all(is_record);
    }
    expression
        .downcast_ref::<Column>()
        .is_some_and(|column| column.name() == RECORD_COLUMN)
}
