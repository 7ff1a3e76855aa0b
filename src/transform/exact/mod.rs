//! Replaces what DataFusion computes wrong without an error by what computes it right or fails: integers that wrap, floats
//! that become Infinity or NaN, aggregates that do either, numbers in JSON that become null, and timestamps in nanoseconds, which end at 1677 and
//! 2262 (PostgreSQL's are in microseconds). A row that fails is refused (see `refuse`).
//!
//! It rewrites the plan after its types are known, so neither the user's SQL nor lineage knows of it.

mod aggregates;
mod arithmetic;
mod instants;
mod json;
mod sizes;
mod wrapped;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, WindowFunctionDefinition};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};

/// The rule that rewrites plans. It comes after the coercion of types.
#[derive(Debug)]
pub(super) struct ExactValues;

impl AnalyzerRule for ExactValues {
    fn name(&self) -> &'static str {
        "exact_values"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewritten).data()
    }
}

fn rewritten(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|expression| {
        let name = names.save(&expression);
        let expression = expression.transform_up(|part| exact(part, &schema))?;
        Ok(expression.update_data(|expression| name.restore(expression)))
    })?;
    // The types of its input may have changed, too.
    plan.map_data(LogicalPlan::recompute_schema)
}

/// Replaces one part of an expression whose own parts are replaced already.
fn exact(part: Expr, columns: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match part {
        Expr::Cast(cast) => match in_micros(&cast.field) {
            Some(field) => Transformed::yes(Expr::Cast(Cast { field, ..cast })),
            None => Transformed::no(Expr::Cast(cast)),
        },
        Expr::TryCast(cast) => match in_micros(&cast.field) {
            Some(field) => Transformed::yes(Expr::TryCast(TryCast { field, ..cast })),
            None => Transformed::no(Expr::TryCast(cast)),
        },
        Expr::Literal(ScalarValue::TimestampNanosecond(value, zone), metadata) => {
            let value = value.map(|nanos| nanos.div_euclid(1_000));
            let literal = ScalarValue::TimestampMicrosecond(value, zone);
            Transformed::yes(Expr::Literal(literal, metadata))
        }
        Expr::BinaryExpr(binary) => binary_exact(binary, columns),
        Expr::Negative(inner) => match inner.get_type(columns) {
            Ok(integer) if integer.is_signed_integer() => {
                let zero = Expr::Literal(ScalarValue::new_zero(&integer)?, None);
                Transformed::yes(arithmetic::checked(Operator::Minus, zero, *inner))
            }
            _ => Transformed::no(Expr::Negative(inner)),
        },
        Expr::ScalarFunction(call) => function(call, columns),
        Expr::AggregateFunction(mut call) => match aggregates::checked(&call.func, &types(&call.params.args, columns))?
        {
            Some(checked) => {
                call.func = checked;
                Transformed::yes(Expr::AggregateFunction(call))
            }
            None => Transformed::no(Expr::AggregateFunction(call)),
        },
        Expr::WindowFunction(call) => window(call, columns)?,
        other => Transformed::no(other),
    })
}

fn window(mut call: Box<WindowFunction>, columns: &DFSchema) -> Result<Transformed<Expr>> {
    if let WindowFunctionDefinition::AggregateUDF(function) = &call.fun
        && let Some(checked) = aggregates::checked(function, &types(&call.params.args, columns))?
    {
        call.fun = WindowFunctionDefinition::AggregateUDF(checked);
        return Ok(Transformed::yes(Expr::WindowFunction(call)));
    }
    Ok(Transformed::no(Expr::WindowFunction(call)))
}

fn types(arguments: &[Expr], columns: &DFSchema) -> Vec<DataType> {
    arguments.iter().filter_map(|one| one.get_type(columns).ok()).collect()
}

fn binary_exact(binary: BinaryExpr, columns: &DFSchema) -> Transformed<Expr> {
    let BinaryExpr { left, op, right } = binary;
    let (of_left, of_right) = (left.get_type(columns).ok(), right.get_type(columns).ok());
    match (&of_left, &of_right) {
        (Some(one), Some(other)) if one == other && arithmetic::is_unsafe(op, one) => {
            Transformed::yes(arithmetic::checked(op, *left, *right))
        }
        // A date and a time of day are added as a timestamp and a duration, of one unit.
        (Some(DataType::Timestamp(TimeUnit::Microsecond, _)), Some(DataType::Duration(TimeUnit::Nanosecond))) => {
            let right = Box::new(duration_in_micros(right));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        (Some(DataType::Duration(TimeUnit::Nanosecond)), Some(DataType::Timestamp(TimeUnit::Microsecond, _))) => {
            let left = Box::new(duration_in_micros(left));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
    }
}

fn duration_in_micros(duration: Box<Expr>) -> Expr {
    Expr::Cast(Cast::new(duration, DataType::Duration(TimeUnit::Microsecond)))
}

fn function(call: ScalarFunction, columns: &DFSchema) -> Transformed<Expr> {
    let name = call.func.name().to_owned();
    let call = match name.as_str() {
        "json_get_int" | "json_get_float" => return Transformed::yes(json::checked(call)),
        "date_trunc" | "date_bin" => return Transformed::yes(instants::checked(call)),
        "to_timestamp" => match instants::to_timestamp(call, columns) {
            Ok(instant) => return Transformed::yes(instant),
            Err(call) => call,
        },
        name if sizes::may_be_large(name) => sizes::limited(call),
        name if arithmetic::may_be_infinite(name) => {
            return Transformed::yes(arithmetic::finite(Expr::ScalarFunction(call)));
        }
        _ => call,
    };
    let call = Expr::ScalarFunction(call);
    let micros = call.get_type(columns).ok().and_then(|of_call| micros(&of_call));
    match micros {
        Some(micros) => Transformed::yes(Expr::Cast(Cast::new(Box::new(call), micros))),
        None => Transformed::no(call),
    }
}

fn in_micros(field: &FieldRef) -> Option<FieldRef> {
    let micros = micros(field.data_type())?;
    Some(Arc::new(field.as_ref().clone().with_data_type(micros)))
}

/// The type with microseconds in place of nanoseconds; `None` where there are none.
pub(super) fn micros(arrow: &DataType) -> Option<DataType> {
    match arrow {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        DataType::List(item) => Some(DataType::List(in_micros(item)?)),
        DataType::Struct(fields) if fields.iter().any(|field| micros(field.data_type()).is_some()) => {
            let field = |field: &FieldRef| in_micros(field).unwrap_or_else(|| Arc::clone(field));
            Some(DataType::Struct(fields.iter().map(field).collect()))
        }
        _ => None,
    }
}

/// Gives TIMESTAMPTZ a zone, UTC. DataFusion takes the session's, and without one it means TIMESTAMP.
#[derive(Debug)]
pub(super) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql: &SqlType) -> Result<Option<FieldRef>> {
        let SqlType::Timestamp(digits, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) = sql else {
            return Ok(None);
        };
        let unit = match digits {
            // In nanoseconds, since a cast of a number to that unit counts seconds.
            None | Some(9) => TimeUnit::Nanosecond,
            Some(6) => TimeUnit::Microsecond,
            Some(3) => TimeUnit::Millisecond,
            Some(0) => TimeUnit::Second,
            Some(_) => return Ok(None),
        };
        let utc = DataType::Timestamp(unit, Some("UTC".into()));
        Ok(Some(Arc::new(Field::new("", utc, true))))
    }
}
