//! Finds out what the tables hold of a person, by running the transforms over a record that holds the person's id and
//! nothing else. So an id that the SQL cuts, joins or casts is found as well as one that it copies. A column that holds
//! the same for another id tells nobody, so near ids are tried as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};

use super::lone::Lone;
use super::spot::Spot;
use super::subject::{Person, Subject};
use crate::error::Result;
use crate::lineage::{self, Dependence, ProjectLineage};
use crate::mask::{MaskKey, Masked, Masks};
use crate::model::scalar_field::NOTHING;
use crate::model::{Batch, Column, Entity, FieldType, MaskKind, Project, Source, ValueRules, is_reference};
use crate::run::masking::of_batch;
use crate::transform::{Engine, Execution, Prepared, ScanInput};
use crate::warehouse::person::Mark;

/// What the columns of a source's entities hold of a person.
#[derive(Debug, Default)]
pub(super) struct Probed {
    /// By entity.
    pub marks: BTreeMap<String, Vec<Mark>>,
    /// Columns that derive from the id and can't be compared with it: entity and why.
    pub unsearched: Vec<(String, String)>,
    /// Entities of which it is only assumed that their SQL copies the id.
    pub assumed: BTreeSet<String>,
    /// Columns by which the person is found, and into which other fields go as well: entity and column.
    pub partly: BTreeSet<(String, String)>,
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
        self.partly.extend(other.partly);
    }
}

/// Probes a field of a source. `None`: it can't hold the id.
///
/// # Errors
/// Transforms that can't be planned, or masks that can't be applied.
pub(super) async fn probe(
    person: &Person<'_>,
    lineage: &ProjectLineage,
    source: &Source,
    spot: &Spot,
    id: &Subject,
) -> Result<Option<Probed>> {
    let Person { project, key, .. } = person;
    let bench = Bench::new(project, source, spot, key)?;
    let theirs = std::slice::from_ref(id);
    let seen = [bench.run(theirs, false).await?, bench.run(theirs, true).await?];
    let Some(masked) = seen.iter().find_map(|one| one.id.clone()) else {
        return Ok(None);
    };
    // The checks of the kind may refuse the id that is tried.
    let mut others = bench.run_both(&[id.of_another()]).await?;
    let near = near(person, source, spot, id, &masked).await?;
    others.add(near.others);
    let mut probed = Probed::default();
    let is_masked = spot.mask(source) != MaskKind::Keep;
    for transform in &source.transforms {
        let entity = project.entity(&transform.entity)?;
        for column in columns(lineage, source, entity, &spot.path) {
            let why = match held(&seen, entity, &column) {
                Ok(_) if near.merged.contains(&entity.name) => "a row of it may be of several persons".to_owned(),
                // Such as the type of a reference, or the first letters of an id, by which others would be found.
                Ok(Held { text, .. }) if others.holds(entity, &column, &text) => {
                    "it holds the same for other ids".to_owned()
                }
                Ok(Held { text, assumed }) => {
                    if assumed {
                        probed.assumed.insert(entity.name.clone());
                    }
                    let declared = entity.columns.iter().find(|one| one.name == column);
                    let mark = declared.and_then(|one| Mark::new(&column, one.pg_type, &text, is_masked));
                    match mark {
                        Some(mark) => {
                            if has_others(lineage, source, entity, &column, spot) {
                                probed.partly.insert((entity.name.clone(), column.clone()));
                            }
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

/// What near ids give.
struct Near {
    others: Seen,
    /// Entities in which records of two persons made fewer rows together than each on its own.
    merged: BTreeSet<String>,
}

/// Runs the transforms over masked ids that are as near to the person's as can be. They are given in place of the ids, as
/// no id has a mask that is near to another's.
async fn near(person: &Person<'_>, source: &Source, spot: &Spot, id: &Subject, masked: &str) -> Result<Near> {
    let mut unmasked = source.clone();
    let is_masked = spot.mask(source) != MaskKind::Keep;
    let is_reference = spot.references(source).is_some();
    if let Some(field) = spot.field(&mut unmasked) {
        field.rules = ValueRules::default();
        field.privacy = NOTHING;
        field.privacy.mask = Some(MaskKind::Keep);
        if is_masked && !is_reference {
            field.field_type = FieldType::String;
        }
    }
    let bench = Bench::new(person.project, &unmasked, spot, &person.key)?;
    let id = id.with_id(masked, is_reference);
    let near = id.near(is_reference);
    let mut merged = BTreeSet::new();
    if let Some(other) = near.first() {
        for filled in [false, true] {
            let alone = bench.run(std::slice::from_ref(&id), filled).await?;
            let other_alone = bench.run(std::slice::from_ref(other), filled).await?;
            let both = bench.run(&[id.clone(), other.clone()], filled).await?;
            for (entity, rows) in &alone.rows {
                let of = |seen: &Seen| seen.rows.get(entity).copied().unwrap_or_default();
                if of(&both) < rows + of(&other_alone) {
                    merged.insert(entity.clone());
                }
            }
        }
    }
    Ok(Near {
        others: bench.run_both(&near).await?,
        merged,
    })
}

/// The columns of an entity that are computed from a field.
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

/// Whether other fields go into a column, too, such as the condition of a CASE. They may make another text of the id.
fn has_others(lineage: &ProjectLineage, source: &Source, entity: &Entity, column: &str, spot: &Spot) -> bool {
    let kind = source.kinds.get(spot.kind).map_or("", |kind| kind.prefix());
    // Rows of other kinds are made from other records.
    let is_other = |path: &str| {
        path != spot.path
            && path
                .strip_prefix(kind)
                .is_some_and(|rest| kind.is_empty() || rest.starts_with(['.', '[']))
    };
    let mut of = lineage.of(&entity.name, column).filter(|one| one.source == source.name);
    of.any(|one| {
        let mut origins = one.origins.iter();
        origins.any(|origin| origin.dependence == Dependence::Direct && is_other(&origin.path))
    })
}

/// What a run over lone records gave.
#[derive(Default)]
struct Seen {
    /// The masked id of the last record.
    id: Option<String>,
    /// How many rows each entity got.
    rows: BTreeMap<String, usize>,
    /// The texts of each column, by entity and column. An entity without rows is left out.
    texts: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Seen {
    fn holds(&self, entity: &Entity, column: &str, text: &str) -> bool {
        let place = (entity.name.clone(), column.to_owned());
        self.texts.get(&place).is_some_and(|texts| texts.contains(text))
    }

    fn add(&mut self, other: Self) {
        for (place, texts) in other.texts {
            self.texts.entry(place).or_default().extend(texts);
        }
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
        // Null without the other fields.
        (false, 1) if texts.iter().any(|texts| texts.is_empty()) => {
            Err("it is computed from other fields, too".to_owned())
        }
        (false, 1) => Ok(Held {
            text: distinct.into_iter().next().cloned().unwrap_or_default(),
            assumed: false,
        }),
        (false, 0) => Err("it is null where only the id is known".to_owned()),
        (false, _) => Err("it is computed from other fields, too".to_owned()),
    }
}

/// The transforms of a source, ready to run over lone records.
struct Bench<'a> {
    project: &'a Project,
    lone: Lone,
    masks: Masks,
    engine: Engine,
    batch: Batch,
    plans: Vec<Prepared>,
}

impl<'a> Bench<'a> {
    fn new(project: &'a Project, source: &Source, spot: &Spot, key: &MaskKey) -> Result<Self> {
        let lone = Lone::of(source, spot)?;
        let today = Utc::now().date_naive();
        let masks = of_batch(Masks::plan(&lone.source, key)?, project.profile, today)?;
        let engine = lineage::engine()?;
        let outlines = engine.outline(project, &lone.source, |_, _| Ok(()));
        let outlines = outlines.map_err(Prepared::problems)?;
        let batch = Batch {
            source: lone.source.name.clone(),
            date: today,
        };
        let plans = engine.prepare(project, &lone.source, &outlines, &batch, &lineage::used);
        Ok(Self {
            plans: plans.map_err(Prepared::problems)?,
            project,
            lone,
            masks,
            engine,
            batch,
        })
    }

    /// Runs with the other fields null and with the other fields filled.
    async fn run_both(&self, ids: &[Subject]) -> Result<Seen> {
        let mut seen = self.run(ids, false).await?;
        seen.add(self.run(ids, true).await?);
        Ok(seen)
    }

    async fn run(&self, ids: &[Subject], filled: bool) -> Result<Seen> {
        let read = self.lone.read(ids, filled).await?.into_iter();
        let masked: Vec<Masked> = read.map(|batch| self.masks.apply(batch)).collect::<Result<_>>()?;
        let mut seen = Seen {
            id: masked_id(&self.lone.spot, &masked),
            ..Seen::default()
        };
        if masked.is_empty() {
            return Ok(seen);
        }
        for plan in &self.plans {
            let entity = self.project.entity(&plan.outline.entity)?;
            for rows in self.rows(plan, &masked).await {
                *seen.rows.entry(entity.name.clone()).or_default() += rows.num_rows();
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

    /// The rows that a transform makes of the records. None where it fails on so empty a record.
    async fn rows(&self, plan: &Prepared, masked: &[Masked]) -> Vec<RecordBatch> {
        let held = masked.to_vec();
        let again = move || stream::iter(held.clone()).map(Ok).boxed();
        let scan = ScanInput::own(self.masks.output_schemas(), again);
        let Ok(Execution { rows, failed, .. }) = self.engine.execute(plan, &self.batch, scan).await else {
            return Vec::new();
        };
        let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap_or_default();
        let restored = rows.into_iter().filter_map(|rows| failed.restore(rows).ok());
        restored
            .map(|(rows, _)| rows)
            .filter(|rows| rows.num_rows() > 0)
            .collect()
    }
}

fn masked_id(spot: &Spot, masked: &[Masked]) -> Option<String> {
    let (first, inside) = spot.positions.split_first()?;
    let mut array = elements(masked.first()?.batch().column(*first));
    for position in inside {
        array = elements(array.as_struct_opt()?.column(*position));
    }
    if is_reference(array.data_type()) {
        array = Arc::clone(array.as_struct_opt()?.column_by_name("id")?);
    }
    texts(&array)?.pop()
}

/// What a list holds; another array as it is.
fn elements(array: &Arc<dyn Array>) -> Arc<dyn Array> {
    let mut array = Arc::clone(array);
    while let Some(list) = array.as_list_opt::<i32>() {
        array = Arc::clone(list.values());
    }
    array
}

/// The values of a column as text, without nulls. `None`: they have no text.
fn texts(array: &Arc<dyn Array>) -> Option<Vec<String>> {
    let texts = cast(array, &DataType::Utf8).ok()?;
    let texts = texts.as_string_opt::<i32>()?;
    Some(texts.iter().flatten().map(str::to_owned).collect())
}
