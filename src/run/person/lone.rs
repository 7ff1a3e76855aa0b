//! A source that reads records from memory which hold an id and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};

use super::spot::Spot;
use super::subject::Subject;
use crate::error::{Error, Result};
use crate::ingest::{Listing, ReadStats};
use crate::mask::{MaskKey, SubjectHash, Unmasked};
use crate::model::{
    Compression, Condition, Encoding, Field, FieldType, Format, From, OnEmpty, OnMalformed, OnNoRecords,
    OnUnknownField, RecordPath, Source, ValueRules,
};

/// A source that reads records of one kind from memory, each with an id.
pub(super) struct Lone {
    pub source: Source,
    pub spot: Spot,
    /// What tells records of the kind.
    conditions: Vec<Condition>,
}

impl Lone {
    /// # Errors
    /// The source has no such kind.
    pub fn of(source: &Source, spot: &Spot) -> Result<Self> {
        let mut lone = source.clone();
        let own = lone.kinds.get_mut(spot.kind).ok_or_else(Error::internal)?;
        loosen(&mut own.schema, Some(&spot.positions));
        let conditions = std::mem::take(&mut own.conditions);
        let input = &mut lone.input;
        (input.format, input.compression, input.encoding) = (Format::Json, Some(Compression::None), Encoding::Utf8);
        (input.records, input.on_no_records) = (RecordPath::default(), OnNoRecords::Refuse);
        (input.on_malformed, input.on_empty) = (OnMalformed::Quarantine, OnEmpty::Replace);
        for kind in &mut lone.kinds {
            kind.on_unknown_field = OnUnknownField::Ignore;
        }
        Ok(Self {
            source: lone,
            spot: spot.clone(),
            conditions,
        })
    }

    /// Reads a record for each id. With `filled`, fields beside the id have values where their types allow any; else they
    /// are null. Fields that tell the kind have the values that they have in records of it.
    ///
    /// # Errors
    /// The source has no such kind.
    pub async fn read(&self, ids: &[Subject], filled: bool) -> Result<Vec<Unmasked>> {
        let kind = self.source.kinds.get(self.spot.kind).ok_or_else(Error::internal)?;
        let records = ids.iter().map(|id| {
            let mut record = record(&kind.schema, Some(&self.spot.positions), id, filled);
            for condition in &self.conditions {
                if let Some(value) = condition.values.first() {
                    fulfil(&kind.schema, &mut record, &condition.path, value);
                }
            }
            Value::Object(record)
        });
        let text = Bytes::from(Value::Array(records.collect()).to_string());
        let listing = Listing::in_memory("the id", vec![(Some(self.spot.kind), text)]);
        listing
            .read(&self.source, 1, Arc::new(ReadStats::default()))
            .try_collect()
            .await
    }

    /// How the suppression list names the id of a subject; `None` where the source can't hold it, or takes it for null.
    pub async fn hash(&self, id: &Subject, key: &MaskKey) -> Result<Option<String>> {
        let subjects = SubjectHash::of(&self.source, key).ok_or_else(Error::internal)?;
        match self.read(std::slice::from_ref(id), false).await?.first() {
            Some(batch) => Ok(subjects.hashes(batch)?.into_iter().next().flatten()),
            None => Ok(None),
        }
    }
}

/// Takes from the schema what would refuse a record for anything but the id.
fn loosen(fields: &mut [Field], positions: Option<&[usize]>) {
    for (at, field) in fields.iter_mut().enumerate() {
        loosen_field(field, below(positions, at));
    }
}

/// `positions`: those below the field, if the id is at or below it.
fn loosen_field(field: &mut Field, positions: Option<&[usize]>) {
    field.required = false;
    let has_id = positions.is_some_and(<[usize]>::is_empty);
    if !has_id {
        field.rules = ValueRules::default();
        field.from = None;
    }
    match &mut field.field_type {
        FieldType::Struct(children) => loosen(children, positions),
        FieldType::List(item) => loosen_field(item, positions),
        FieldType::Int | FieldType::Bigint | FieldType::Decimal(..) if has_id => field.from = Some(From::String),
        _ if has_id => field.from = None,
        _ => {}
    }
}

fn below(positions: Option<&[usize]>, at: usize) -> Option<&[usize]> {
    let (first, below) = positions?.split_first()?;
    (*first == at).then_some(below)
}

fn record(fields: &[Field], positions: Option<&[usize]>, id: &Subject, filled: bool) -> Map<String, Value> {
    let value = |(at, field): (usize, &Field)| (field.name.clone(), value(field, below(positions, at), id, filled));
    fields.iter().enumerate().map(value).collect()
}

fn value(field: &Field, positions: Option<&[usize]>, id: &Subject, filled: bool) -> Value {
    match &field.field_type {
        FieldType::Struct(children) => Value::Object(record(children, positions, id, filled)),
        FieldType::List(item) => json!([value(item, positions, id, filled)]),
        _ if positions.is_some_and(<[usize]>::is_empty) => json!(id.text()),
        _ if !filled => Value::Null,
        FieldType::String => json!("x"),
        FieldType::Int | FieldType::Bigint | FieldType::Double => json!(1),
        FieldType::Bool => json!(true),
        _ => Value::Null,
    }
}

/// Sets a declared field to a value that a condition of the kind names.
fn fulfil(fields: &[Field], record: &mut Map<String, Value>, path: &[String], text: &str) {
    let Some((first, inside)) = path.split_first() else {
        return;
    };
    let Some(field) = fields.iter().find(|field| field.name == *first) else {
        return;
    };
    match (&field.field_type, record.get_mut(first)) {
        (FieldType::Struct(children), Some(Value::Object(object))) => fulfil(children, object, inside, text),
        (FieldType::Int | FieldType::Bigint | FieldType::Bool, Some(value)) => {
            *value = serde_json::from_str(text).unwrap_or(Value::Null);
        }
        (FieldType::String, Some(value)) => *value = json!(text),
        _ => {}
    }
}
