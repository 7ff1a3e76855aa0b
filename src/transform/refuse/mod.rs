//! Refuses the rows for which an expression fails (a cast, a date function, a division by zero), so that the rest of the
//! batch loads. DataFusion alone fails the whole batch without saying which record it was.
//!
//! Projections and filters that keep rows apart are replaced by [`Refusing`]. A row that fails goes on with nulls in
//! place of what failed, and with a mark in place of its record's number. So each row that the transform would have
//! produced is counted, also where a list is unnested later, and its keys are known. Marked rows pass all filters.
//! [`Failed::restore`] turns the marks into misfits. Where rows are joined, aggregated or cut by a LIMIT, a row can't
//! be taken out without a trace in others. There the batch fails, with the record where it is known.

mod evaluate;
mod fault;
mod operator;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::{Array, AsArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Schema, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

use super::row_checks;
use super::sort::KeySort;
use crate::error::{Code, Error};
use crate::model::{Misfit, RECORD_COLUMN, RecordRef, RowCheck};
use fault::Fault;
use operator::{Policy, RECOMPUTED, Refusing};

/// The bit of `_record` that marks a row that failed. The other bits are its position in [`Rows::failed`]. Record numbers
/// never have it: they are a file's index and 40 bits.
const MARK: u64 = 1 << 63;

/// The most rows that may fail. With more of them the batch fails, since something is wrong with all of it.
const MOST: usize = 1_000_000;

/// The path of a refusal that is about no single column, such as one by a WHERE.
const WHOLE_ROW: &str = "$";

/// The rows of one running transform for which an expression failed.
#[derive(Debug, Clone)]
pub struct Failed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The SQL file, relative to the project.
    path: PathBuf,
    row_checks: Vec<RowCheck>,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    failed: Vec<(Option<u64>, Arc<Grounds>)>,
    known: HashMap<(Option<String>, Fault), Arc<Grounds>>,
    /// The record of the row that failed the batch.
    fatal: Option<u64>,
}

/// Why rows are refused, without a value.
#[derive(Debug)]
struct Grounds {
    check: String,
    path: String,
    reason: String,
}

impl Failed {
    pub(super) fn new(path: PathBuf, row_checks: Vec<RowCheck>) -> Self {
        Self(Arc::new(Shared {
            path,
            row_checks,
            rows: Mutex::default(),
        }))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a failed row and returns its mark.
    fn note(&self, column: Option<&str>, record: Option<u64>, fault: &Fault) -> Result<u64> {
        let mut rows = self.rows();
        if rows.failed.len() == MOST {
            let error = Error::batch(format!("{}: more than {MOST} rows fail", self.0.path.display()))
                .code(Code::TransformFailed)
                .cause(self.grounds(column, fault).reason)
                .hint("the transform does not fit this input");
            return Err(DataFusionError::External(Box::new(error)));
        }
        let key = (column.map(str::to_owned), fault.clone());
        let grounds = rows
            .known
            .entry(key)
            .or_insert_with(|| Arc::new(self.grounds(column, fault)));
        let grounds = Arc::clone(grounds);
        rows.failed.push((record, grounds));
        Ok(MARK | (rows.failed.len() as u64 - 1))
    }

    /// The error of a row that can't be refused by itself.
    fn fatal(&self, column: Option<&str>, record: Option<u64>, fault: &Fault) -> DataFusionError {
        self.rows().fatal = record;
        let Grounds { path, reason, .. } = self.grounds(column, fault);
        let column = if path == WHOLE_ROW {
            String::new()
        } else {
            format!("column `{path}`: ")
        };
        let error = Error::batch(format!("{} failed while it ran", self.0.path.display()))
            .code(Code::TransformFailed)
            .cause(format!("{column}{reason}"))
            .hint(
                "a row that is joined, aggregated or counted with others can't be refused by itself: use try_cast, \
                 try_parse_date or a CASE there",
            );
        DataFusionError::External(Box::new(error))
    }

    fn grounds(&self, column: Option<&str>, fault: &Fault) -> Grounds {
        let kind = fault.kind.name();
        let of_check = column
            .and_then(row_checks::position)
            .and_then(|at| self.0.row_checks.get(at));
        if let Some(check) = of_check {
            return Grounds {
                check: format!("{kind}({})", check.name),
                path: check.column.clone().unwrap_or_else(|| WHOLE_ROW.to_owned()),
                reason: format!("the check can't be evaluated: {}", fault.reason),
            };
        }
        match column.filter(|name| !name.starts_with('_')) {
            Some(column) => Grounds {
                check: format!("{kind}({column})"),
                path: column.to_owned(),
                reason: fault.reason.clone(),
            },
            None => Grounds {
                check: kind.to_owned(),
                path: WHOLE_ROW.to_owned(),
                reason: fault.reason.clone(),
            },
        }
    }

    /// The rows of an output batch with the numbers of their records, and those of them that failed.
    pub fn restore(&self, batch: RecordBatch) -> crate::error::Result<(RecordBatch, Vec<Misfit>)> {
        let rows = self.rows();
        let Some(at) = record_column(batch.schema_ref()).filter(|_| !rows.failed.is_empty()) else {
            return Ok((batch, Vec::new()));
        };
        let records = batch.column(at).as_primitive::<UInt64Type>();
        if !(0..records.len()).any(|row| is_marked(records, row)) {
            return Ok((batch, Vec::new()));
        }
        let (mut misfits, mut restored) = (Vec::new(), Vec::with_capacity(records.len()));
        for row in 0..records.len() {
            let record = records.is_valid(row).then(|| records.value(row));
            if !is_marked(records, row) {
                restored.push(record);
                continue;
            }
            let position = usize::try_from(records.value(row) & !MARK).unwrap_or(usize::MAX);
            let (record, grounds) = rows.failed.get(position).ok_or_else(Error::internal)?;
            restored.push(*record);
            misfits.push(Misfit {
                row,
                check: grounds.check.clone(),
                path: grounds.path.clone(),
                reason: grounds.reason.clone().into(),
            });
        }
        let mut columns = batch.columns().to_vec();
        columns[at] = Arc::new(UInt64Array::from(restored));
        let batch = RecordBatch::try_new(batch.schema(), columns).map_err(|_| Error::internal())?;
        Ok((batch, misfits))
    }

    /// Adds to the error of a failed batch which record it was, where that is known.
    pub fn explain(&self, error: Error, locate: &dyn Fn(u64) -> RecordRef) -> Error {
        match (self.rows().fatal.take(), error.why()) {
            (Some(record), Some(why)) => error.cause(format!("{why}, at {}", locate(record))),
            _ => error,
        }
    }
}

/// The position of the column that holds each row's record.
fn record_column(schema: &Schema) -> Option<usize> {
    let (at, field) = schema.column_with_name(RECORD_COLUMN)?;
    (*field.data_type() == DataType::UInt64).then_some(at)
}

fn is_marked(records: &UInt64Array, row: usize) -> bool {
    records.is_valid(row) && records.value(row) & MARK != 0
}

/// Replaces the projections and filters of a plan in which an expression may fail.
pub(super) fn refusing(plan: Arc<dyn ExecutionPlan>, failed: &Failed) -> Result<Arc<dyn ExecutionPlan>> {
    let walk = Walk { failed };
    let schema = plan.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let labels = names.map(|name| (name.clone(), name)).collect();
    Ok(walk.down(plan, record_column, &labels)?.plan)
}

struct Walk<'a> {
    failed: &'a Failed,
}

struct Walked {
    plan: Arc<dyn ExecutionPlan>,
    /// Whether rows of it may be marked.
    marks: bool,
}

/// Where a plan's output has the record that a mark may replace, if a mark gets from there to the output of all.
type Reaches = fn(&Schema) -> Option<usize>;

/// The column of the entity for which a column of a plan is made.
pub(super) type Labels = HashMap<String, String>;

impl Walk<'_> {
    fn down(&self, plan: Arc<dyn ExecutionPlan>, reaches: Reaches, labels: &Labels) -> Result<Walked> {
        let marking = reaches(&plan.schema()).is_some();
        let below: Reaches = if marking && keeps_rows_apart(&plan) {
            record_column
        } else {
            |_| None
        };
        let before: Vec<Arc<dyn ExecutionPlan>> = plan.children().into_iter().cloned().collect();
        let (mut children, mut marks, mut changed) = (Vec::with_capacity(before.len()), false, false);
        let labels_below = match plan.downcast_ref::<ProjectionExec>() {
            Some(projection) => labels_below(projection, labels)?,
            None => labels.clone(),
        };
        for child in before {
            let walked = self.down(Arc::clone(&child), below, &labels_below)?;
            changed |= !Arc::ptr_eq(&child, &walked.plan);
            marks |= walked.marks;
            children.push(walked.plan);
        }
        let plan = if changed {
            plan.replace_children(children, RECOMPUTED)?
        } else {
            plan
        };
        let policy = if marking { Policy::Refuse } else { Policy::Fail };
        match Refusing::instead_of(&plan, policy, marks, labels, self.failed) {
            Some(refusing) => Ok(Walked {
                plan: Arc::new(refusing),
                marks: marks || marking,
            }),
            None => Ok(Walked { plan, marks }),
        }
    }
}

/// The labels of a projection's input: a column that only one of its outputs needs is made for that one. Outputs that are
/// no columns of the entity, such as those of checks, count only where no other needs it.
fn labels_below(projection: &ProjectionExec, labels: &Labels) -> Result<Labels> {
    let mut needed: HashMap<String, Option<String>> = HashMap::new();
    for output in projection.expr() {
        let label = labels.get(&output.alias);
        output.expr.apply(|part| {
            if let Some(column) = part.downcast_ref::<Column>() {
                let known = needed.entry(column.name().to_owned()).or_insert_with(|| label.cloned());
                let own = |label: &str| label.starts_with('_');
                match (known.as_deref(), label) {
                    (Some(known), Some(label)) if known == label || own(label) => {}
                    (Some(this), Some(label)) if own(this) => *known = Some(label.clone()),
                    _ => *known = None,
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let known = |(name, label): (String, Option<String>)| Some((name, label?));
    Ok(needed.into_iter().filter_map(known).collect())
}

/// Whether each row of the operator's output comes from one row of its input, with that row's record, and no row
/// decides what comes of another.
fn keeps_rows_apart(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let mut columns = projection.expr().iter().filter(|one| one.alias == RECORD_COLUMN);
        return columns.any(|one| {
            one.expr
                .downcast_ref::<Column>()
                .is_some_and(|column| column.name() == RECORD_COLUMN)
        });
    }
    let windows = match (
        node.downcast_ref::<BoundedWindowAggExec>(),
        node.downcast_ref::<WindowAggExec>(),
    ) {
        (Some(window), _) => Some(window.window_expr()),
        (_, Some(window)) => Some(window.window_expr()),
        _ => None,
    };
    if let Some(windows) = windows {
        return windows.iter().all(|one| row_checks::numbers_duplicates(one.name()));
    }
    node.fetch().is_none()
        && (node.is::<FilterExec>()
            || node.is::<KeySort>()
            || node.is::<SortExec>()
            || node.is::<UnnestExec>()
            || node.is::<UnionExec>()
            || node.is::<CooperativeExec>()
            || node.is::<CoalescePartitionsExec>())
}
