//! Says why an expression fails for a row, without a value: from the kind of the error and from the innermost part of
//! the expression that fails by itself.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
    TryCastExpr,
};
use datafusion::physical_expr::{HigherOrderFunctionExpr, PhysicalExpr, ScalarFunctionExpr};

use crate::transform::marks;
use crate::transform::places::Part;

/// What kind of expression failed. Its name starts the name of the check in the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Cast,
    Division,
    Overflow,
    Function,
    Expression,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cast => "cast",
            Self::Division => "division",
            Self::Overflow => "overflow",
            Self::Function => "function",
            Self::Expression => "expression",
        }
    }
}

/// Why an expression fails for a row. It names types and functions of the SQL, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fault {
    pub kind: Kind,
    pub reason: String,
    /// The function that fails.
    function: Option<String>,
}

impl Fault {
    fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            function: None,
        }
    }

    /// Whether a part of the SQL may be the one that failed.
    pub fn is_of(&self, part: &Part) -> bool {
        match part {
            Part::Cast => self.kind == Kind::Cast,
            Part::Division => self.kind == Kind::Division,
            Part::Arithmetic => self.kind == Kind::Overflow,
            Part::Function(name) => self.kind == Kind::Function && self.function.as_ref() == Some(name),
        }
    }

    /// Why `expression` gives `error` for a batch of one row.
    pub fn of(expression: &Arc<dyn PhysicalExpr>, row: &RecordBatch, error: &DataFusionError) -> Self {
        let (mut innermost, mut by_error) = (Arc::clone(expression), of_error(error));
        loop {
            let failing = evaluated_parts(&innermost, row).into_iter().find_map(|part| {
                let error = part.evaluate(row).err().filter(is_of_data)?;
                Some((part, of_error(&error)))
            });
            let Some(failing) = failing else { break };
            (innermost, by_error) = failing;
        }
        by_error.unwrap_or_else(|| of_expression(&innermost, row))
    }
}

/// The parts of an expression that are evaluated for a row. Of a CASE, that is the condition that holds and its value; of
/// a function that takes a lambda, nothing is known.
fn evaluated_parts(expression: &Arc<dyn PhysicalExpr>, row: &RecordBatch) -> Vec<Arc<dyn PhysicalExpr>> {
    if expression.is::<HigherOrderFunctionExpr>() {
        return Vec::new();
    }
    let Some(case) = expression.downcast_ref::<CaseExpr>() else {
        return expression.children().into_iter().cloned().collect();
    };
    if case.expr().is_some() {
        return Vec::new();
    }
    for (when, then) in case.when_then_expr() {
        match when.evaluate(row).and_then(|holds| holds.into_array(1)) {
            Ok(holds) if holds.as_boolean_opt().is_some_and(|holds| holds.true_count() == 1) => {
                return vec![Arc::clone(then)];
            }
            Ok(_) => {}
            Err(_) => return vec![Arc::clone(when)],
        }
    }
    case.else_expr().into_iter().cloned().collect()
}

/// Whether a part of the expression may fail for a value. What is not known to be safe counts as one that may.
pub(super) fn may_fail(expression: &Arc<dyn PhysicalExpr>) -> bool {
    let safe = |part: &Arc<dyn PhysicalExpr>| {
        if let Some(binary) = part.downcast_ref::<BinaryExpr>() {
            use Operator as O;
            return matches!(
                binary.op(),
                O::And
                    | O::Or
                    | O::Eq
                    | O::NotEq
                    | O::Lt
                    | O::LtEq
                    | O::Gt
                    | O::GtEq
                    | O::IsDistinctFrom
                    | O::IsNotDistinctFrom
                    | O::StringConcat
            );
        }
        if let Some(function) = part.downcast_ref::<ScalarFunctionExpr>() {
            return matches!(function.name(), "get_field" | marks::FUNCTION);
        }
        part.is::<Column>()
            || part.is::<Literal>()
            || part.is::<IsNullExpr>()
            || part.is::<IsNotNullExpr>()
            || part.is::<NotExpr>()
            || part.is::<TryCastExpr>()
            || part.is::<CaseExpr>()
            || part.is::<InListExpr>()
            || part.is::<LikeExpr>()
    };
    expression.exists(|part| Ok(!safe(part))).unwrap_or(true)
}

/// Whether an error tells that a value does not fit, and not that the engine or the machine is at its end.
pub(super) fn is_of_data(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::Execution(_) => true,
        DataFusionError::ArrowError(error, _) => !matches!(
            **error,
            ArrowError::IoError(..)
                | ArrowError::ExternalError(_)
                | ArrowError::MemoryError(_)
                | ArrowError::IpcError(_)
                | ArrowError::SchemaError(_)
        ),
        _ => false,
    }
}

fn of_error(error: &DataFusionError) -> Option<Fault> {
    let DataFusionError::ArrowError(error, _) = error.find_root() else {
        return None;
    };
    match **error {
        ArrowError::DivideByZero => Some(Fault::new(Kind::Division, "a division by zero")),
        ArrowError::ArithmeticOverflow(_) => Some(Fault::new(Kind::Overflow, "a number beyond the range of its type")),
        _ => None,
    }
}

fn of_expression(expression: &Arc<dyn PhysicalExpr>, row: &RecordBatch) -> Fault {
    if let Some(cast) = expression.downcast_ref::<CastExpr>() {
        let from = cast.expr().data_type(row.schema_ref());
        return match (from, cast.cast_type()) {
            (Ok(DataType::Timestamp(_, None)), DataType::Timestamp(_, Some(zone))) => Fault::new(
                Kind::Cast,
                format!("a local time that does not exist in {zone}, or exists twice there"),
            ),
            (_, to) => Fault::new(Kind::Cast, format!("a value that can't be cast to {}", sql_name(to))),
        };
    }
    if let Some(function) = expression.downcast_ref::<ScalarFunctionExpr>() {
        let name = function.name();
        return Fault {
            function: Some(name.to_owned()),
            ..Fault::new(Kind::Function, format!("a value that `{name}` can't take"))
        };
    }
    Fault::new(Kind::Expression, "a value that an expression can't take")
}

/// The name of a type in the SQL of transforms.
fn sql_name(arrow: &DataType) -> String {
    match arrow {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision},{scale})")
        }
        DataType::Date32 => "DATE".to_owned(),
        DataType::Time64(TimeUnit::Nanosecond) => "TIME".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, Some(zone)) => format!("TIMESTAMP AT TIME ZONE '{zone}'"),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "VARCHAR".to_owned(),
        other => other.to_string(),
    }
}
