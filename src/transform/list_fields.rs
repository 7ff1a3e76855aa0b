//! `list['field']`: the field of each element of a list of structs, as a list. It is short for
//! `array_transform(list, element -> element['field'])`, and so lineage follows it.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_nested::array_transform::array_transform_higher_order_function;
use datafusion::logical_expr::expr::{HigherOrderFunction, Lambda, LambdaVariable};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess};

/// Plans the field of a list. It leaves all other fields to DataFusion.
#[derive(Debug)]
pub(super) struct ListFields;

impl ExprPlanner for ListFields {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let GetFieldAccess::NamedStructField { name } = &access.field_access else {
            return Ok(PlannerResult::Original(access));
        };
        match access.expr.get_type(schema) {
            Ok(list @ DataType::List(_)) if holds_structs(&list) => {
                let name = name.clone();
                Ok(PlannerResult::Planned(field(access.expr, &list, &name, 1)))
            }
            _ => Ok(PlannerResult::Original(access)),
        }
    }
}

fn holds_structs(list: &DataType) -> bool {
    match list {
        DataType::List(item) => holds_structs(item.data_type()),
        other => matches!(other, DataType::Struct(_)),
    }
}

/// `depth` counts the lists in lists.
fn field(value: Expr, data_type: &DataType, name: &ScalarValue, depth: usize) -> Expr {
    let DataType::List(item) = data_type else {
        return get_field(value, name.clone());
    };
    let variable = format!("_element{depth}");
    let element = Arc::new(item.as_ref().clone().with_name(&variable));
    let element = Expr::LambdaVariable(LambdaVariable::new(variable.clone(), Some(element)));
    let body = field(element, item.data_type(), name, depth + 1);
    Expr::HigherOrderFunction(HigherOrderFunction::new(
        array_transform_higher_order_function(),
        vec![value, Expr::Lambda(Lambda::new(vec![variable], body))],
    ))
}
