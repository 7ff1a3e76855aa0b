//! Carries the hidden column `_record` through a user's plan, so that each row keeps the number of its record
//! although the SQL does not mention it. Where a row stands for several records (aggregates, DISTINCT), only the mark of one
//! that failed goes on. A query's own result never changes.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, Result};
use datafusion::datasource::{empty::EmptyTable, provider_as_source};
use datafusion::logical_expr::logical_plan::{
    Aggregate, Distinct, Join, Projection, SubqueryAlias, TableScanBuilder, Union, Window,
};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::inputs::Inputs;
use super::merged;
use crate::model::RECORD_COLUMN;

/// A plan, and the column of its output that holds each row's record, if there is one.
type Threaded = (LogicalPlan, Option<Column>);

/// Rewrites `plan` (as made by the SQL planner, before optimization) so that it carries `_record`.
///
/// `full` is the source's tables with `_record` as their last column.
pub(super) fn thread(plan: LogicalPlan, full: &Inputs) -> Result<Threaded> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let Some((_, input)) = full.of_scan(&scan) else {
                return Ok((LogicalPlan::TableScan(scan), None));
            };
            let relation = scan.table_name.clone();
            let source = provider_as_source(Arc::new(EmptyTable::new(Arc::clone(&input.schema))));
            let scan = TableScanBuilder::new(relation.clone(), source).build()?;
            Ok((
                LogicalPlan::TableScan(scan),
                Some(Column::new(Some(relation), RECORD_COLUMN)),
            ))
        }
        LogicalPlan::SubqueryAlias(node) => {
            let (input, record) = thread(Arc::unwrap_or_clone(node.input), full)?;
            let record = record.map(|_| Column::new(Some(node.alias.clone()), RECORD_COLUMN));
            let alias = SubqueryAlias::try_new(Arc::new(input), node.alias)?;
            Ok((LogicalPlan::SubqueryAlias(alias), record))
        }
        LogicalPlan::Projection(node) => {
            let (input, record) = thread(Arc::unwrap_or_clone(node.input), full)?;
            let mut expressions = node.expr;
            expressions.extend(record.clone().map(Expr::Column));
            Ok((
                LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(input))?),
                record,
            ))
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Unnest(_) => {
            let input = (*plan.inputs()[0]).clone();
            let (input, record) = thread(input, full)?;
            Ok((plan.with_new_exprs(plan.expressions(), vec![input])?, record))
        }
        LogicalPlan::Window(node) => window(&node, full),
        LogicalPlan::Distinct(Distinct::All(input)) => distinct(input, full),
        LogicalPlan::Aggregate(node) => aggregate(node, full),
        LogicalPlan::Join(node) => join(node, full),
        LogicalPlan::Union(node) => union(node, full),
        // A row of the output stands for several input rows, or for none, so its record is unknown.
        other => Ok((other, None)),
    }
}

fn window(node: &Window, full: &Inputs) -> Result<Threaded> {
    let (input, record) = thread(node.input.as_ref().clone(), full)?;
    Ok((merged::window(node, input)?, record))
}

/// Rows that can't fail are merged as they were.
fn distinct(input: Arc<LogicalPlan>, full: &Inputs) -> Result<Threaded> {
    if merged::may_fail(&input, [])?
        && let (threaded, Some(record)) = thread(input.as_ref().clone(), full)?
    {
        let distinct = merged::distinct(threaded, input.schema().columns(), &record)?;
        return Ok((distinct, Some(record)));
    }
    Ok((LogicalPlan::Distinct(Distinct::All(input)), None))
}

fn aggregate(node: Aggregate, full: &Inputs) -> Result<Threaded> {
    if merged::may_fail(&node.input, node.group_expr.iter().chain(&node.aggr_expr))?
        && let (input, Some(record)) = thread(node.input.as_ref().clone(), full)?
        && let Some(merged) = merged::aggregate(&node, input, &record)?
    {
        return Ok((merged, Some(record)));
    }
    Ok((LogicalPlan::Aggregate(node), None))
}

fn join(node: Join, full: &Inputs) -> Result<Threaded> {
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    let (mut left, mut left_record) = (Arc::unwrap_or_clone(node.left), None);
    let (mut right, mut right_record) = (Arc::unwrap_or_clone(node.right), None);
    // The record of the preserved side is kept. Keeping both columns would be ambiguous.
    let only_right = node.join_type == Inner && !has_records(&left, full) && has_records(&right, full);
    if matches!(node.join_type, Inner | Left | Full | LeftSemi | LeftAnti | LeftMark) && !only_right {
        (left, left_record) = thread(left, full)?;
    }
    if left_record.is_none() && matches!(node.join_type, Inner | Right | RightSemi | RightAnti | RightMark) {
        (right, right_record) = thread(right, full)?;
    }
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        node.on,
        node.filter,
        node.join_type,
        node.join_constraint,
        node.null_equality,
        node.null_aware,
    )?;
    Ok((LogicalPlan::Join(joined), left_record.or(right_record)))
}

/// Whether the rows of a plan have records, and not only marks.
fn has_records(plan: &LogicalPlan, full: &Inputs) -> bool {
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    match plan {
        LogicalPlan::TableScan(scan) => full.of_scan(scan).is_some(),
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Union(_) => plan.inputs().into_iter().all(|input| has_records(input, full)),
        LogicalPlan::Join(node) => match node.join_type {
            Inner => has_records(&node.left, full) || has_records(&node.right, full),
            Left | Full | LeftSemi | LeftAnti | LeftMark => has_records(&node.left, full),
            Right | RightSemi | RightAnti | RightMark => has_records(&node.right, full),
        },
        _ => false,
    }
}

/// UNION ALL keeps the record if every branch has it. Branches match columns by position, so the column is the last
/// of each.
fn union(node: Union, full: &Inputs) -> Result<Threaded> {
    let mut branches = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let (branch, record) = thread(input.as_ref().clone(), full)?;
        let Some(record) = record else {
            return Ok((LogicalPlan::Union(node), None));
        };
        let columns = columns.into_iter().chain([Expr::Column(record)]).collect();
        branches.push(Arc::new(LogicalPlan::Projection(Projection::try_new(
            columns,
            Arc::new(branch),
        )?)));
    }
    let union = LogicalPlan::Union(Union::try_new_with_loose_types(branches)?);
    let record = union.schema().columns().pop();
    Ok((union, record))
}
