//! Gives each row of a parquet file to the decoder of its kind, and checks the columns for each kind.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;

use super::super::decode::{Found as Kind, Group, Kinds, Parts, Strays, WHOLE};
use super::super::failure::Fault;
use super::super::reading::Reading;
use super::super::unknown::{Sightings, Unknown};
use super::RowGroup;
use super::types::{Found, check_group};
use crate::error::{Error, Result};
use crate::model::refusal::{MALFORMED, Reason, UNKNOWN_KIND};
use crate::model::{OnUnknownField, OnUnknownKind, Refusal};

/// Whether the rows of a kind are decoded: a read may want those of one kind alone.
fn is_wanted(reading: &Reading, kind: usize) -> bool {
    reading.listing.only.is_none_or(|only| only == kind)
}

/// Whether a column says something of any kind: as a field, or by telling the kind.
fn is_known(reading: &Reading, column: &str) -> bool {
    is_declared(reading, column, |_| true)
}

/// Whether a column is read: as a field of a kind that is wanted, or to tell the kind.
pub(super) fn is_read(reading: &Reading, column: &str) -> bool {
    is_declared(reading, column, |kind| is_wanted(reading, kind))
}

fn is_declared(reading: &Reading, column: &str, of: impl Fn(usize) -> bool) -> bool {
    let mut kinds = reading.kinds.each.iter().filter(|decoding| of(decoding.kind));
    let mut conditions = reading.source.kinds.iter().flat_map(|kind| &kind.conditions);
    kinds.any(|decoding| decoding.plan.root.find(column, 0).is_some())
        || conditions.any(|condition| condition.path.first().is_some_and(|name| name == column))
}

/// What the columns of a file are to a kind.
pub(super) struct Seen {
    /// The undeclared columns, by [`super::super::decode::Plan::objects`]. Each counts once.
    pub undeclared: Vec<Unknown>,
    /// Why no record of the kind can be read from these columns.
    unfit: Option<Reason>,
}

/// Checks the columns of a file against each kind that it can hold. A column that another kind reads is not undeclared.
///
/// # Errors
/// Columns that fit no kind, or are not declared where that is not allowed.
pub(super) fn check(reading: &Reading, index: usize, found: &ArrowReaderMetadata, is_first: bool) -> Result<Vec<Seen>> {
    let path = &reading.listing.files()[index].path;
    let of_file = reading.listing.kinds[index];
    let misfit = |cause: &Reason| {
        Error::batch(format!("{path} does not fit the schema of the source"))
            .cause(cause.to_string())
            .hint("mend the file, or the source's schema")
    };
    let (mut kinds, mut fits) = (Vec::new(), false);
    for decoding in &reading.kinds.each {
        let mut unfit = None;
        let mut met = Sightings::new(decoding.plan.objects.len(), decoding.names.as_ref());
        if of_file.is_none_or(|of_file| of_file == decoding.kind) {
            match check_columns(reading, &decoding.plan.root, found, &mut met) {
                Ok(lacking) => {
                    fits = true;
                    if is_first {
                        reading.lacking(decoding.kind, lacking);
                    }
                    met.keep();
                }
                Err(reason) => {
                    unfit = Some(Reason::from(reason));
                    met.forget();
                }
            }
        }
        let met = met.finish();
        if decoding.on_unknown_field == OnUnknownField::Fail {
            let objects = decoding.plan.objects.iter();
            if let Some((inside, _)) = objects.zip(&met).find(|(_, met)| met.count > 0) {
                return Err(Error::batch(format!("{path} has a column that is not declared"))
                    .cause(format!("in {inside}"))
                    .hint("declare it, or set `on_unknown_field: warn`"));
            }
        }
        kinds.push(Seen { undeclared: met, unfit });
    }
    match kinds.iter().find_map(|kind| kind.unfit.as_ref()) {
        Some(cause) if !fits => Err(misfit(cause)),
        _ => Ok(kinds),
    }
}

/// Checks the columns for one kind. Returns the paths of the declared fields that the file has no column for.
fn check_columns(
    reading: &Reading,
    root: &Group,
    found: &ArrowReaderMetadata,
    undeclared: &mut Sightings<'_>,
) -> std::result::Result<Vec<Arc<str>>, String> {
    let columns = found.schema().fields();
    if !root.fields.iter().any(|node| columns.find(&node.name).is_some()) {
        return Err("it has none of the declared columns".to_owned());
    }
    let own = columns
        .iter()
        .filter(|field| root.find(field.name(), 0).is_some() || !is_known(reading, field.name()));
    let own = own.cloned().collect();
    let mut found = Found {
        undeclared,
        lacking: Vec::new(),
    };
    match check_group(root, &own, &mut found) {
        Ok(()) => Ok(found.lacking),
        Err(unfit) => Err(format!("{}: {}", unfit.path, unfit.reason)),
    }
}

impl RowGroup {
    /// Decodes rows, each by its kind. `first` is the number of the first record.
    pub(super) fn parts(&self, batch: &RecordBatch, first: u64) -> Result<Parts> {
        let reading = &self.file.reading;
        let numbers: Vec<u64> = (first..).take(batch.num_rows()).collect();
        let of_file = reading.listing.kinds[self.file.index];
        let mut strays = Strays::new(reading.kinds.names.as_ref());
        if let Some(kind) = reading.kinds.only(of_file) {
            let (decoded, skipped) = if is_wanted(reading, kind) {
                (vec![self.decoded(&reading.kinds.each[kind], batch, &numbers)?], 0)
            } else {
                (Vec::new(), numbers.len() as u64)
            };
            return Ok(Parts {
                decoded,
                refused: Vec::new(),
                strays: strays.finish(),
                skipped,
            });
        }
        let columns = self.values(batch)?;
        let (mut refused, mut of_kind) = (Vec::new(), vec![Vec::new(); reading.kinds.each.len()]);
        let mut skipped = 0;
        for (row, number) in numbers.iter().enumerate() {
            let value = |kind: usize, place: usize| {
                let path = &reading.source.kinds.get(kind)?.conditions.get(place)?.path;
                let column = columns.get(&path[..])?.as_ref()?;
                column.is_valid(row).then(|| Cow::Borrowed(column.value(row)))
            };
            let (check, reason) = match reading.kinds.find(of_file, value) {
                Kind::Kind(kind) if !is_wanted(reading, kind) => {
                    skipped += 1;
                    continue;
                }
                Kind::Kind(kind) => match &self.file.kinds[kind].unfit {
                    None => {
                        of_kind[kind].push(row);
                        continue;
                    }
                    Some(reason) => (MALFORMED, reason.clone()),
                },
                Kind::Stray(value) if reading.kinds.on_unknown_kind != OnUnknownKind::Fail => {
                    let may_show = value.as_deref().is_some_and(|value| reading.kinds.may_show(value));
                    strays.meet(value.as_deref(), may_show);
                    continue;
                }
                Kind::Stray(_) => (UNKNOWN_KIND, "the record is of no declared kind".into()),
                Kind::Both(one, other) => (MALFORMED, Kinds::both(one, other, &reading.source)),
            };
            let fault = Fault {
                path: Arc::from(WHOLE),
                at: 0,
                check,
                reason,
            };
            refused.push(Refusal {
                file: Some(self.file.path().to_owned()),
                record: Some(*number),
                ..fault.refusal()
            });
        }
        let mut decoded = Vec::new();
        for (decoding, rows) in reading.kinds.each.iter().zip(of_kind) {
            if rows.is_empty() {
                continue;
            }
            let mut wanted = vec![false; batch.num_rows()];
            for row in &rows {
                wanted[*row] = true;
            }
            let own = filter_record_batch(batch, &BooleanArray::from(wanted)).map_err(|_| self.internal())?;
            let numbers: Vec<u64> = rows.iter().map(|row| numbers[*row]).collect();
            decoded.push(self.decoded(decoding, &own, &numbers)?);
        }
        Ok(Parts {
            decoded,
            refused,
            strays: strays.finish(),
            skipped,
        })
    }

    /// The values that tell the kinds of rows, as texts, by path. `None`: the file has no such column.
    fn values(&self, batch: &RecordBatch) -> Result<HashMap<&[String], Option<StringArray>>> {
        let mut values = HashMap::new();
        for condition in self.file.reading.source.kinds.iter().flat_map(|kind| &kind.conditions) {
            let path = &condition.path[..];
            if !values.contains_key(path) {
                values.insert(path, self.texts(batch, path)?);
            }
        }
        Ok(values)
    }

    fn texts(&self, batch: &RecordBatch, path: &[String]) -> Result<Option<StringArray>> {
        let [name, inside @ ..] = path else { return Ok(None) };
        let Some(column) = batch.column_by_name(name) else {
            return Ok(None);
        };
        let mut column: ArrayRef = Arc::clone(column);
        for name in inside {
            let inner = column.as_struct_opt().and_then(|fields| {
                let field = fields.column_by_name(name)?;
                let absent = fields.nulls().map(|nulls| BooleanArray::new(!nulls.inner(), None));
                match absent {
                    Some(absent) => arrow::compute::nullif(field, &absent).ok(),
                    None => Some(Arc::clone(field)),
                }
            });
            let Some(inner) = inner else { return Ok(None) };
            column = inner;
        }
        if column.data_type().is_nested() {
            return Ok(None);
        }
        let texts = cast(&column, &DataType::Utf8).map_err(|_| self.internal())?;
        Ok(texts.as_string_opt::<i32>().cloned())
    }
}
