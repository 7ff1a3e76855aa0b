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
    Batch, Column, Compression, Encoding, Entity, Field, FieldType, Format, From, MaskKind, OnEmpty, OnMalformed,
    OnNoRecords, OnUnknownField, Project, RecordPath, Source, ValueRules, subject,
};
use crate::run::masking::of_batch;
use crate::transform::{Engine, Execution, Prepared, ScanInput};
use crate::warehouse::person::Mark;

/// A source that reads one record from memory, which holds an id.
pub(super) struct Lone {
    pub source: Source,
    listing: Listing,
}

impl Lone {
    /// With `filled`, fields beside the id have values where their types allow any; else they are null.
    ///
    /// # Errors
    /// The source has no subject.
    pub fn of(source: &Source, id: &Subject, filled: bool) -> Result<Self> {
        let path = source.subject.as_deref().unwrap_or_default();
        let positions = subject::find(&source.schema, path)
            .map_err(|_| Error::internal())?
            .positions;
        let mut lone = source.clone();
        let record = record(&mut lone.schema, Some(&positions), id, filled);
        let input = &mut lone.input;
        (input.format, input.compression, input.encoding) = (Format::Json, Some(Compression::None), Encoding::Utf8);
        (input.records, input.on_no_records) = (RecordPath::default(), OnNoRecords::Refuse);
        (input.on_malformed, input.on_empty) = (OnMalformed::Quarantine, OnEmpty::Replace);
        lone.on_unknown_field = OnUnknownField::Ignore;
        let listing = Listing::in_memory("the id", Bytes::from(Value::Object(record).to_string()));
        Ok(Self { source: lone, listing })
    }

    async fn read(&self) -> Result<Vec<Unmasked>> {
        self.listing
            .read(&self.source, 1, Arc::new(ReadStats::default()))
            .try_collect()
            .await
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
pub(super) async fn hashes(lone: &Lone, key: &MaskKey) -> Result<Option<String>> {
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

/// Probes a source. `None`: it can't hold the id.
///
/// # Errors
/// Transforms that can't be planned, or masks that can't be applied.
pub(super) async fn probe(person: &Person<'_>, lineage: &ProjectLineage, source: &Source) -> Result<Option<Probed>> {
    let Person { project, key, id, .. } = person;
    let mut probed = Probed::default();
    let mut seen: Vec<Seen> = Vec::new();
    for filled in [false, true] {
        let lone = Lone::of(source, id, filled)?;
        if hashes(&lone, key).await?.is_none() {
            return Ok(None);
        }
        seen.push(run(project, &lone, key).await?);
    }
    let path = lineage::subject_path(source).ok_or_else(Error::internal)?;
    let masked = subject_mask(source) != MaskKind::Keep;
    for transform in &source.transforms {
        let entity = project.entity(&transform.entity)?;
        for column in columns(lineage, source, entity, &path) {
            let why = match held(&seen, entity, &column) {
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

/// The mask of a source's subject.
pub(super) fn subject_mask(source: &Source) -> MaskKind {
    let found = source
        .subject
        .as_deref()
        .map(|path| subject::find(&source.schema, path));
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
        id: masked.first().and_then(|batch| masked_id(&lone.source, batch.batch())),
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
    let scan = ScanInput::own(masks.output_schema(), again);
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

fn masked_id(source: &Source, batch: &RecordBatch) -> Option<String> {
    let found = subject::find(&source.schema, source.subject.as_deref()?).ok()?;
    let (first, inside) = found.positions.split_first()?;
    let mut array = Arc::clone(batch.column(*first));
    for position in inside {
        array = Arc::clone(array.as_struct_opt()?.column(*position));
    }
    texts(&array)?.pop()
}

/// The values of a column as text, without nulls. `None`: they have no text.
fn texts(array: &Arc<dyn Array>) -> Option<Vec<String>> {
    let texts = cast(array, &DataType::Utf8).ok()?;
    let texts = texts.as_string_opt::<i32>()?;
    Some(texts.iter().flatten().map(str::to_owned).collect())
}
