//! Refuses an access to a field that there is not, while SQL is planned, and says which fields there are. DataFusion's
//! own error names neither the place nor the fields.

use std::fmt;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Span, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, GetFieldAccess, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

/// A field that there is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NoField {
    /// The names up to the missing one: of `s.a.b`, all three; of `s['a']['b']`, the last one.
    pub path: Vec<String>,
    /// Where a column stands in the SQL that the access goes out from, as line and column.
    pub after: Option<(u64, u64)>,
    pub of: Value,
}

/// What a field is wanted of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// A struct with these fields.
    Struct(Vec<String>),
    List,
    /// Anything else, by the name of its type.
    Scalar(String),
}

impl NoField {
    /// The name of the missing field.
    pub fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

impl fmt::Display for NoField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match (&self.of, &self.path[..self.path.len().saturating_sub(1)]) {
            (Value::Struct(_), []) => write!(f, "there is no field `{name}`"),
            (Value::Struct(_), base) => write!(f, "`{}` has no field `{name}`", base.join(".")),
            (Value::List, []) => write!(f, "a list has no field `{name}`"),
            (Value::List, base) => write!(f, "`{}` is a list and has no field `{name}`", base.join(".")),
            (Value::Scalar(kind), []) => write!(f, "a value of type {kind} has no field `{name}`"),
            (Value::Scalar(kind), base) => write!(f, "`{}` is {kind} and has no field `{name}`", base.join(".")),
        }
    }
}

impl std::error::Error for NoField {}

/// Looks up every field that SQL accesses, before DataFusion's own planners do.
#[derive(Debug)]
pub(super) struct LookUp;

impl ExprPlanner for LookUp {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if let GetFieldAccess::NamedStructField { name } = &access.field_access
            && let Some(Some(name)) = name.try_as_str()
            && let Ok(data_type) = access.expr.get_type(schema)
            && let Err(of) = field_of(elements_of(&data_type), name)
        {
            return Err(DataFusionError::External(Box::new(NoField {
                path: vec![name.to_owned()],
                after: first_column(&access.expr),
                of,
            })));
        }
        Ok(PlannerResult::Original(access))
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut path = vec![field.name().clone()];
        let mut here = field.data_type();
        for name in nested_names {
            path.push(name.clone());
            match field_of(here, name) {
                Ok(Some(next)) => here = next.data_type(),
                Ok(None) => break,
                // An error given here is passed over by DataFusion. One that the type of an expression gives is not.
                Err(of) => {
                    let after = None;
                    let missing = Missing(NoField { path, after, of }, Signature::any(1, Volatility::Immutable));
                    let column = Expr::Column(Column::from((qualifier, field)));
                    let function = ScalarFunction::new_udf(ScalarUDF::from(missing).into(), vec![column]);
                    return Ok(PlannerResult::Planned(Expr::ScalarFunction(function)));
                }
            }
        }
        Ok(PlannerResult::Original(Vec::new()))
    }
}

/// The type of a value, or of the elements of a list in which fields may be looked up: `list['field']`.
fn elements_of(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::List(item) if matches!(elements_of(item.data_type()), DataType::Struct(_)) => {
            elements_of(item.data_type())
        }
        other => other,
    }
}

/// The field of a value; `None` where that is for DataFusion to say.
fn field_of<'a>(data_type: &'a DataType, name: &str) -> Result<Option<&'a FieldRef>, Value> {
    match data_type {
        DataType::Struct(fields) => match fields.find(name) {
            Some((_, field)) => Ok(Some(field)),
            None => Err(Value::Struct(fields.iter().map(|field| field.name().clone()).collect())),
        },
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => Err(Value::List),
        DataType::Null | DataType::Map(..) | DataType::Union(..) | DataType::Dictionary(..) => Ok(None),
        scalar => Err(Value::Scalar(named(scalar))),
    }
}

/// A type by its name in the source's schema.
fn named(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(..) => "decimal".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(..) => "timestamptz".to_owned(),
        other => other.to_string(),
    }
}

fn first_column(expression: &Expr) -> Option<(u64, u64)> {
    let mut first = None;
    let found = expression.apply(|node| {
        if let Expr::Column(column) = node
            && let Some(Span { start, .. }) = column.spans().first()
        {
            first = Some((start.line, start.column));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.ok().and(first)
}

/// Stands for an access to a missing field, and fails as soon as its type is asked for.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Missing(NoField, Signature);

impl Missing {
    fn error<T>(&self) -> Result<T> {
        Err(DataFusionError::External(Box::new(self.0.clone())))
    }
}

impl ScalarUDFImpl for Missing {
    fn name(&self) -> &'static str {
        "get_field"
    }

    fn signature(&self) -> &Signature {
        &self.1
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        self.error()
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.error()
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.error()
    }
}
