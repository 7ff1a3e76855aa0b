//! Groups the live batches by the masks under which they were loaded, and tells for each group by which columns a person
//! is found.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::probe::{Probed, probe, subject_mask};
use super::subject::Person;
use crate::error::{Error, Result};
use crate::lineage::{self, ProjectLineage};
use crate::model::scalar_field::{is_sensitive, scalar_fields};
use crate::model::{Batch, Field, FieldType, MaskKind, MaskedField, Privacy, Project, Rule, Source, subject};
use crate::run::column_masks::masked_fields;
use crate::warehouse::masks::{Live, LiveBatch};
use crate::warehouse::person::{Link, Search};

/// Rows that may be the person's and can't be looked through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsearched {
    pub source: String,
    /// Empty: all dates.
    pub dates: Vec<NaiveDate>,
    /// `None`: all tables.
    pub entity: Option<String>,
    pub why: String,
    pub remedy: Option<String>,
}

const RELOAD: &str = "once the person is on the suppression list, `pipeline run` of these batches loads them without";

/// How the person is found in the live batches of a source, and what can't be searched.
///
/// # Errors
/// Transforms that can't be planned.
pub(super) async fn of_source(
    person: &Person<'_>,
    lineage: &ProjectLineage,
    live: &Live,
    source: &Source,
) -> Result<(Vec<Search>, Vec<Unsearched>)> {
    let (mut searches, mut unsearched) = (Vec::new(), Vec::new());
    let (project, key_id) = (person.project, person.key.key_id());
    let path = lineage::subject_path(source).ok_or_else(Error::internal)?;
    let declared = masked_fields(project, source, Some(&key_id));
    let declared = declared
        .into_iter()
        .find(|field| field.path == path)
        .ok_or_else(Error::internal)?;
    for (masks, dates) in groups(live, source, &declared) {
        let skip = |why: String| Unsearched {
            source: source.name.clone(),
            dates: dates.clone(),
            entity: None,
            why,
            remedy: Some(RELOAD.to_owned()),
        };
        let then = match loaded_as(source, &declared, &masks) {
            Ok(then) => then,
            Err(why) => {
                unsearched.push(skip(why));
                continue;
            }
        };
        if let Some(other) = masks.key.as_ref().filter(|id| **id != key_id) {
            unsearched.push(skip(format!(
                "loaded under the key {other}, and the present one is {key_id}"
            )));
            continue;
        }
        let mask = subject_mask(&then);
        if !matches!(mask, MaskKind::Keep | MaskKind::Hash | MaskKind::Pseudonym) {
            let why = format!("the mask `{}` leaves nothing by which a person is found", mask.name());
            unsearched.push(skip(why));
            continue;
        }
        let Some(probed) = probed(person, lineage, &then).await? else {
            continue;
        };
        let search = Search {
            source: source.name.clone(),
            dates: dates.clone(),
            links: links(project, source),
            marks: probed.marks.clone(),
            salt: format!("{:032x}", rand::random::<u128>()),
        };
        unsearched.extend(unreached(project, source, &search, &probed));
        searches.push(search);
    }
    Ok((searches, unsearched))
}

/// What the columns hold of the person: with the present steps of `normalize`, and without them, as batches hold that were
/// loaded before they were added.
async fn probed(person: &Person<'_>, lineage: &ProjectLineage, source: &Source) -> Result<Option<Probed>> {
    let probed = probe(person, lineage, source).await?;
    let mut plain = source.clone();
    if !subject_of(&mut plain).is_some_and(|field| std::mem::take(&mut field.rules.normalize).is_empty()) {
        let Some(before) = probe(person, lineage, &plain).await? else {
            return Ok(probed);
        };
        let Some(mut probed) = probed else {
            return Ok(Some(before));
        };
        for (entity, marks) in before.marks {
            let known = probed.marks.entry(entity).or_default();
            known.extend(
                marks
                    .into_iter()
                    .filter(|mark| !known.contains(mark))
                    .collect::<Vec<_>>(),
            );
        }
        return Ok(Some(probed));
    }
    Ok(probed)
}

/// The dates of the source's live batches, by the masks of the subject with which they were loaded.
fn groups(live: &Live, source: &Source, declared: &MaskedField) -> BTreeMap<MaskedField, Vec<NaiveDate>> {
    let mut groups: BTreeMap<MaskedField, Vec<NaiveDate>> = BTreeMap::new();
    for one in live.batches.iter().filter(|one| one.batch.source == source.name) {
        let masks = recorded(live, one, &declared.path).unwrap_or(declared);
        groups.entry(masks.clone()).or_default().push(one.batch.date);
    }
    groups
}

/// How the subject was masked in a batch. `None`: that is not recorded, because an older version loaded the batch or no
/// column shows the subject.
fn recorded<'a>(live: &'a Live, batch: &LiveBatch, path: &str) -> Option<&'a MaskedField> {
    let columns = batch.columns.iter().map(|at| &live.columns[*at]);
    columns
        .flat_map(|column| &column.fields)
        .find(|field| field.path == path)
}

/// The source as it was when its subject was masked like this.
fn loaded_as(source: &Source, declared: &MaskedField, then: &MaskedField) -> Result<Source, String> {
    let mut loaded = source.clone();
    if (&then.mask, &then.domain) == (&declared.mask, &declared.domain) {
        return Ok(loaded);
    }
    let mask = MaskKind::ALL.into_iter().find(|mask| mask.name() == then.mask);
    let mask = mask.ok_or_else(|| format!("loaded under the mask `{}`, which is not known", then.mask))?;
    let field = subject_of(&mut loaded).ok_or("the subject is gone")?;
    field.privacy = Privacy {
        phi: None,
        mask: Some(mask),
        domain: then.domain.clone().filter(|_| mask.has_domain()),
        reason: None,
    };
    Ok(loaded)
}

/// The field that is a source's subject.
fn subject_of(source: &mut Source) -> Option<&mut Field> {
    let found = subject::find(&source.schema, source.subject.as_deref()?).ok()?;
    let (last, around) = found.positions.split_last()?;
    let (last, around) = (*last, around.to_vec());
    let mut fields = &mut source.schema;
    for position in around {
        let FieldType::Struct(children) = &mut fields.get_mut(position)?.field_type else {
            return None;
        };
        fields = children;
    }
    fields.get_mut(last)
}

/// By which columns rows of an entity belong to rows of another: parents, and checks that refuse rows without.
fn links(project: &Project, source: &Source) -> Vec<Link> {
    let mut links = Vec::new();
    for entity in &project.entities {
        links.extend(entity.parent.iter().map(|parent| Link {
            entity: entity.name.clone(),
            above: parent.entity.clone(),
            columns: parent.columns.clone(),
        }));
        links.extend(source.checks_of(entity).filter_map(|check| match &check.rule {
            Rule::Relationships { entity: above, columns } => Some(Link {
                entity: entity.name.clone(),
                above: above.clone(),
                columns: columns.clone(),
            }),
            _ => None,
        }));
    }
    links
}

/// The tables of the source in which the person can't be found, or perhaps not everywhere.
fn unreached(project: &Project, source: &Source, search: &Search, probed: &Probed) -> Vec<Unsearched> {
    let entities = source.transforms.iter().map(|transform| &transform.entity);
    let unreached = entities.filter(|entity| !search.reaches(&project.entities, entity));
    let told = |entity: &String| {
        let whys = probed.unsearched.iter().filter(|(of, _)| of == entity);
        let whys: Vec<&str> = whys.map(|(_, why)| why.as_str()).collect();
        Unsearched {
            source: source.name.clone(),
            dates: search.dates.clone(),
            entity: Some(entity.clone()),
            why: if whys.is_empty() {
                "no column of it derives from the subject, and no parent leads to one".to_owned()
            } else {
                whys.join("; ")
            },
            remedy: Some(RELOAD.to_owned()),
        }
    };
    let assumed = probed.assumed.iter().map(|entity| Unsearched {
        source: source.name.clone(),
        dates: search.dates.clone(),
        entity: Some(entity.clone()),
        why: "its SQL makes no row of a record that holds the id alone, so it was searched for the id as it is masked"
            .to_owned(),
        remedy: Some(RELOAD.to_owned()),
    });
    unreached.map(told).chain(assumed).collect()
}

/// Whether the source declares anything sensitive. One that does not, such as a list of codes, is of nobody.
fn holds_persons(source: &Source) -> bool {
    scalar_fields(source).iter().any(|field| is_sensitive(field.privacy))
}

/// The live batches that no source explains: those of sources that are gone, and those of sources without a subject.
pub(super) fn foreign(project: &Project, live: &Live) -> Vec<Unsearched> {
    let mut dates: BTreeMap<&str, Vec<NaiveDate>> = BTreeMap::new();
    for LiveBatch {
        batch: Batch { source, date },
        ..
    } in &live.batches
    {
        dates.entry(source).or_default().push(*date);
    }
    let why = |name: &str| match project.source(name) {
        Ok(source) if source.name != name || source.subject.is_some() || !holds_persons(source) => None,
        Ok(_) => Some((
            "the source names no subject",
            "name it: `subject: patient_id`, beside `schema`",
        )),
        Err(_) => Some((
            "the source is no longer in the project",
            "`pipeline drop` removes a batch; its file in `pipelines` brings the source back",
        )),
    };
    let told = dates.into_iter().filter_map(|(source, dates)| {
        let (why, remedy) = why(source)?;
        Some(Unsearched {
            source: source.to_owned(),
            dates,
            entity: None,
            why: why.to_owned(),
            remedy: Some(remedy.to_owned()),
        })
    });
    told.collect()
}

impl Unsearched {
    /// For receipts and for JSON output.
    pub fn as_json(&self) -> Value {
        json!({
            "source": self.source,
            "dates": self.dates.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "table": self.entity,
            "why": self.why,
            "remedy": self.remedy,
        })
    }
}
