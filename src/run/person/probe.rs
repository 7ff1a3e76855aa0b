//! Finds out what the tables hold of a person, by running the transforms over a record that holds the person's id and
//! nothing else. So an id that the SQL cuts, joins or casts is found as well as one that it copies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::Bytes;
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};

use super::subject::{Person, Subject};
use crate::error::{Error, Result};
use crate::ingest::{Listing, ReadStats};
use crate::lineage::{self, Dependence, ProjectLineage};
use crate::mask::{MaskKey, Masked, Masks, SubjectHash, Unmasked};
use crate::model::scalar_field::effective_mask;
use crate::model::{
    Batch, Column, Compression, Encoding, Entity, Field, FieldType, Format, From, Kind, MaskKind, OnEmpty, OnMalformed,
    OnNoRecords, OnUnknownField, Project, RecordPath, Source, ValueRules, is_reference, subject,
};
use crate::run::masking::of_batch;
use crate::transform::{Engine, Execution, Prepared, ScanInput};
use crate::warehouse::person::Mark;

/// A source that reads one record of one kind from memory, which holds an id.
pub(super) struct Lone {
    pub source: Source,
    kind: usize,
    listing: Listing,
}

impl Lone {
    /// With `filled`, fields beside the id have values where their types allow any; else they are null. Fields that tell
    /// the kind have the values that they have in records of it.
    ///
    /// # Errors
    /// The kind has no subject.
    pub fn of(source: &Source, kind: usize, id: &Subject, filled: bool) -> Result<Self> {
        let mut lone = source.clone();
        let own = lone.kinds.get_mut(kind).ok_or_else(Error::internal)?;
        let positions = subject::find(&own.schema, own.subject.as_deref().unwrap_or_default())
            .map_err(|_| Error::internal())?
            .positions;
        let mut record = record(&mut own.schema, Some(&positions), id, filled);
        for condition in std::mem::take(&mut own.conditions) {
            if let Some(value) = condition.values.first() {
                fulfil(&own.schema, &mut record, &condition.path, value);
            }
        }
        let input = &mut lone.input;
        (input.format, input.compression, input.encoding) = (Format::Json, Some(Compression::None), Encoding::Utf8);
        (input.records, input.on_no_records) = (RecordPath::default(), OnNoRecords::Refuse);
        (input.on_malformed, input.on_empty) = (OnMalformed::Quarantine, OnEmpty::Replace);
        for kind in &mut lone.kinds {
            kind.on_unknown_field = OnUnknownField::Ignore;
        }
        let text = Bytes::from(Value::Object(record).to_string());
        let listing = Listing::in_memory("the id", vec![(Some(kind), text)]);
        Ok(Self {
            source: lone,
            kind,
            listing,
        })
    }

    async fn read(&self) -> Result<Vec<Unmasked>> {
        self.listing
            .read(&self.source, 1, Arc::new(ReadStats::default()))
            .try_collect()
            .await
    }

    fn declared(&self) -> Result<&Kind> {
        self.source.kinds.get(self.kind).ok_or_else(Error::internal)
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

/// The record. Takes from the schema what would refuse it for anything but the id.
fn record(fields: &mut [Field], positions: Option<&[usize]>, id: &Subject, filled: bool) -> Map<String, Value> {
    let mut record = Map::new();
    for (at, field) in fields.iter_mut().enumerate() {
        let on_path = positions
            .and_then(<[usize]>::split_first)
            .filter(|(first, _)| **first == at);
        let value = value(field, on_path.map(|(_, rest)| rest), id, filled);
        record.insert(field.name.clone(), value);
    }
    record
}

/// `positions`: those below the field, if the id is at or below it.
fn value(field: &mut Field, positions: Option<&[usize]>, id: &Subject, filled: bool) -> Value {
    field.required = false;
    let is_subject = positions.is_some_and(<[usize]>::is_empty);
    if !is_subject {
        field.rules = ValueRules::default();
        field.from = None;
    }
    match &mut field.field_type {
        FieldType::Struct(children) => Value::Object(record(children, positions, id, filled)),
        FieldType::List(item) => json!([value(item, None, id, filled)]),
        scalar if is_subject => {
            field.from = match scalar {
                FieldType::Int | FieldType::Bigint | FieldType::Decimal(..) => Some(From::String),
                _ => None,
            };
            json!(id.text())
        }
        _ if !filled => Value::Null,
        FieldType::String => json!("x"),
        FieldType::Int | FieldType::Bigint | FieldType::Double => json!(1),
        FieldType::Bool => json!(true),
        _ => Value::Null,
    }
}

/// How the suppression list names the id; `None` where the source can't hold it, or takes it for null.
pub(super) async fn hash(lone: &Lone, key: &MaskKey) -> Result<Option<String>> {
    let subjects = SubjectHash::of(&lone.source, key).ok_or_else(Error::internal)?;
    match lone.read().await?.first() {
        Some(batch) => Ok(subjects.hashes(batch)?.into_iter().next().flatten()),
        None => Ok(None),
    }
}

/// What the columns of a source's entities hold of a person.
#[derive(Debug, Default)]
pub(super) struct Probed {
    /// By entity.
    pub marks: BTreeMap<String, Vec<Mark>>,
    /// Columns that derive from the id and can't be compared with it: entity and why.
    pub unsearched: Vec<(String, String)>,
    /// Entities of which it is only assumed that their SQL copies the id.
    pub assumed: BTreeSet<String>,
}

impl Probed {
    /// Adds what else is known of the same source.
    pub fn add(&mut self, other: Self) {
        for (entity, marks) in other.marks {
            let known = self.marks.entry(entity).or_default();
            for mark in marks {
                if !known.contains(&mark) {
                    known.push(mark);
                }
            }
        }
        self.unsearched.extend(other.unsearched);
        self.assumed.extend(other.assumed);
    }
}

/// Probes a kind of a source. `None`: it can't hold the id.
///
/// # Errors
/// Transforms that can't be planned, or masks that can't be applied.
pub(super) async fn probe(
    person: &Person<'_>,
    lineage: &ProjectLineage,
    source: &Source,
    kind: usize,
    id: &Subject,
) -> Result<Option<Probed>> {
    let Person { project, key, .. } = person;
    let mut probed = Probed::default();
    let mut seen: Vec<Seen> = Vec::new();
    for filled in [false, true] {
        let lone = Lone::of(source, kind, id, filled)?;
        if hash(&lone, key).await?.is_none() {
            return Ok(None);
        }
        seen.push(run(project, &lone, key).await?);
    }
    let others = others(person, source, kind, id).await?;
    let declared = source.kinds.get(kind).ok_or_else(Error::internal)?;
    let path = lineage::subject_path(declared).ok_or_else(Error::internal)?;
    let masked = subject_mask(declared) != MaskKind::Keep;
    for transform in &source.transforms {
        let entity = project.entity(&transform.entity)?;
        for column in columns(lineage, source, entity, &path) {
            let why = match held(&seen, entity, &column) {
                // Such as the type of a reference, by which everybody would be found.
                Ok(Held { text, .. }) if others.holds(entity, &column, &text) => {
                    "it holds the same for other ids".to_owned()
                }
                Ok(Held { text, assumed }) => {
                    if assumed {
                        probed.assumed.insert(entity.name.clone());
                    }
                    let declared = entity.columns.iter().find(|one| one.name == column);
                    let mark = declared.and_then(|one| Mark::new(&column, one.pg_type, &text, masked));
                    match mark {
                        Some(mark) => {
                            probed.marks.entry(entity.name.clone()).or_default().push(mark);
                            continue;
                        }
                        None => "its type can't be compared".to_owned(),
                    }
                }
                Err(why) => why,
            };
            probed
                .unsearched
                .push((entity.name.clone(), format!("{column}: {why}")));
        }
    }
    Ok(Some(probed))
}

/// What the columns hold of another person. Empty where the checks of the kind refuse the id that is tried.
async fn others(person: &Person<'_>, source: &Source, kind: usize, id: &Subject) -> Result<Seen> {
    let mut seen = Seen {
        id: None,
        texts: BTreeMap::new(),
    };
    let other = id.of_another();
    for filled in [false, true] {
        let lone = Lone::of(source, kind, &other, filled)?;
        if hash(&lone, &person.key).await?.is_some() {
            for (place, texts) in run(person.project, &lone, &person.key).await?.texts {
                seen.texts.entry(place).or_default().extend(texts);
            }
        }
    }
    Ok(seen)
}

/// The mask of a kind's subject.
pub(super) fn subject_mask(kind: &Kind) -> MaskKind {
    let found = kind.subject.as_deref().map(|path| subject::find(&kind.schema, path));
    found
        .and_then(Result::ok)
        .map_or(MaskKind::Keep, |found| effective_mask(&found.field.privacy))
}

/// The columns of an entity that are computed from the subject.
fn columns(lineage: &ProjectLineage, source: &Source, entity: &Entity, path: &str) -> Vec<String> {
    let derives = |column: &&Column| {
        let mut of = lineage
            .of(&entity.name, &column.name)
            .filter(|one| one.source == source.name);
        of.any(|one| {
            let mut origins = one.origins.iter();
            origins.any(|origin| origin.dependence == Dependence::Direct && origin.path == path)
        })
    };
    entity
        .columns
        .iter()
        .filter(derives)
        .map(|column| column.name.clone())
        .collect()
}

/// What a run over the lone record gave.
struct Seen {
    /// The masked id itself.
    id: Option<String>,
    /// The texts of each column, by entity and column. An entity without rows is left out.
    texts: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Seen {
    fn holds(&self, entity: &Entity, column: &str, text: &str) -> bool {
        let place = (entity.name.clone(), column.to_owned());
        self.texts.get(&place).is_some_and(|texts| texts.contains(text))
    }
}

/// What a column holds of the person.
struct Held {
    text: String,
    /// The SQL makes no row of the lone record. That it copies the id is the best guess.
    assumed: bool,
}

/// What a column holds of the person, or why that is not known.
fn held(seen: &[Seen], entity: &Entity, column: &str) -> Result<Held, String> {
    let place = (entity.name.clone(), column.to_owned());
    let texts: Vec<&BTreeSet<String>> = seen.iter().filter_map(|one| one.texts.get(&place)).collect();
    let distinct: BTreeSet<&String> = texts.iter().flat_map(|texts| texts.iter()).collect();
    match (texts.is_empty(), distinct.len()) {
        (true, _) => {
            let id = seen.iter().find_map(|one| one.id.clone());
            let text = id.ok_or_else(|| "the mask leaves nothing of the id".to_owned())?;
            Ok(Held { text, assumed: true })
        }
        (false, 1) => Ok(Held {
            text: distinct.into_iter().next().cloned().unwrap_or_default(),
            assumed: false,
        }),
        (false, 0) => Err("it is null where only the id is known".to_owned()),
        (false, _) => Err("it is computed from other fields, too".to_owned()),
    }
}

async fn run(project: &Project, lone: &Lone, key: &MaskKey) -> Result<Seen> {
    let masks = of_batch(
        Masks::plan(&lone.source, key)?,
        project.profile,
        Utc::now().date_naive(),
    )?;
    let masked: Vec<Masked> = lone
        .read()
        .await?
        .into_iter()
        .map(|batch| masks.apply(batch))
        .collect::<Result<_>>()?;
    let mut seen = Seen {
        id: masked_id(lone.declared()?, &masked),
        texts: BTreeMap::new(),
    };
    let engine = lineage::engine()?;
    let outlines = engine.outline(project, &lone.source, |_, _| Ok(())).await;
    let outlines = outlines.map_err(Prepared::problems)?;
    let batch = Batch {
        source: lone.source.name.clone(),
        date: Utc::now().date_naive(),
    };
    let plans = engine
        .prepare(project, &lone.source, &outlines, &batch, &lineage::used)
        .await;
    for plan in plans.map_err(Prepared::problems)? {
        let entity = project.entity(&plan.outline.entity)?;
        for rows in rows(&engine, &plan, &batch, &masks, &masked).await {
            for column in &entity.columns {
                let Some(texts) = rows.column_by_name(&column.name).and_then(texts) else {
                    continue;
                };
                let place = (entity.name.clone(), column.name.clone());
                seen.texts.entry(place).or_default().extend(texts);
            }
        }
    }
    Ok(seen)
}

/// The rows that a transform makes of the record. None where it fails on so empty a record.
async fn rows(engine: &Engine, plan: &Prepared, batch: &Batch, masks: &Masks, masked: &[Masked]) -> Vec<RecordBatch> {
    let held = masked.to_vec();
    let again = move || stream::iter(held.clone()).map(Ok).boxed();
    let scan = ScanInput::own(masks.output_schemas(), again);
    let Ok(Execution { rows, failed, .. }) = engine.execute(plan, batch, scan).await else {
        return Vec::new();
    };
    let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap_or_default();
    let restored = rows.into_iter().filter_map(|rows| failed.restore(rows).ok());
    restored
        .map(|(rows, _)| rows)
        .filter(|rows| rows.num_rows() > 0)
        .collect()
}

fn masked_id(kind: &Kind, masked: &[Masked]) -> Option<String> {
    let found = subject::find(&kind.schema, kind.subject.as_deref()?).ok()?;
    let (first, inside) = found.positions.split_first()?;
    let mut array = Arc::clone(masked.first()?.batch().column(*first));
    for position in inside {
        array = Arc::clone(array.as_struct_opt()?.column(*position));
    }
    if is_reference(array.data_type()) {
        array = Arc::clone(array.as_struct_opt()?.column_by_name("id")?);
    }
    texts(&array)?.pop()
}

/// The values of a column as text, without nulls. `None`: they have no text.
fn texts(array: &Arc<dyn Array>) -> Option<Vec<String>> {
    let texts = cast(array, &DataType::Utf8).ok()?;
    let texts = texts.as_string_opt::<i32>()?;
    Some(texts.iter().flatten().map(str::to_owned).collect())
}
