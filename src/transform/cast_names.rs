//! Tells aggregates and windows apart that differ in a cast only, such as `sum(n)` and `sum(cast(n as int))`. DataFusion
//! names a column without the casts in its expression, and refuses two columns of one name.

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};

/// Names the parts of an aggregate or a window that hold a cast. It leaves the planning to DataFusion.
#[derive(Debug)]
pub(super) struct CastNames;

impl ExprPlanner for CastNames {
    fn plan_aggregate(&self, call: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        Ok(PlannerResult::Original(RawAggregateExpr {
            args: all(call.args),
            filter: call.filter.map(|filter| Box::new(named(*filter))),
            order_by: sorts(call.order_by),
            ..call
        }))
    }

    fn plan_window(&self, call: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        Ok(PlannerResult::Original(RawWindowExpr {
            args: all(call.args),
            partition_by: all(call.partition_by),
            order_by: sorts(call.order_by),
            // Its name tells the filter with its casts.
            ..call
        }))
    }
}

fn all(expressions: Vec<Expr>) -> Vec<Expr> {
    expressions.into_iter().map(named).collect()
}

fn sorts(sorts: Vec<Sort>) -> Vec<Sort> {
    let one = |sort: Sort| Sort {
        expr: named(sort.expr),
        ..sort
    };
    sorts.into_iter().map(one).collect()
}

/// The expression, under a name that tells its casts where it has some.
fn named(expression: Expr) -> Expr {
    let casts = |part: &Expr| Ok(matches!(part, Expr::Cast(_) | Expr::TryCast(_)));
    if expression.exists(casts).unwrap_or(false) {
        let name = expression.to_string();
        expression.alias(name)
    } else {
        expression
    }
}
