//! Remembers the rows for which an expression failed, and turns their marks into misfits.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::{Array, AsArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Schema, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};

use super::fault::Fault;
use crate::error::{Code, Error};
use crate::model::{Misfit, RECORD_COLUMN, RecordRef, RowCheck};
use crate::transform::failure::MERGED;
use crate::transform::marks::MARK;
use crate::transform::places::Places;
use crate::transform::prepared::Outline;
use crate::transform::row_checks;

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
    places: Places,
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
    pub(in crate::transform) fn new(outline: &Outline, row_checks: Vec<RowCheck>) -> Self {
        Self(Arc::new(Shared {
            path: outline.path.clone(),
            places: outline.places.clone(),
            row_checks,
            rows: Mutex::default(),
        }))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a failed row and returns its mark.
    pub(super) fn note(&self, column: Option<&str>, record: Option<u64>, fault: &Fault) -> Result<u64> {
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
    pub(super) fn fatal(&self, column: Option<&str>, record: Option<u64>, fault: &Fault) -> DataFusionError {
        self.rows().fatal = record;
        let Grounds { path, reason, .. } = self.grounds(column, fault);
        let column = if path == WHOLE_ROW {
            String::new()
        } else {
            format!("column `{path}`: ")
        };
        let places = self.0.places.say(&self.0.path, |part| fault.is_of(part));
        let error = Error::batch(format!("{} failed while it ran", self.0.path.display()))
            .code(Code::TransformFailed)
            .cause(format!("{column}{reason}{places}"))
            .hint(MERGED);
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
pub(super) fn record_column(schema: &Schema) -> Option<usize> {
    let (at, field) = schema.column_with_name(RECORD_COLUMN)?;
    (*field.data_type() == DataType::UInt64).then_some(at)
}

pub(super) fn is_marked(records: &UInt64Array, row: usize) -> bool {
    records.is_valid(row) && records.value(row) & MARK != 0
}
