//! Makes an error in a check's predicate name the check and its place in the YAML, rather than the transform's file.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::failure;
use super::row_checks::CHECK_COLUMN;
use crate::model::RowCheck;

/// Wraps the predicates of the row checks. `checks` are in the order of their columns.
pub(super) fn name_checks(
    plan: Arc<dyn ExecutionPlan>,
    entity: &str,
    checks: &[RowCheck],
) -> Result<Arc<dyn ExecutionPlan>> {
    if checks.is_empty() {
        return Ok(plan);
    }
    let named = plan.transform_up(|node| {
        let Some(projection) = node.downcast_ref::<ProjectionExec>() else {
            return Ok(Transformed::no(node));
        };
        let check_of = |column: &ProjectionExpr| {
            let number = column.alias.strip_prefix(CHECK_COLUMN)?.parse::<usize>().ok()?;
            checks.get(number)
        };
        if !projection.expr().iter().any(|column| check_of(column).is_some()) {
            return Ok(Transformed::no(node));
        }
        let columns = projection.expr().iter().map(|column| match check_of(column) {
            Some(check) => ProjectionExpr {
                expr: Arc::new(Predicate {
                    inner: Arc::clone(&column.expr),
                    entity: entity.into(),
                    check: Arc::new(check.clone()),
                }),
                alias: column.alias.clone(),
            },
            None => column.clone(),
        });
        let columns: Vec<ProjectionExpr> = columns.collect();
        let renewed = ProjectionExec::try_new(columns, Arc::clone(projection.input()))?;
        Ok(Transformed::yes(Arc::new(renewed) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(named.data)
}

/// The predicate of a check.
#[derive(Debug)]
struct Predicate {
    inner: Arc<dyn PhysicalExpr>,
    entity: Arc<str>,
    check: Arc<RowCheck>,
}

impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.check.name == other.check.name && self.inner.eq(&other.inner)
    }
}

impl Eq for Predicate {}

impl Hash for Predicate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.check.name.hash(state);
        self.inner.hash(state);
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Predicate {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.inner.evaluate(batch).map_err(|error| {
            let error = failure::running_check(&self.check, &self.entity, error);
            DataFusionError::External(Box::new(error))
        })
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self {
            inner,
            entity: Arc::clone(&self.entity),
            check: Arc::clone(&self.check),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
