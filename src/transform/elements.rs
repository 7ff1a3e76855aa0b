//! Counts the elements for which a transform must return one row each, in the masked records on their way to the
//! transforms. It never looks at a transform's rows, and it only counts: single elements are not compared with rows.

mod level;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use futures::StreamExt;
use futures::stream::BoxStream;

use self::level::{Level, Step, columns, not_planned};
use super::bind::bind_expression;
use super::inputs::{Inputs, without_record};
use super::places::Places;
use super::session::Engine;
use super::{failure, parse};
use crate::error::{Diagnostic, Error, Result};
use crate::mask::Masked;
use crate::model::RECORD_COLUMN;
use crate::model::{Batch, Conserved, RecordStep};

/// The name by which SQL addresses an element that is not a struct.
const ELEMENT_COLUMN: &str = "item";

/// The elements that a transform may neither lose nor multiply, located in the records' schema.
#[derive(Debug, Clone)]
pub struct Elements {
    entity: String,
    /// The index of the kind whose records have the elements.
    kind: usize,
    /// The path as it is written in the project.
    path: String,
    steps: Vec<Step>,
    filter: Option<Filter>,
}

#[derive(Debug, Clone)]
struct Filter {
    sql: String,
    /// `$date` and `$source` are not bound yet.
    predicate: Expr,
    /// The fields of an element.
    schema: SchemaRef,
}

impl Elements {
    /// Finds the path in the schema of its kind, and plans the predicate.
    pub(super) fn plan(
        session: &SessionState,
        inputs: &Inputs,
        conserved: &Conserved,
        sample: &Batch,
    ) -> Result<Self, Diagnostic> {
        let full = inputs.get(conserved.kind).map(|input| &input.schema);
        let found = full.and_then(|full| Some((full, walk(full, &conserved.path.0)?)));
        let (full, (steps, element)) = found.ok_or_else(|| Diagnostic {
            message: format!("`{}` is not decoded as declared", conserved.shown),
            location: Some(conserved.location.clone()),
            hint: None,
        })?;
        let filter = conserved.filter.as_ref().map(|declared| {
            let fields = fields_of(full, element.as_ref());
            let planned = Filter::plan(session, &declared.sql, Arc::clone(&fields), sample);
            planned.map_err(|error| {
                let problem = failure::element_filter(&conserved.entity, &error);
                Diagnostic {
                    location: Some(declared.location.clone()),
                    hint: problem.hint.or_else(|| Some(what_it_may_name(conserved, &fields))),
                    ..problem
                }
            })
        });
        let filter = filter.transpose()?;
        Ok(Self {
            entity: conserved.entity.clone(),
            kind: conserved.kind,
            path: conserved.shown.clone(),
            steps,
            filter,
        })
    }
}

/// The path as a list of positions, and the type of its elements. The type is `None` for the records themselves.
fn walk(full: &SchemaRef, path: &[RecordStep]) -> Option<(Vec<Step>, Option<DataType>)> {
    let mut steps = Vec::with_capacity(path.len());
    let mut here: Option<DataType> = None;
    for step in path {
        let (step, next) = match (step, &here) {
            (RecordStep::Key(name), None) => find(full.fields(), name)?,
            (RecordStep::Key(name), Some(DataType::Struct(fields))) => find(fields, name)?,
            (RecordStep::Each, Some(DataType::List(element))) => (Step::Each, element.data_type().clone()),
            _ => return None,
        };
        steps.push(step);
        here = Some(next);
    }
    Some((steps, here))
}

fn find(fields: &Fields, name: &str) -> Option<(Step, DataType)> {
    let (at, field) = fields.find(name)?;
    Some((Step::Field(at), field.data_type().clone()))
}

fn what_it_may_name(conserved: &Conserved, fields: &SchemaRef) -> String {
    let names: Vec<&str> = fields.fields().iter().map(|field| field.name().as_str()).collect();
    let of = if conserved.path.0.is_empty() {
        "a record".to_owned()
    } else {
        format!("an element of {}", conserved.shown)
    };
    format!("it may name what {of} has: {}", names.join(", "))
}

/// The fields of an element that SQL can name.
fn fields_of(full: &SchemaRef, element: Option<&DataType>) -> SchemaRef {
    let fields: Vec<FieldRef> = match element {
        None => without_record(full).fields().to_vec(),
        Some(DataType::Struct(fields)) => fields.to_vec(),
        Some(other) => vec![Arc::new(Field::new(ELEMENT_COLUMN, other.clone(), true))],
    };
    Arc::new(Schema::new(fields))
}

impl Filter {
    fn plan(session: &SessionState, sql: &str, schema: SchemaRef, sample: &Batch) -> Result<Self, DataFusionError> {
        let columns = DFSchema::try_from(Arc::clone(&schema))?;
        let planned = Self {
            sql: sql.to_owned(),
            predicate: parse::expression(session, sql, &columns)?,
            schema,
        };
        if planned.predicate.exists(|node| Ok(sees_more_than_an_element(node)))? {
            let message = "it may use the element's own fields only: no aggregate, window, unnest or subquery";
            return Err(DataFusionError::Plan(message.to_owned()));
        }
        if planned.predicate.is_volatile() {
            let message = "it must give the same each time: no random() and the like";
            return Err(DataFusionError::Plan(message.to_owned()));
        }
        let returned = planned.bind(session, sample)?.data_type(&planned.schema)?;
        if returned == DataType::Boolean {
            Ok(planned)
        } else {
            Err(DataFusionError::Plan(format!(
                "it must be true or false, this one is {returned}"
            )))
        }
    }

    fn bind(&self, session: &SessionState, batch: &Batch) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        let columns = Arc::new(DFSchema::try_from(Arc::clone(&self.schema))?);
        let predicate = bind_expression(self.predicate.clone(), &columns, batch)?;
        // Functions such as now(), which are constants for one run, are resolved as they are in a transform.
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&columns))
            .with_config_options(Arc::clone(session.config_options()))
            .with_query_execution_start_time(session.execution_props().query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let predicate = simplifier.simplify(simplifier.coerce(predicate, &columns)?)?;
        session.create_physical_expr(predicate, &columns)
    }
}

fn sees_more_than_an_element(node: &Expr) -> bool {
    matches!(
        node,
        Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::Unnest(_)
            | Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_)
            | Expr::Exists(_)
    )
}

impl Engine {
    /// The counters of a batch, one per transform for which `conserves` is declared.
    pub fn tally<'a>(&self, conserved: impl Iterator<Item = &'a Elements>, batch: &Batch) -> Result<Arc<Tally>> {
        let counters = conserved.map(|elements| Counter::new(self.state(), elements.clone(), batch));
        Ok(Arc::new(Tally {
            counters: counters.collect::<Result<_>>()?,
        }))
    }
}

/// Counts elements while a batch's records are read. Each record must be shown to it once.
#[derive(Debug)]
pub struct Tally {
    counters: Vec<Counter>,
}

/// The number of elements of a path in the records.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counted {
    /// `visits[].diagnoses[]`, or `$` for the records themselves.
    pub path: String,
    /// The predicate that an element must meet to be counted.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    pub count: u64,
}

impl Tally {
    /// Counts the records that pass through the stream. Where the predicate fails on an element, the stream fails.
    pub fn watch(self: &Arc<Self>, records: BoxStream<'static, Result<Masked>>) -> BoxStream<'static, Result<Masked>> {
        if self.counters.is_empty() {
            return records;
        }
        let tally = Arc::clone(self);
        let counted = move |batch: Result<Masked>| {
            let batch = batch?;
            for counter in tally.counters.iter().filter(|one| one.elements.kind == batch.kind()) {
                counter.add(batch.batch())?;
            }
            Ok(batch)
        };
        records.map(counted).boxed()
    }

    /// The present count for an entity; `None` where `conserves` is not declared for its transform.
    pub fn of(&self, entity: &str) -> Option<Counted> {
        let counter = self.counters.iter().find(|counter| counter.elements.entity == entity)?;
        let Elements { path, filter, .. } = &counter.elements;
        Some(Counted {
            path: path.clone(),
            filter: filter.as_ref().map(|filter| filter.sql.clone()),
            count: counter.count.load(Ordering::Relaxed),
        })
    }
}

#[derive(Debug)]
struct Counter {
    elements: Elements,
    predicate: Option<(Arc<dyn PhysicalExpr>, SchemaRef)>,
    count: AtomicU64,
}

impl Counter {
    fn new(session: &SessionState, elements: Elements, batch: &Batch) -> Result<Self> {
        let bound = elements.filter.as_ref().map(|filter| {
            let predicate = filter.bind(session, batch)?;
            Ok((predicate, Arc::clone(&filter.schema)))
        });
        let predicate = bound.transpose().map_err(|error| failed(&elements.entity, error))?;
        Ok(Self {
            elements,
            predicate,
            count: AtomicU64::new(0),
        })
    }

    fn add(&self, records: &RecordBatch) -> Result<()> {
        let count = self
            .count(records)
            .map_err(|error| failed(&self.elements.entity, error))?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(())
    }

    fn count(&self, records: &RecordBatch) -> Result<usize, DataFusionError> {
        let Some(level) = Level::reach(records, &self.elements.steps)? else {
            return match &self.predicate {
                Some((predicate, schema)) => matching(&**predicate, schema, own_columns(records), records.num_rows()),
                None => Ok(records.num_rows()),
            };
        };
        match &self.predicate {
            Some((predicate, schema)) => {
                let elements = level.live()?;
                matching(&**predicate, schema, columns(&elements)?, elements.len())
            }
            None => Ok(level.count()),
        }
    }
}

fn failed(entity: &str, error: DataFusionError) -> Error {
    failure::running(
        Path::new(&format!("`where` of conserves.{entity}")),
        &Places::default(),
        error,
    )
}

fn own_columns(records: &RecordBatch) -> Vec<ArrayRef> {
    let named = records.schema_ref().fields().iter().zip(records.columns());
    let own = named.filter(|(field, _)| field.name() != RECORD_COLUMN);
    own.map(|(_, column)| Arc::clone(column)).collect()
}

fn matching(
    predicate: &dyn PhysicalExpr,
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<usize, DataFusionError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
    let holds = predicate.evaluate(&batch)?.into_array(rows)?;
    let holds = holds.as_boolean_opt().ok_or_else(|| not_planned("no Boolean"))?;
    Ok(holds.true_count())
}

#[cfg(test)]
mod tests;
