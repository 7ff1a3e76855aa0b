//! Carries the hidden `_record` column through an analyst's plan, so that every row still knows the
//! record that it came from although the SQL never mentions it. Where a row stands for several
//! records (aggregates, DISTINCT) the column ends; it never changes what a query returns.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, Result};
use datafusion::datasource::{empty::EmptyTable, provider_as_source};
use datafusion::logical_expr::logical_plan::{Join, Projection, SubqueryAlias, TableScan, TableScanBuilder, Union};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::session::SOURCE_TABLE;
use crate::model::RECORD_COLUMN;
use datafusion::arrow::datatypes::SchemaRef;

/// Whether a scan is one of the batch's input.
pub(super) fn is_source(scan: &TableScan) -> bool {
    scan.table_name.table() == SOURCE_TABLE
}

/// A plan whose output carries the record of each row in the named column, where that survives.
type Threaded = (LogicalPlan, Option<Column>);

/// Rewrites `plan` (as the SQL planner made it, not optimized) so that `_record` travels along.
///
/// `full` is the source's schema with `_record` as its last column.
pub(super) fn thread(plan: LogicalPlan, full: &SchemaRef) -> Result<Threaded> {
    match plan {
        LogicalPlan::TableScan(scan) if is_source(&scan) => {
            let relation = scan.table_name.clone();
            let source = provider_as_source(Arc::new(EmptyTable::new(Arc::clone(full))));
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
        | LogicalPlan::Window(_)
        | LogicalPlan::Unnest(_) => {
            let input = (*plan.inputs()[0]).clone();
            let (input, record) = thread(input, full)?;
            Ok((plan.with_new_exprs(plan.expressions(), vec![input])?, record))
        }
        LogicalPlan::Join(node) => join(node, full),
        LogicalPlan::Union(node) => union(node, full),
        // One row out stands for several in, or comes from nowhere: the record is not known.
        other => Ok((other, None)),
    }
}

fn join(node: Join, full: &SchemaRef) -> Result<Threaded> {
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    let (mut left, mut left_record) = (Arc::unwrap_or_clone(node.left), None);
    let (mut right, mut right_record) = (Arc::unwrap_or_clone(node.right), None);
    // Of two records the one of the preserved side names the row; the other column would be ambiguous.
    if matches!(node.join_type, Inner | Left | Full | LeftSemi | LeftAnti | LeftMark) {
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

/// UNION ALL keeps the record where every branch has it; branches are told apart by position, so the
/// column goes last in each.
fn union(node: Union, full: &SchemaRef) -> Result<Threaded> {
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
