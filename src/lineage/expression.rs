//! Finds what an expression derives from, in terms of the columns that it reads. The condition of a CASE counts as
//! direct, because the value shows how the condition turned out.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};

use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunctionParams, Case, ScalarFunction, Sort, WindowFunctionParams};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, Subquery};

use super::Dependence;
use super::analysis::{Analysis, Scope};
use super::plan::is_sorted;
use super::shape::{Atom, Deps, Relation, Shape, traced};

impl Analysis<'_> {
    /// Everything that any of the expressions derives from.
    pub fn all_of<'e>(&self, expressions: impl IntoIterator<Item = &'e Expr>, scope: &Scope<'_>) -> Result<Deps> {
        let mut deps = Deps::default();
        for expression in expressions {
            deps.add(&self.expression(expression, scope)?.all());
        }
        Ok(deps)
    }

    pub fn all_of_sorts(&self, sorts: &[Sort], scope: &Scope<'_>) -> Result<Deps> {
        self.all_of(sorts.iter().map(|sort| &sort.expr), scope)
    }

    /// What a condition on rows derives from. That two columns `batch_date` are equal shows neither of them.
    pub fn condition(&self, condition: &Expr, scope: &Scope<'_>) -> Result<Deps> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else {
            return Ok(self.expression(condition, scope)?.all());
        };
        if *op == Operator::And {
            return Ok(self.condition(left, scope)?.and(&self.condition(right, scope)?));
        }
        let deps = self.expression(condition, scope)?.all();
        let equals = *op == Operator::Eq && self.is_batch_date(left, scope)? && self.is_batch_date(right, scope)?;
        Ok(if equals { deps.untraced() } else { deps })
    }

    /// Whether an expression is a column `batch_date` and nothing else.
    pub fn is_batch_date(&self, expression: &Expr, scope: &Scope<'_>) -> Result<bool> {
        Ok(match expression {
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => {
                self.expression(expression, scope)?.all().is_batch_date()
            }
            _ => false,
        })
    }

    /// What the value of an expression derives from.
    pub fn expression(&self, expression: &Expr, scope: &Scope<'_>) -> Result<Shape> {
        let shape = self.shape_of(expression, scope)?;
        Ok(match expression {
            Expr::Alias(_) => shape,
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => {
                let deps = shape.all();
                if deps.is_traced() {
                    let fields = deps.iter().filter_map(|(atom, _)| match atom {
                        Atom::Field(path) => Some(path.clone()),
                        _ => None,
                    });
                    self.mentioned.borrow_mut().extend(fields);
                }
                shape
            }
            _ => shape.computed(),
        })
    }

    fn shape_of(&self, expression: &Expr, scope: &Scope<'_>) -> Result<Shape> {
        Ok(match expression {
            Expr::Alias(alias) => self.expression(&alias.expr, scope)?,
            Expr::Column(column) => scope.column(column).unwrap_or_else(|| scope.everything()),
            Expr::OuterReferenceColumn(_, column) => scope.outer_column(column).unwrap_or_else(|| scope.everything()),
            Expr::Placeholder(placeholder) => Shape::Scalar(parameter(&placeholder.id)),
            Expr::Literal(..) | Expr::ScalarVariable(..) => Shape::constant(),
            // One that is unknown stands for elements of the list beside it, which then counts as a whole.
            Expr::LambdaVariable(variable) => self.variable(&variable.name),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => Shape::Scalar(self.expression(inner, scope)?.presence()),
            Expr::Case(case) => self.case(case, scope)?,
            Expr::ScalarFunction(function) => self.function(function, scope)?,
            Expr::HigherOrderFunction(function) => self.over_elements(expression, function, scope)?,
            Expr::AggregateFunction(function) => {
                let AggregateFunctionParams {
                    args,
                    distinct,
                    filter,
                    order_by,
                    null_treatment,
                } = &function.params;
                if *distinct {
                    self.use_each("an aggregate with DISTINCT", args, scope)?;
                }
                // The filter decides on this value alone, as the condition of a CASE does: `count(*) FILTER (WHERE x)`
                // tells x.
                let filter = self.all_of(filter.as_deref(), scope)?;
                let chosen = self.all_of_sorts(order_by, scope)?.indirect().and(&filter);
                let chosen = in_order(function.func.name(), order_by, chosen, scope);
                let every_row = !distinct && null_treatment.is_none();
                self.over_rows(function.func.name(), args, every_row, &chosen, scope)?
            }
            Expr::WindowFunction(function) => {
                let WindowFunctionParams {
                    args,
                    filter,
                    partition_by,
                    order_by,
                    distinct,
                    null_treatment,
                    window_frame,
                } = &function.params;
                let filter = self.all_of(filter.as_deref(), scope)?;
                let mut chosen = self.all_of(partition_by, scope)?;
                chosen.add(&self.all_of_sorts(order_by, scope)?);
                let every_row = !distinct && null_treatment.is_none();
                let is_whole = window_frame.start_bound.is_unbounded() && window_frame.end_bound.is_unbounded();
                // Over a part of the rows, the order decides for every function.
                let name = if is_whole { function.fun.name() } else { "" };
                let chosen = in_order(name, order_by, chosen.indirect().and(&filter), scope);
                self.over_rows(function.fun.name(), args, every_row, &chosen, scope)?
            }
            Expr::ScalarSubquery(subquery) => {
                let Relation { columns, rows, .. } = self.subquery(subquery, scope)?;
                columns.into_iter().next().unwrap_or_else(Shape::constant).with(&rows)
            }
            // Where it decides on rows, it becomes indirect there.
            Expr::Exists(exists) => Shape::Scalar(self.subquery(&exists.subquery, scope)?.rows.direct()),
            Expr::InSubquery(one) => {
                let inner = self.subquery(&one.subquery, scope)?;
                self.use_each("IN (subquery)", [one.expr.as_ref()], scope)?;
                self.use_columns("IN (subquery)", &inner);
                Shape::Scalar(inner.all().and(&self.expression(&one.expr, scope)?.all()))
            }
            Expr::SetComparison(one) => {
                let inner = self.subquery(&one.subquery, scope)?;
                self.use_each("ANY or ALL (subquery)", [one.expr.as_ref()], scope)?;
                self.use_columns("ANY or ALL (subquery)", &inner);
                Shape::Scalar(inner.all().and(&self.expression(&one.expr, scope)?.all()))
            }
            Expr::BinaryExpr(one) => {
                self.use_compared(one, scope)?;
                Shape::Scalar(self.parts(expression, scope)?)
            }
            #[expect(deprecated, reason = "a wildcard that planning left over must not pass as nothing")]
            Expr::Wildcard { .. } => scope.everything(),
            other => Shape::Scalar(self.parts(other, scope)?),
        })
    }

    /// All that the parts of an expression derive from.
    pub(super) fn parts(&self, expression: &Expr, scope: &Scope<'_>) -> Result<Deps> {
        let mut deps = Deps::default();
        expression.apply_children(|part| {
            deps.add(&self.expression(part, scope)?.all());
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(deps)
    }

    fn subquery(&self, subquery: &Subquery, scope: &Scope<'_>) -> Result<Relation> {
        self.relation(&subquery.subquery, Some(scope))
    }

    fn case(&self, case: &Case, scope: &Scope<'_>) -> Result<Shape> {
        let mut conditions = Deps::default();
        if let Some(operand) = &case.expr {
            conditions.add(&self.expression(operand, scope)?.all());
        }
        let mut value = Shape::constant();
        for (when, then) in &case.when_then_expr {
            conditions.add(&self.expression(when, scope)?.all());
            value = value.or(self.expression(then, scope)?);
        }
        if let Some(otherwise) = &case.else_expr {
            value = value.or(self.expression(otherwise, scope)?);
        }
        Ok(value.with(&conditions))
    }

    fn function(&self, function: &ScalarFunction, scope: &Scope<'_>) -> Result<Shape> {
        let mut arguments = Vec::with_capacity(function.args.len());
        for argument in &function.args {
            arguments.push(self.expression(argument, scope)?);
        }
        let keys: Vec<Option<&str>> = function.args.iter().map(text).collect();
        Ok(built(function.func.name(), &arguments, &keys).unwrap_or_else(|| {
            Shape::Scalar(
                arguments
                    .iter()
                    .fold(Deps::default(), |deps, argument| deps.and(&argument.all())),
            )
        }))
    }

    /// The value of a function over many rows. `chosen` decides which of the query's rows it uses. With DISTINCT or
    /// IGNORE NULLS, the whole of a nested value decides which rows count. `every_row` is true if neither is given.
    fn over_rows(
        &self,
        name: &str,
        arguments: &[Expr],
        every_row: bool,
        chosen: &Deps,
        scope: &Scope<'_>,
    ) -> Result<Shape> {
        let chosen = chosen.clone().and(&scope.order.indirect());
        let rest = self.all_of(arguments.iter().skip(1), scope)?;
        let Some(first) = arguments.first() else {
            return Ok(Shape::Scalar(chosen));
        };
        let first = self.expression(first, scope)?;
        let value = match name {
            "first_value" | "last_value" | "nth_value" if every_row => first,
            "array_agg" if every_row => Shape::List {
                item: Box::new(first),
                own: Deps::default(),
            },
            _ => Shape::Scalar(first.all()),
        };
        Ok(value.with(&rest).with(&chosen))
    }
}

/// Functions whose value is the same in whatever order the rows come.
const ORDERLESS: [&str; 16] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "mean",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "median",
    "stddev",
    "stddev_pop",
    "var_pop",
    "var",
];

/// What decides on the value of a function over many rows. Without an order of its own, it sees one batch after the other.
fn in_order(name: &str, order_by: &[Sort], chosen: Deps, scope: &Scope<'_>) -> Deps {
    if !scope.by_batch || is_sorted(order_by) || ORDERLESS.contains(&name) {
        return chosen;
    }
    chosen.and(&traced())
}

/// The value of a function that keeps the structure of its arguments or takes it apart. `None` for other functions.
fn built(name: &str, arguments: &[Shape], keys: &[Option<&str>]) -> Option<Shape> {
    match (name, arguments) {
        ("get_field", [value, path @ ..]) => {
            let keys = keys.get(1..).filter(|keys| keys.len() == path.len())?;
            keys.iter()
                .try_fold(value.clone(), |value, key| Some(value.field((*key)?)))
        }
        ("array_element", [list, index]) => {
            let (element, own) = list.element();
            Some(element.with(&own.indirect()).with(&index.all()))
        }
        ("named_struct", pairs) if pairs.len().is_multiple_of(2) => {
            let named = pairs.chunks(2).zip(keys.chunks(2));
            named
                .map(|(pair, key)| Some(((*key.first()?)?.to_owned(), pair.get(1)?.clone())))
                .collect::<Option<_>>()
                .map(Shape::Struct)
        }
        ("struct", values) => Some(Shape::Struct(
            values
                .iter()
                .enumerate()
                .map(|(i, value)| (format!("c{i}"), value.clone()))
                .collect(),
        )),
        ("make_array", values) => {
            let item = values.iter().cloned().reduce(Shape::or).unwrap_or_else(Shape::constant);
            Some(Shape::List {
                item: Box::new(item),
                own: Deps::default(),
            })
        }
        ("with_ordinality", [list]) => {
            let (item, own) = list.element();
            let number = ("ordinality".to_owned(), Shape::Scalar(own.clone()));
            Some(Shape::List {
                item: Box::new(Shape::Struct(vec![("item".to_owned(), item), number])),
                own,
            })
        }
        ("array_length" | "empty", [list]) => Some(Shape::Scalar(list.presence())),
        ("cardinality", [list]) => Some(Shape::Scalar(list.lengths())),
        _ => None,
    }
}

fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        Expr::Alias(alias) => text(&alias.expr),
        _ => None,
    }
}

fn parameter(id: &str) -> Deps {
    match id {
        "$date" => Deps::one(Atom::Date, Dependence::Direct).and(&traced()),
        "$source" => Deps::one(Atom::Source, Dependence::Direct),
        _ => Deps::default(),
    }
}
