//! Groups the live batches by the masks under which they were loaded, and tells for each group by which columns a person
//! is found.

use std::collections::BTreeMap;

use super::entries::{Sought, spellings};
use super::probe::{Probed, probe};
use super::spot::Spot;
use super::subject::Person;
use super::unsearched::Unsearched;
use crate::error::{Error, Result};
use crate::lineage::ProjectLineage;
use crate::model::{FieldType, Kind, MaskKind, MaskedField, Privacy, Project, Scope, Source};
use crate::run::column_masks::masked_fields;
use crate::warehouse::masks::{Live, LiveBatch};
use crate::warehouse::person::{Link, Search};
use chrono::NaiveDate;

const RELOAD: &str = "once the person is on the suppression list, `pipeline run` of these batches loads them without";

/// A field of the source that holds ids, as it is masked now.
struct Declared<'a> {
    spot: &'a Spot,
    kind: &'a Kind,
    domains: &'a [String],
    field: MaskedField,
}

/// How the person is found in the live batches of a source, and what can't be searched.
///
/// # Errors
/// Transforms that can't be planned.
pub(super) async fn of_source(
    person: &Person<'_>,
    lineage: &ProjectLineage,
    live: &Live,
    sought: &Sought<'_>,
) -> Result<(Vec<Search>, Vec<Unsearched>)> {
    let (mut searches, mut unsearched) = (Vec::new(), Vec::new());
    let (project, source) = (person.project, sought.source);
    let declared = declared(person, sought)?;
    for (masks, dates) in groups(live, source, &declared) {
        let (mut all, mut is_known) = (Probed::default(), false);
        for (one, then) in declared.iter().zip(&masks) {
            match of_kind(person, lineage, source, one, then).await? {
                Ok(None) => {}
                Ok(Some(probed)) => {
                    is_known = true;
                    all.add(probed);
                }
                Err(why) => unsearched.push(Unsearched {
                    source: source.name.clone(),
                    dates: dates.clone(),
                    entity: None,
                    why: format!("{}{why}", of(one.kind)),
                    remedy: Some(RELOAD.to_owned()),
                }),
            }
        }
        if !is_known {
            continue;
        }
        let search = Search {
            source: source.name.clone(),
            dates,
            links: links(project, source),
            marks: all.marks.clone(),
            salt: salt(),
        };
        unsearched.extend(unreached(project, lineage, source, &declared, &search, &all));
        searches.push(search);
    }
    Ok((searches, unsearched))
}

/// What a message about a kind begins with. Nothing where the source declares no kinds.
fn of(kind: &Kind) -> String {
    match kind.prefix() {
        "" => String::new(),
        name => format!("the kind {name}: "),
    }
}

/// How rows of a source are found that name the person in another field than the subject, and in which table.
///
/// # Errors
/// Transforms that can't be planned.
pub(super) async fn naming(
    person: &Person<'_>,
    lineage: &ProjectLineage,
    live: &Live,
    sought: &Sought<'_>,
) -> Result<(Vec<Search>, Vec<Unsearched>)> {
    let (mut searches, mut unsearched) = (Vec::new(), Vec::new());
    let source = sought.source;
    let declared = declared(person, sought)?;
    for (masks, dates) in groups(live, source, &declared) {
        let mut all = Probed::default();
        for (one, then) in declared.iter().zip(&masks) {
            match of_kind(person, lineage, source, one, then).await? {
                Ok(probed) => all.add(probed.unwrap_or_default()),
                // Such a mask leaves nothing of the person there.
                Err(_) if LEAVES_NOTHING.contains(&then.mask.as_str()) => {}
                Err(why) => unsearched.push(Unsearched {
                    source: source.name.clone(),
                    dates: dates.clone(),
                    entity: None,
                    why: format!("{}: {why}", one.field.path),
                    remedy: None,
                }),
            }
        }
        let why = |(entity, why): &(String, String)| Unsearched {
            source: source.name.clone(),
            dates: dates.clone(),
            entity: Some(entity.clone()),
            why: why.clone(),
            remedy: None,
        };
        unsearched.extend(all.unsearched.iter().map(why));
        if !all.marks.is_empty() {
            searches.push(Search {
                source: source.name.clone(),
                dates,
                links: Vec::new(),
                marks: all.marks,
                salt: salt(),
            });
        }
    }
    Ok((searches, unsearched))
}

/// The masks that leave no id.
const LEAVES_NOTHING: [&str; 3] = ["null", "redact", "surrogate"];

/// Random, and used once.
fn salt() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn declared<'a>(person: &Person<'_>, sought: &'a Sought<'_>) -> Result<Vec<Declared<'a>>> {
    let fields = masked_fields(person.project, sought.source, Some(&person.key.key_id()));
    let mut declared = Vec::with_capacity(sought.spots.len());
    for (spot, domains) in &sought.spots {
        let field = fields.iter().find(|field| field.path == spot.path);
        declared.push(Declared {
            spot,
            kind: sought.source.kinds.get(spot.kind).ok_or_else(Error::internal)?,
            domains,
            field: field.ok_or_else(Error::internal)?.clone(),
        });
    }
    Ok(declared)
}

/// By what the person is found in the rows of a kind that were loaded like this. `None`: the kind can't hold the id. The
/// inner error says why they can't be found.
async fn of_kind(
    person: &Person<'_>,
    lineage: &ProjectLineage,
    source: &Source,
    declared: &Declared<'_>,
    masks: &MaskedField,
) -> Result<Result<Option<Probed>, String>> {
    let key_id = person.key.key_id();
    let then = match loaded_as(source, declared, masks) {
        Ok(then) => then,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(other) = masks.key.as_ref().filter(|id| **id != key_id) {
        return Ok(Err(format!(
            "loaded under the key {other}, and the present one is {key_id}"
        )));
    }
    let mask = declared.spot.mask(&then);
    if !matches!(mask, MaskKind::Keep | MaskKind::Hash | MaskKind::Pseudonym) {
        return Ok(Err(format!(
            "the mask `{}` leaves nothing by which a person is found",
            mask.name()
        )));
    }
    // The present steps of `normalize`, and none, as batches hold that were loaded before they were added.
    let mut plain = then.clone();
    let steps = declared
        .spot
        .field(&mut plain)
        .map(|field| std::mem::take(&mut field.rules.normalize));
    let mut ways = vec![&then];
    ways.extend(steps.is_some_and(|steps| !steps.is_empty()).then_some(&plain));
    let mut all: Option<Probed> = None;
    for domain in declared.domains {
        for id in spellings(person, source, declared.spot, domain) {
            for way in &ways {
                if let Some(probed) = Box::pin(probe(person, lineage, way, declared.spot, &id)).await? {
                    all.get_or_insert_default().add(probed);
                }
            }
        }
    }
    Ok(Ok(all))
}

/// The dates of the source's live batches, by the masks of the subjects with which they were loaded.
fn groups(live: &Live, source: &Source, declared: &[Declared<'_>]) -> BTreeMap<Vec<MaskedField>, Vec<NaiveDate>> {
    let mut groups: BTreeMap<Vec<MaskedField>, Vec<NaiveDate>> = BTreeMap::new();
    for one in live.batches.iter().filter(|one| one.batch.source == source.name) {
        let masks = declared.iter().map(|declared| {
            let then = recorded(live, one, &declared.field.path);
            then.unwrap_or(&declared.field).clone()
        });
        groups.entry(masks.collect()).or_default().push(one.batch.date);
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

/// The source as it was when the kind's subject was masked like this.
fn loaded_as(source: &Source, declared: &Declared<'_>, then: &MaskedField) -> Result<Source, String> {
    let mut loaded = source.clone();
    let now = &declared.field;
    if (&then.mask, &then.domain) == (&now.mask, &now.domain) {
        return Ok(loaded);
    }
    let mask = MaskKind::ALL.into_iter().find(|mask| mask.name() == then.mask);
    let mask = mask.ok_or_else(|| format!("loaded under the mask `{}`, which is not known", then.mask))?;
    let field = declared.spot.field(&mut loaded).ok_or("the field is gone")?;
    let domain = match &field.field_type {
        FieldType::Reference(references) => {
            // The domains of all types, which can't be told from their text.
            let own = field.privacy.domain.clone();
            let shown = references.shown_domains(own.as_deref());
            if mask.has_domain() && then.domain.as_ref() != Some(&shown) {
                return Err("loaded when the subject's references had other domains".to_owned());
            }
            own
        }
        _ => then.domain.clone().filter(|_| mask.has_domain()),
    };
    field.privacy = Privacy {
        phi: None,
        mask: Some(mask),
        domain,
        reason: None,
    };
    Ok(loaded)
}

/// By which columns rows of an entity belong to rows of another: parents, and checks that refuse rows without.
fn links(project: &Project, source: &Source) -> Vec<Link> {
    let mut links = Vec::new();
    for entity in &project.entities {
        links.extend(entity.parent.iter().map(|parent| Link {
            entity: entity.name.clone(),
            above: parent.entity.clone(),
            columns: parent.columns.clone(),
            across: parent.scope == Scope::Source,
        }));
        let others = source.checks_of(entity).filter_map(|check| check.rule.relationship());
        links.extend(others.map(|other| Link {
            entity: entity.name.clone(),
            above: other.entity.clone(),
            columns: other.columns.clone(),
            across: other.scope == Scope::Source,
        }));
    }
    links
}

/// The tables of the source in which the person can't be found, or perhaps not everywhere.
fn unreached(
    project: &Project,
    lineage: &ProjectLineage,
    source: &Source,
    declared: &[Declared<'_>],
    search: &Search,
    probed: &Probed,
) -> Vec<Unsearched> {
    let entities = source.transforms.iter().map(|transform| &transform.entity);
    let unreached = entities
        .filter(|entity| !search.reaches(&project.entities, entity))
        .filter(|entity| {
            declared
                .iter()
                .any(|one| fills(project, lineage, source, one.kind, entity))
        });
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
    let partly = probed.partly.iter().map(|(entity, column)| Unsearched {
        source: source.name.clone(),
        dates: search.dates.clone(),
        entity: Some(entity.clone()),
        why: format!(
            "{column}: other fields go into it, too, so it was searched for what it holds where only the id is known"
        ),
        remedy: Some(RELOAD.to_owned()),
    });
    unreached.map(told).chain(assumed).chain(partly).collect()
}

/// Whether columns of an entity derive from fields of a kind.
fn fills(project: &Project, lineage: &ProjectLineage, source: &Source, kind: &Kind, entity: &str) -> bool {
    let of_kind = |path: &str| match kind.prefix() {
        "" => true,
        name => path.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '['])),
    };
    let Ok(entity) = project.entity(entity) else {
        return true;
    };
    entity.columns.iter().any(|column| {
        let known = lineage.of(&entity.name, &column.name);
        let mut known = known.filter(|one| one.source == source.name).peekable();
        // Where nothing is known of a column, it may be of any kind.
        known.peek().is_none() || known.any(|one| one.origins.iter().any(|origin| of_kind(&origin.path)))
    })
}
