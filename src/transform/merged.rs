//! Carries the marks of failed rows through where rows are merged (DISTINCT, GROUP BY), and brings the expressions there to
//! where a row that fails can be told: into a projection below.
//!
//! Of DISTINCT, and of GROUP BY without aggregates, a failed row is a row of its own, which is refused. Of aggregates, the row
//! of its group is refused, since its values lack one. What a query returns otherwise never changes.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, Spans};
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::logical_plan::{Aggregate, Distinct, Projection, Window};
use datafusion::logical_expr::{Case, Expr, LogicalPlan, Operator};

use super::marks::mark;
use crate::model::RECORD_COLUMN;

/// Whether a row may fail in a plan, or above it in these expressions. What is not known to be safe counts as one that may.
pub(super) fn may_fail<'a>(plan: &LogicalPlan, above: impl IntoIterator<Item = &'a Expr>) -> Result<bool> {
    let mut found = above.into_iter().any(fails);
    plan.apply(|node| {
        found |= node.expressions().iter().any(fails);
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    Ok(found)
}

fn fails(expression: &Expr) -> bool {
    let part = |part: &Expr| {
        Ok(match part {
            Expr::Cast(_) | Expr::Negative(_) | Expr::HigherOrderFunction(_) => true,
            Expr::ScalarFunction(call) => call.func.name() != "get_field",
            Expr::BinaryExpr(binary) => matches!(
                binary.op,
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
            ),
            _ => false,
        })
    };
    expression.exists(part).unwrap_or(true)
}

/// DISTINCT over rows that carry records, in the place of one without: of `columns` and the mark.
pub(super) fn distinct(input: LogicalPlan, columns: Vec<Column>, record: &Column) -> Result<LogicalPlan> {
    let columns = columns.into_iter().map(Expr::Column).chain([marked(record)]).collect();
    let input = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?);
    Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(input))))
}

/// The mark of a row under the name of its record.
fn marked(record: &Column) -> Expr {
    mark(Expr::Column(record.clone())).alias_qualified(record.relation.clone(), RECORD_COLUMN)
}

/// GROUP BY over rows that carry records; `None` where it has several sets of groups and no aggregate.
pub(super) fn aggregate(node: &Aggregate, input: LogicalPlan, record: &Column) -> Result<Option<LogicalPlan>> {
    let is_set = |group: &Expr| matches!(group, Expr::GroupingSet(_));
    if node.aggr_expr.is_empty() && node.group_expr.iter().any(is_set) {
        return Ok(None);
    }
    let mut pulled = Pulled::above(&input);
    let mut groups = Vec::with_capacity(node.group_expr.len() + 1);
    for group in &node.group_expr {
        groups.push(if is_set(group) {
            group.clone()
        } else {
            pulled.named(group, |pulled, group| pulled.pull(group, None))
        });
    }
    let mut aggregates = Vec::with_capacity(node.aggr_expr.len() + 1);
    for aggregate in &node.aggr_expr {
        aggregates.push(pulled.named(aggregate, Pulled::of_aggregate));
    }
    if aggregates.is_empty() {
        groups.push(marked(record));
    } else {
        let failed = max(mark(Expr::Column(record.clone())));
        aggregates.push(failed.alias_qualified(record.relation.clone(), RECORD_COLUMN));
    }
    let input = Arc::new(pulled.below(input)?);
    Ok(Some(LogicalPlan::Aggregate(Aggregate::try_new(
        input, groups, aggregates,
    )?)))
}

/// A window over rows that carry records.
pub(super) fn window(node: &Window, input: LogicalPlan) -> Result<LogicalPlan> {
    let mut pulled = Pulled::above(&input);
    let mut windows = Vec::with_capacity(node.window_expr.len());
    for window in &node.window_expr {
        windows.push(pulled.named(window, Pulled::of_window));
    }
    let input = Arc::new(pulled.below(input)?);
    Ok(LogicalPlan::Window(Window::try_new(windows, input)?))
}

/// Expressions that are computed in a projection below a node, each under a name of its own.
struct Pulled {
    expressions: Vec<Expr>,
    /// The number of the first. The input may have some by the same way.
    first: usize,
}

impl Pulled {
    fn above(input: &LogicalPlan) -> Self {
        Self {
            expressions: Vec::new(),
            first: input.schema().fields().len(),
        }
    }

    /// An expression that stays, with the name that its column has.
    fn named(&mut self, expression: &Expr, change: impl FnOnce(&mut Self, Expr) -> Expr) -> Expr {
        let before = self.expressions.len();
        let (relation, name) = expression.qualified_name();
        let changed = change(self, expression.clone());
        if self.expressions.len() == before {
            changed
        } else {
            changed.alias_qualified(relation, name)
        }
    }

    /// A column in the place of an expression that may fail. Of a FILTER, it is computed only for the rows that it lets
    /// through.
    fn pull(&mut self, expression: Expr, filter: Option<&Expr>) -> Expr {
        if !fails(&expression) || !expression.any_column_refs() || filter.is_some_and(asks_another_query) {
            return expression;
        }
        let name = format!("__merged_{}", self.first + self.expressions.len());
        let mut column = Column::new_unqualified(&name);
        column.spans = spans(&expression);
        let mut expression = expression.unalias();
        if let Some(filter) = filter {
            let case = Case::new(None, vec![(Box::new(filter.clone()), Box::new(expression))], None);
            expression = Expr::Case(case);
        }
        self.expressions.push(expression.alias(name));
        Expr::Column(column)
    }

    fn pull_all(&mut self, expressions: Vec<Expr>, filter: Option<&Expr>) -> Vec<Expr> {
        expressions.into_iter().map(|one| self.pull(one, filter)).collect()
    }

    fn sorts(&mut self, sorts: Vec<Sort>, filter: Option<&Expr>) -> Vec<Sort> {
        let one = |sort: Sort| Sort {
            expr: self.pull(sort.expr, filter),
            ..sort
        };
        sorts.into_iter().map(one).collect()
    }

    /// The condition itself is computed for every row.
    fn filter(&mut self, filter: Option<Box<Expr>>) -> Option<Box<Expr>> {
        let filter = *filter?;
        Some(Box::new(if asks_another_query(&filter) {
            filter
        } else {
            self.pull(filter, None)
        }))
    }

    fn of_aggregate(&mut self, expression: Expr) -> Expr {
        match expression {
            Expr::Alias(mut alias) => {
                *alias.expr = self.of_aggregate(*alias.expr);
                Expr::Alias(alias)
            }
            // Its arguments are those of GROUP BY.
            Expr::AggregateFunction(call) if call.func.name() == "grouping" => Expr::AggregateFunction(call),
            Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
                let filter = params.filter.as_deref();
                params.args = self.pull_all(params.args, filter);
                params.order_by = self.sorts(params.order_by, filter);
                params.filter = self.filter(params.filter);
                Expr::AggregateFunction(AggregateFunction { func, params })
            }
            other => other,
        }
    }

    fn of_window(&mut self, expression: Expr) -> Expr {
        match expression {
            Expr::Alias(mut alias) => {
                *alias.expr = self.of_window(*alias.expr);
                Expr::Alias(alias)
            }
            Expr::WindowFunction(mut call) => {
                let params = &mut call.params;
                let filter = params.filter.as_deref();
                params.args = self.pull_all(std::mem::take(&mut params.args), filter);
                params.filter = self.filter(params.filter.take());
                params.partition_by = self.pull_all(std::mem::take(&mut params.partition_by), None);
                params.order_by = self.sorts(std::mem::take(&mut params.order_by), None);
                Expr::WindowFunction(call)
            }
            other => other,
        }
    }

    /// The input with these expressions.
    fn below(self, input: LogicalPlan) -> Result<LogicalPlan> {
        if self.expressions.is_empty() {
            return Ok(input);
        }
        let columns = input.schema().columns().into_iter().map(Expr::Column);
        let columns = columns.chain(self.expressions).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?))
    }
}

/// Whether an expression holds a subquery.
fn asks_another_query(expression: &Expr) -> bool {
    let part = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
        ))
    };
    expression.exists(part).unwrap_or(true)
}

/// The place of an expression, as that of its first column.
fn spans(expression: &Expr) -> Spans {
    let mut found = Spans::new();
    let _ = expression.apply(|part| {
        if let Some(spans) = part.spans().filter(|spans| spans.first().is_some()) {
            found = spans.clone();
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
