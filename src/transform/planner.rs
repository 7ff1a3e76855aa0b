//! Plans one transform: parses its SQL, checks the output against the entity's contract, carries `_record` through,
//! adds the row checks, and makes a physical plan.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column as DfColumn, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::sql::sqlparser::ast::Query;

use super::bind::{self, bind_parameters};
use super::failure::{self, Span, locate, planning};
use super::inputs::Inputs;
use super::places::Places;
use super::prepared::{Accepts, Outline, Prepared};
use super::{ast, ignored, merged_columns, not_in, parse, record, row_checks, uncomputable, volatility, wording};
use crate::error::Diagnostic;
use crate::model::blanked::{self, Blanked};
use crate::model::{Batch, Column, Entity, Project, Rule, Source, Transform, did_you_mean};
use crate::model::{RECORD_COLUMN, is_partial, is_reference};

/// What planning one transform needs.
pub(super) struct Planner<'a> {
    pub session: &'a SessionState,
    /// The tables of the source, `_record` included.
    pub full: &'a Inputs,
    pub source: &'a Source,
    pub transform: &'a Transform,
    pub entity: &'a Entity,
    pub accepts: Accepts,
}

/// A planner for each transform of the source whose entity is declared.
pub(super) fn planners<'a>(
    session: &'a SessionState,
    full: &'a Inputs,
    project: &'a Project,
    source: &'a Source,
    accepts: Accepts,
) -> impl Iterator<Item = Planner<'a>> {
    source.transforms.iter().filter_map(move |transform| {
        Some(Planner {
            session,
            full,
            source,
            transform,
            entity: project.entity(&transform.entity).ok()?,
            accepts,
        })
    })
}

impl Planner<'_> {
    /// Adds the row checks to an outline of this session, and makes sure that it has a physical plan. `batch` is a
    /// batch that may run, or a sample.
    pub(super) async fn prepare(&self, outline: &Outline, batch: &Batch) -> Result<Prepared, Vec<Diagnostic>> {
        let fail = |e: DataFusionError| vec![planning(self.transform, &e, outline.unnests_sideways)];
        let checks = self.source.checks_of(self.entity);
        let checked = row_checks::add(self.session, outline.plan.clone(), self.entity, checks);
        // Only the optimizer or the physical planner refuses some forms.
        let planned = match &checked {
            Ok((plan, _)) => self.physically(plan, batch).await,
            Err(_) => self.physically(&outline.plan, batch).await,
        };
        let (plan, row_checks) = match (checked, planned) {
            (Ok(checked), Ok(())) => checked,
            (Err(problems), Ok(())) => return Err(problems),
            // Planning without the checks tells whether the transform or a check's predicate is at fault.
            (_, Err(error)) => {
                self.physically(&outline.plan, batch).await.map_err(fail)?;
                return Err(vec![self.check_at_fault(outline, batch, &error).await]);
            }
        };
        Ok(Prepared {
            scans: bind::scans(&outline.plan, self.full).map_err(fail)?,
            outline: outline.clone(),
            row_checks,
            conserves: None,
            plan,
            inputs: self.full.clone(),
        })
    }

    /// The problem of the check that can't be planned, at its place in the YAML. Each is planned by itself to find it.
    async fn check_at_fault(&self, outline: &Outline, batch: &Batch, error: &DataFusionError) -> Diagnostic {
        for check in self.source.checks_of(self.entity) {
            let alone = row_checks::add(self.session, outline.plan.clone(), self.entity, std::iter::once(check));
            if let Ok((plan, _)) = alone
                && let Err(error) = self.physically(&plan, batch).await
            {
                return failure::check(check, &self.entity.name, &error);
            }
        }
        failure::checks(self.entity, error)
    }

    /// Plans the transform and checks its output against the contract.
    pub(super) async fn outline(&self) -> Result<Outline, Vec<Diagnostic>> {
        let statement =
            parse::statement(self.session, &self.transform.sql).map_err(|e| vec![self.planning(&e, false)])?;
        let Some(query) = ast::query(&statement).cloned() else {
            return Err(vec![self.problem(
                "a transform is one SELECT",
                None::<Span>,
                "return the entity's rows with a SELECT",
            )]);
        };
        let wrong = not_in::in_query(&query).or_else(|| merged_columns::in_query(&query));
        if let Some(found) = wrong.or_else(|| ignored::in_query(self.session, &self.transform.sql, &query)) {
            return Err(vec![self.problem(&found.message, Some(found.span), found.hint)]);
        }
        let sideways = ast::unnests_sideways(&query);
        let fail = |e: DataFusionError| vec![self.planning(&e, sideways)];
        let plan = match self.session.statement_to_plan(statement).await {
            Ok(plan) => plan,
            Err(error) => return Err(self.all_unknown(&error, sideways).await),
        };
        if let Some(function) = volatility::volatile_function(&plan).map_err(fail)? {
            let message =
                format!("`{function}()` differs from run to run, and a batch that runs again brings the same rows");
            let hint = "use $date for the batch's day, and columns of the record for what tells rows apart";
            return Err(vec![self.problem(&message, ast::select_span(&query), hint)]);
        }
        let (plan, record) = record::thread(plan, self.full).map_err(fail)?;
        let analyzed = match self.analyzed(&plan) {
            Ok(analyzed) => analyzed,
            Err(error) => return Err(self.all_unknown(&error, sideways).await),
        };
        if let Err(mut problems) = self.check(&query, analyzed.schema().as_arrow()) {
            problems.extend(self.unknown_in_checks(&plan));
            return Err(problems);
        }
        Ok(Outline {
            entity: self.entity.name.clone(),
            path: self.transform.path.clone(),
            plan: self.shape(plan, record, false).map_err(fail)?,
            places: Places::of(&query),
            unnests_sideways: sideways,
        })
    }

    /// A sample batch fixes the parameters' types. The analyzer finds errors that planning does not.
    fn analyzed(&self, plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let bound = bind_parameters(plan.clone(), &sample(self.source))?;
        let options = self.session.config_options();
        self.session.analyzer().execute_and_check(bound, options, |_, _| {})
    }

    /// What is wrong. Where a name leads nowhere, all further names that do, so that one who renames a field sees every
    /// place.
    async fn all_unknown(&self, error: &DataFusionError, sideways: bool) -> Vec<Diagnostic> {
        let mut found = vec![self.planning(error, sideways)];
        let mut blanked = Blanked::of(&self.transform.sql);
        let mut is_unknown = wording::is_unknown_name(error);
        while is_unknown && found.len() < blanked::MOST {
            let place = found.last().and_then(|problem| problem.location.as_ref());
            if !place.is_some_and(|place| blanked.blank(place)) {
                break;
            }
            let sql = blanked.sql();
            let Err(error) = self.tried(&sql).await else { break };
            is_unknown = wording::is_unknown_name(&error);
            let transform = Transform {
                sql,
                ..self.transform.clone()
            };
            let further = is_unknown.then(|| planning(&transform, &error, sideways));
            let Some(further) = further.and_then(|problem| blanked.original(problem)) else {
                break;
            };
            found.push(further);
        }
        found.sort_by(|one, other| one.location.cmp(&other.location));
        found
    }

    async fn tried(&self, sql: &str) -> Result<(), DataFusionError> {
        let statement = parse::statement(self.session, sql)?;
        let plan = self.session.statement_to_plan(statement).await?;
        let (plan, _) = record::thread(plan, self.full)?;
        self.analyzed(&plan).map(drop)
    }

    /// The problems of the checks over the contract's columns, where the transform does not give all of them.
    fn unknown_in_checks(&self, plan: &LogicalPlan) -> Vec<Diagnostic> {
        let Ok(plan) = self.shape(plan.clone(), None, true) else {
            return Vec::new();
        };
        let expressions = self
            .source
            .checks_of(self.entity)
            .filter(|check| matches!(check.rule, Rule::Expression(_)));
        let planned = expressions
            .map(|check| row_checks::add(self.session, plan.clone(), self.entity, std::iter::once(check)).err());
        planned.flatten().flatten().collect()
    }

    /// What is wrong, with the names of the tables that there are where the SQL reads one that there is not.
    fn planning(&self, error: &DataFusionError, sideways: bool) -> Diagnostic {
        let found = planning(self.transform, error, sideways);
        let tables: Vec<&str> = self.full.names().collect();
        Diagnostic {
            hint: wording::hint_for_table(error, &tables).or(found.hint),
            ..found
        }
    }

    /// Makes the physical plan for a batch, to see that it can be made.
    async fn physically(&self, plan: &LogicalPlan, batch: &Batch) -> Result<(), DataFusionError> {
        let plan = bind::physical(self.session, plan, batch, self.full).await?;
        uncomputable::refused(&plan)
    }

    /// Compares the query's output with the contract.
    fn check(&self, query: &Query, output: &Schema) -> Result<(), Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let names: Vec<&str> = output
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .filter(|n| *n != RECORD_COLUMN)
            .collect();
        for (i, name) in names.iter().enumerate() {
            if self.entity.columns.iter().all(|c| c.name != *name) {
                problems.push(self.extra_column(query, name));
            } else if names[..i].contains(name) {
                let message = format!("column `{name}` is returned twice");
                problems.push(self.problem(&message, ast::output_span(query, name), "keep one of them"));
            }
        }
        for column in &self.entity.columns {
            match output.fields().iter().find(|f| *f.name() == column.name) {
                Some(field) => problems.extend(self.check_type(query, column, field.data_type())),
                None => problems.push(self.missing_column(query, column)),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn check_type(&self, query: &Query, column: &Column, arrow: &DataType) -> Option<Diagnostic> {
        if *arrow == DataType::Null && column.nullable {
            return None;
        }
        let reason = (self.accepts)(arrow, &column.pg_type).err()?;
        let reason = if is_partial(arrow) {
            format!(
                "a partial date or time is a struct: take {0}['value'], and {0}['precision'] in another column",
                column.name
            )
        } else if is_reference(arrow) {
            format!(
                "a reference is a struct: take {0}['id'], and {0}['type'] in another column",
                column.name
            )
        } else {
            reason
        };
        let message = format!(
            "column `{}` of {} is {} but the transform returns {arrow}",
            column.name, self.entity.name, column.pg_type
        );
        Some(self.problem(&message, ast::output_span(query, &column.name), &reason))
    }

    fn extra_column(&self, query: &Query, name: &str) -> Diagnostic {
        let declared = self.entity.columns.iter().map(|c| c.name.as_str());
        let hint = did_you_mean(name, declared)
            .unwrap_or_else(|| format!("drop it, or declare it under {} in pipeline.yaml", self.entity.name));
        let message = format!("column `{name}` is not one of {}", self.entity.name);
        self.problem(&message, ast::output_span(query, name), &hint)
    }

    fn missing_column(&self, query: &Query, column: &Column) -> Diagnostic {
        let message = format!(
            "column `{}` ({}) of {} is missing",
            column.name, column.pg_type, self.entity.name
        );
        let hint = if column.nullable {
            format!("return it, or `NULL AS {}` where this source has none", column.name)
        } else {
            format!("return it: {} needs a value in every row", self.entity.name)
        };
        self.problem(&message, ast::select_span(query), &hint)
    }

    fn problem(&self, message: &str, span: Option<impl Into<Span>>, hint: &str) -> Diagnostic {
        Diagnostic {
            message: message.to_owned(),
            location: Some(locate(self.transform, span.map(Into::into))),
            hint: Some(hint.to_owned()),
        }
    }

    /// Projects the plan to the entity's columns in the contract's order, then `_record`. What it does not return is null
    /// if it `may_lack` columns.
    fn shape(
        &self,
        plan: LogicalPlan,
        record: Option<DfColumn>,
        may_lack: bool,
    ) -> Result<LogicalPlan, DataFusionError> {
        let mut columns = Vec::with_capacity(self.entity.columns.len() + 1);
        for column in &self.entity.columns {
            let found = plan.schema().iter().find(|(_, field)| *field.name() == column.name);
            let value = match found {
                Some(found) => Expr::Column(DfColumn::from(found)),
                None if may_lack => lit(ScalarValue::Null),
                None => {
                    let message = format!("column {} was checked and is gone", column.name);
                    return Err(DataFusionError::Internal(message));
                }
            };
            columns.push(value.alias(&column.name));
        }
        columns.push(match record {
            Some(record) => Expr::Column(record).alias(RECORD_COLUMN),
            None => lit(ScalarValue::UInt64(None)).alias(RECORD_COLUMN),
        });
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
    }
}

/// A batch with made-up values, for planning the source's SQL without a real batch.
pub fn sample(source: &Source) -> Batch {
    Batch {
        source: source.name.clone(),
        date: chrono::NaiveDate::default(),
    }
}
