//! Decodes records into Arrow by the declared schema. A value that does not fit its declaration is a [`Fault`] with its
//! path and the reason. What the record added to the columns is then removed, and the records before and after it stay.
//! Nothing is coerced, and undeclared fields are not kept.

mod column;
mod cursor;
mod cuts;
mod json;
mod kinds;
mod look;
mod plan;
mod row;
mod rules;
mod salvage;
mod strays;
mod text;

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::SchemaRef;

pub(super) use column::Column;
pub(super) use cuts::Cuts;
pub(super) use kinds::{Found, Kinds, Parts, WHOLE};
pub(super) use plan::{Group, Node, Plan, Scalar, ScalarKind, Shape};
pub(super) use rules::Breach;
pub(super) use strays::Strays;
pub(super) use text::push_text;

use self::cursor::Cursor;
use super::failure::{Fault, NOT_UTF8};
use super::split::CsvHeader;
use super::unknown::{Sightings, Unknown};
use crate::error::{Error, Result};
use crate::mask::NameHash;
use crate::model::refusal::{MALFORMED, Reason};
use crate::model::{CsvOptions, OnUnknownField, Refusal};

/// Checks a JSON text as strictly as a record. The error is the reason why it is not valid.
pub(super) fn check_json(text: &str) -> Result<(), Reason> {
    let mut cursor = Cursor::new(text);
    cursor
        .skip_value()
        .and_then(|()| cursor.end())
        .map_err(|bad| bad.reason)
}

/// The result of decoding some records of one kind.
pub(super) struct Decoded {
    /// The index of the kind.
    pub kind: usize,
    pub batch: RecordBatch,
    /// The records that are refused, and so not in the batch.
    pub refused: Vec<Refusal>,
    /// What can still be read of the refused records; null is what can't. It is only counted, never loaded.
    pub salvaged: Option<RecordBatch>,
    /// The undeclared fields of the batch's records, by [`Plan::objects`].
    pub unknown: Vec<Unknown>,
    /// How many times in the batch were cut to microseconds.
    pub cuts: Cuts,
}

/// What decoding of a kind's records needs. Parquet uses it as well, without `csv`.
pub(super) struct Decoding {
    /// The index of the kind.
    pub kind: usize,
    pub plan: Plan,
    pub schema: SchemaRef,
    pub on_unknown_field: OnUnknownField,
    /// The keyed hash by which undeclared fields are told apart. `None`: they are only counted.
    pub names: Option<NameHash>,
    pub csv: CsvOptions,
}

/// The columns of a batch while its records are decoded.
struct Decoder<'a> {
    decoding: &'a Decoding,
    columns: Vec<Column>,
    /// The values of the record column, one for each row that is complete.
    ids: Vec<u64>,
    unknown: Sightings<'a>,
}

impl<'a> Decoder<'a> {
    fn new(decoding: &'a Decoding) -> Self {
        let names = decoding.names.as_ref();
        let names = names.filter(|_| decoding.on_unknown_field == OnUnknownField::Warn);
        Self {
            decoding,
            columns: columns_of(&decoding.schema),
            ids: Vec::new(),
            unknown: Sightings::new(decoding.plan.objects.len(), names),
        }
    }

    /// Decodes a record into the next row. Where that fails, removes what it has added to the columns.
    fn push(&mut self, record: &[u8], header: Option<&CsvHeader>, id: u64) -> Result<(), Fault> {
        let rows = self.ids.len();
        let result = match std::str::from_utf8(record) {
            Err(error) => Err(self.fault(error.valid_up_to(), NOT_UTF8)),
            Ok(text) => match header {
                Some(header) => self.row(text, header),
                None => self.json(text),
            },
        };
        if result.is_err() {
            self.columns.iter_mut().for_each(|column| column.truncate(rows));
            self.unknown.forget();
            return result;
        }
        self.ids.push(id);
        self.unknown.keep();
        Ok(())
    }

    fn json(&mut self, text: &str) -> Result<(), Fault> {
        let strict = self.decoding.on_unknown_field == OnUnknownField::Fail;
        json::record(
            text,
            &self.decoding.plan.root,
            &mut self.columns,
            &mut self.unknown,
            strict,
        )
    }

    fn row(&mut self, text: &str, header: &CsvHeader) -> Result<(), Fault> {
        row::record(text, header, self.decoding, &mut self.columns, &mut self.unknown)
    }

    fn fault(&self, at: usize, reason: impl Into<Reason>) -> Fault {
        Fault {
            path: Arc::clone(&self.decoding.plan.root.path),
            at,
            check: MALFORMED,
            reason: reason.into(),
        }
    }

    fn cuts(&self) -> Cuts {
        let mut cuts = Cuts::default();
        for (column, node) in self.columns.iter().zip(&self.decoding.plan.root.fields) {
            cuts.add_column(column, node);
        }
        cuts
    }

    fn finish(self) -> Result<(RecordBatch, Vec<Unknown>)> {
        let batch = make_batch(&self.decoding.schema, self.columns, self.ids)?;
        Ok((batch, self.unknown.finish()))
    }
}

/// Empty columns for the declared fields of a schema.
fn columns_of(schema: &SchemaRef) -> Vec<Column> {
    let fields = schema.fields();
    let declared = &fields[..fields.len() - 1];
    declared.iter().map(|field| Column::new(field.data_type())).collect()
}

fn make_batch(schema: &SchemaRef, columns: Vec<Column>, ids: Vec<u64>) -> Result<RecordBatch> {
    let internal = |error| Error::batch("the decoded records do not make an Arrow batch").cause(error);
    let mut arrays = Vec::with_capacity(columns.len() + 1);
    for (column, field) in columns.into_iter().zip(schema.fields()) {
        arrays.push(column.finish(field.data_type()).map_err(internal)?);
    }
    arrays.push(Arc::new(UInt64Array::from(ids)));
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(internal)
}

#[cfg(test)]
mod tests;
