//! Extends a transform's plan for the row checks: a Boolean column per check, and rows sorted by the key, so that
//! rows with the same key are neighbours. The module `quality` decides which rows are refused.

use datafusion::common::{Column as DfColumn, DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};

use super::ordinal::ordinal;
use super::{canonical, exact, failure, parse};
use crate::error::Diagnostic;
use crate::model::uuid_text::{parse_uuid, uuid_text};
use crate::model::{Check, Entity, PgType, RowCheck, Rule, Severity};
use datafusion::arrow::datatypes::DataType;
use std::borrow::Cow;

/// The input's order, which decides which of two rows with the same key comes first.
const ROW_COLUMN: &str = "_row";

/// The column of a row check starts with this, followed by its position.
const CHECK: &str = "_check_";

/// The column that numbers the rows with the same values starts with this.
const NTH: &str = "_nth_";

/// The position of the row check that a column holds.
pub(super) fn position(column: &str) -> Option<usize> {
    column.strip_prefix(CHECK)?.parse().ok()
}

/// Whether a window's column only numbers rows with the same values, for a check.
pub(super) fn numbers_duplicates(column: &str) -> bool {
    column.strip_prefix(NTH).is_some_and(|at| at.parse::<usize>().is_ok())
}

/// Extends a plan that returns the entity's columns and `_record`: appends the columns of the row checks and sorts
/// the rows by key.
pub(super) fn add<'a>(
    session: &SessionState,
    plan: LogicalPlan,
    entity: &Entity,
    checks: impl Iterator<Item = &'a Check>,
) -> Result<(LogicalPlan, Vec<RowCheck>), Vec<Diagnostic>> {
    let checks: Vec<&Check> = checks.collect();
    let mut builder = Builder {
        session,
        entity,
        row_checks: Vec::new(),
        columns: Vec::new(),
        problems: Vec::new(),
    };
    builder.nullability(&checks, plan.schema());
    for check in &checks {
        builder.check(check, plan.schema());
    }
    let Builder {
        row_checks,
        columns,
        problems,
        ..
    } = builder;
    if !problems.is_empty() {
        return Err(problems);
    }
    let extended = extend(plan, entity, columns);
    let extended = extended.map_err(|error| vec![failure::checks(entity, &error)])?;
    Ok((extended, row_checks))
}

fn extend(plan: LogicalPlan, entity: &Entity, columns: Vec<Column>) -> Result<LogicalPlan, DataFusionError> {
    let plan = one_form(plan, entity)?;
    let unique = columns.iter().any(|column| matches!(column, Column::Unique(_)));
    let order = order(entity, plan.schema());
    if columns.is_empty() && order.is_empty() {
        return Ok(plan);
    }
    let keyed = !entity.key.is_empty();
    let mut output: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let mut builder = LogicalPlanBuilder::from(plan);
    if unique || keyed {
        let numbered = output.iter().cloned().chain([ordinal().alias(ROW_COLUMN)]);
        builder = builder.project(numbered.collect::<Vec<_>>())?;
    }
    let mut checked = Vec::with_capacity(columns.len());
    for (at, column) in columns.into_iter().enumerate() {
        let holds = match column {
            Column::Predicate(predicate) => predicate.is_not_false(),
            Column::Unique(names) => {
                let any_null = names.iter().map(|name| col(name).is_null()).reduce(Expr::or);
                let nth = format!("{NTH}{at}");
                let equal = names.iter().map(|name| {
                    let arrow = data_type(builder.schema(), name)?;
                    Ok(canonical::comparable(col(name), &arrow).unwrap_or_else(|| col(name)))
                });
                let number = row_number()
                    .partition_by(equal.collect::<Result<_, DataFusionError>>()?)
                    .order_by(vec![col(ROW_COLUMN).sort(true, false)])
                    .build()?;
                builder = builder.window([number.alias(&nth)])?;
                let first = col(&nth).eq(lit(1_u64));
                any_null.map_or(first.clone(), |null| null.or(first))
            }
        };
        checked.push(holds.alias(format!("{CHECK}{at}")));
    }
    if !order.is_empty() {
        let by = order.into_iter().chain(keyed.then_some(ROW_COLUMN));
        // The order of PostgreSQL's indexes.
        builder = builder.sort(by.map(|name| col(name).sort(true, false)))?;
    }
    // These columns are added after the sort, which then need not carry them.
    output.extend(checked);
    builder = builder.project(output)?;
    builder.build()
}

/// Projects the columns to the forms in which equal values have the same bytes: UUIDs everywhere, and whatever else is in
/// the key. The plan stays as it is where none of them has several.
fn one_form(plan: LogicalPlan, entity: &Entity) -> Result<LogicalPlan, DataFusionError> {
    let mut changed = false;
    let mut output = Vec::with_capacity(plan.schema().fields().len());
    for field in plan.schema().fields() {
        let name = field.name();
        let declared = entity.columns.iter().find(|column| column.name == *name);
        let form = declared.and_then(|column| {
            let stored = canonical::stored(col(name), column.pg_type, field.data_type());
            let in_key = || {
                entity
                    .key
                    .contains(name)
                    .then(|| canonical::comparable(col(name), field.data_type()))
            };
            stored.or_else(|| in_key().flatten())
        });
        changed |= form.is_some();
        output.push(form.map_or_else(|| col(name), |form| form.alias(name)));
    }
    if !changed {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(output)?.build()
}

/// The columns by which the rows are sorted. With a key, they are the key's columns, because rows with the same key
/// are compared. Without a key, they are those of the widest index: building an index takes the server a third of the
/// time if the rows are in its order. An index over just the key's columns sets the order of the key in which both
/// cost least (docs/history/performance.md has the figures).
fn order<'a>(entity: &'a Entity, schema: &DFSchema) -> Vec<&'a str> {
    let key: Vec<&str> = entity.key.iter().map(String::as_str).collect();
    if !key.is_empty() {
        let permuted = entity.indexes.iter().map(|index| &index.columns).find(|columns| {
            columns.len() == key.len() && key.iter().all(|part| columns.iter().any(|column| column == part))
        });
        return permuted.map_or(key, |columns| columns.iter().map(String::as_str).collect());
    }
    let widest = entity.indexes.iter().rev().max_by_key(|index| index.columns.len());
    let columns = widest.into_iter().flat_map(|index| &index.columns).map(String::as_str);
    let sortable = |name: &&str| data_type(schema, name).is_ok_and(|arrow| !arrow.is_nested() && !arrow.is_null());
    columns.take_while(sortable).collect()
}

/// The expression of a row check's column.
enum Column {
    Predicate(Expr),
    Unique(Vec<String>),
}

struct Builder<'a> {
    session: &'a SessionState,
    entity: &'a Entity,
    row_checks: Vec<RowCheck>,
    columns: Vec<Column>,
    problems: Vec<Diagnostic>,
}

impl Builder<'_> {
    /// Adds the check that `nullable: false` implies, unless the project declares one with another severity.
    fn nullability(&mut self, checks: &[&Check], schema: &DFSchema) {
        for column in self.entity.columns.iter().filter(|column| !column.nullable) {
            let given = |check: &&Check| matches!(&check.rule, Rule::NotNull(name) if *name == column.name);
            let never = schema
                .field_with_unqualified_name(&column.name)
                .is_ok_and(|field| !field.is_nullable());
            if never || checks.iter().any(given) {
                continue;
            }
            self.row_checks.push(RowCheck {
                name: format!("not_null({})", column.name),
                column: Some(column.name.clone()),
                reason: "the column is null".to_owned(),
                severity: Severity::Quarantine,
                keep_orphans: false,
            });
            self.columns.push(Column::Predicate(col(&column.name).is_not_null()));
        }
    }

    fn check(&mut self, check: &Check, schema: &DFSchema) {
        let made = match self.column(check, schema) {
            Ok(made) => made,
            Err(error) => {
                self.problems.push(failure::check(check, &self.entity.name, &error));
                return;
            }
        };
        let Some((column, name, reason)) = made else { return };
        self.columns.push(column);
        self.row_checks.push(RowCheck {
            name: check.name.clone(),
            column: name,
            reason,
            severity: check.severity,
            keep_orphans: check.keep_orphans,
        });
    }

    /// A value of the project's files, as the column holds it: a UUID in PostgreSQL's spelling.
    fn spelling<'v>(&self, column: &str, value: &'v str) -> Cow<'v, str> {
        let is_uuid = |known: &&crate::model::Column| known.name == column && known.pg_type == PgType::Uuid;
        let uuid = self.entity.columns.iter().find(is_uuid).and_then(|_| parse_uuid(value));
        uuid.map_or(Cow::Borrowed(value), |uuid| uuid_text(uuid).into())
    }

    /// The column, its subject, and the reason for refusing a row. `None` for a check of the whole batch.
    fn column(
        &self,
        check: &Check,
        schema: &DFSchema,
    ) -> Result<Option<(Column, Option<String>, String)>, DataFusionError> {
        let of = |name: &String, predicate: Expr, reason: String| {
            Ok(Some((Column::Predicate(predicate), Some(name.clone()), reason)))
        };
        match &check.rule {
            Rule::NotNull(name) => of(name, col(name).is_not_null(), "the column is null".to_owned()),
            Rule::AcceptedValues { column, values } => {
                let arrow = data_type(schema, column)?;
                let values = values
                    .iter()
                    .map(|value| literal(&self.spelling(column, value), &arrow));
                let predicate = col(column).in_list(values.collect::<Result<_, _>>()?, false);
                of(column, predicate, "the value is not one of those accepted".to_owned())
            }
            Rule::Range { column, min, max } => {
                let arrow = data_type(schema, column)?;
                let low = min.as_ref().map(|min| literal(min, &arrow)).transpose()?;
                let high = max.as_ref().map(|max| literal(max, &arrow)).transpose()?;
                let low = low.map(|low| col(column).gt_eq(low));
                let high = high.map(|high| col(column).lt_eq(high));
                let predicate = low.into_iter().chain(high).reduce(Expr::and).unwrap_or(lit(true));
                of(
                    column,
                    predicate,
                    format!("the value is not {}", bounds(min.as_deref(), max.as_deref())),
                )
            }
            Rule::Expression(sql) => {
                let predicate = parse::checked(self.session, sql, schema)?;
                if predicate.is_volatile() {
                    let message = "an expression must give the same each time: no random() and the like";
                    return Err(DataFusionError::Plan(message.to_owned()));
                }
                let returned = predicate.to_field(schema)?.1.data_type().clone();
                if !matches!(returned, DataType::Boolean | DataType::Null) {
                    return Err(DataFusionError::Plan(format!(
                        "an expression must be true or false, this one is {returned}"
                    )));
                }
                Ok(Some((
                    Column::Predicate(predicate),
                    None,
                    "the expression is false".to_owned(),
                )))
            }
            Rule::Unique(names) => {
                let column = (names.len() == 1).then(|| names[0].clone());
                let reason = "an earlier row has the same values".to_owned();
                Ok(Some((Column::Unique(names.clone()), column, reason)))
            }
            Rule::Relationships(_) | Rule::RowCount { .. } | Rule::Freshness { .. } => Ok(None),
        }
    }
}

/// Shows the bounds of a range. They come from the project's files, so they may be shown.
fn bounds(min: Option<&str>, max: Option<&str>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("between {min} and {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, max) => format!("at most {}", max.unwrap_or_default()),
    }
}

fn col(name: &str) -> Expr {
    Expr::Column(DfColumn::new_unqualified(name))
}

fn data_type(schema: &DFSchema, column: &str) -> Result<DataType, DataFusionError> {
    Ok(schema.field_with_unqualified_name(column)?.data_type().clone())
}

/// A value of the project's files as a literal of a column's type. A decimal gets enough digits, so that it is not
/// rounded.
fn literal(text: &str, arrow: &DataType) -> Result<Expr, DataFusionError> {
    let target = match arrow {
        DataType::Decimal128(..) | DataType::Decimal256(..) => DataType::Decimal128(38, 12),
        DataType::Null => return Ok(lit(text)),
        other => exact::micros(other).unwrap_or_else(|| other.clone()),
    };
    let value = ScalarValue::try_from_string(text.to_owned(), &target)
        .map_err(|_| DataFusionError::Plan(format!("`{text}` is no value of the column's type {arrow}")))?;
    if value.is_null() {
        return Err(DataFusionError::Plan(format!(
            "`{text}` is no value of the column's type {arrow}"
        )));
    }
    Ok(lit(value))
}
