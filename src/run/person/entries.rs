//! How the suppression list names a person, and in which sources the person may be.

use std::collections::BTreeSet;

use super::probe::{Lone, hash};
use super::subject::{Person, Subject};
use crate::error::{Error, Result};
use crate::mask::subject_domains;
use crate::model::wording::all_of;
use crate::model::{FieldType, Kind, Project, References, Source, did_you_mean, subject};
use crate::warehouse::suppression::{self, Entry};

/// The domains of the project's subjects, or the one that was asked for.
///
/// # Errors
/// No source names a subject, or none has this domain.
pub(super) fn domains(person: &Person<'_>) -> Result<Vec<String>> {
    let Person { project, asked, .. } = person;
    let kinds = project.sources.iter().flat_map(|source| &source.kinds);
    let known: BTreeSet<String> = kinds.flat_map(subject_domains).collect();
    if known.is_empty() {
        return Err(Error::project("no source says whose records it holds")
            .hint("name the field that identifies the person: `subject: patient_id`, beside `schema`"));
    }
    match asked.as_deref() {
        None => Ok(known.into_iter().collect()),
        Some(asked) if known.contains(asked) => Ok(vec![asked.to_owned()]),
        Some(asked) => {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            let hint = did_you_mean(asked, names.iter().copied());
            Err(Error::project(format!("no source has a subject of the domain {asked}"))
                .hint(hint.unwrap_or_else(|| format!("there are {}", all_of(&names)))))
        }
    }
}

/// The only domain of the project, or the one that was asked for: the same id in two domains may be two persons.
///
/// # Errors
/// As [`domains`], and several domains of which none was chosen.
pub(super) fn one_domain(person: &Person<'_>) -> Result<String> {
    let mut known = domains(person)?;
    if known.len() > 1 {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(Error::project(format!(
            "the subjects of this project are of {} domains, and the same id may be another person in each",
            known.len()
        ))
        .hint(format!("choose one with --domain: {}", all_of(&names))));
    }
    known.pop().ok_or_else(Error::internal)
}

/// A source that may hold records of the person.
pub(super) struct Sought<'a> {
    pub source: &'a Source,
    /// The kinds whose subjects are of the domains that are searched, by their index, and these domains.
    pub kinds: Vec<(usize, Vec<String>)>,
}

/// The sources whose subjects are of one of these domains.
pub(super) fn sources<'a>(project: &'a Project, domains: &[String]) -> Vec<Sought<'a>> {
    let of_kind = |(index, kind): (usize, &Kind)| {
        let own: Vec<String> = subject_domains(kind)
            .into_iter()
            .filter(|domain| domains.contains(domain))
            .collect();
        (!own.is_empty()).then_some((index, own))
    };
    let of_source = |source: &'a Source| {
        let kinds: Vec<_> = source.kinds.iter().enumerate().filter_map(of_kind).collect();
        (!kinds.is_empty()).then_some(Sought { source, kinds })
    };
    project.sources.iter().filter_map(of_source).collect()
}

/// How records of a kind may write the person's id. A reference names the type as well; where the id was given as
/// `Patient/12`, the kinds that have the id alone are searched for `12`, too.
pub(super) fn spellings(person: &Person<'_>, kind: &Kind, domain: &str) -> Vec<Subject> {
    let text = person.id.text();
    if let Some(references) = references(kind) {
        let own = Subject::of_reference(references, kind, domain, text);
        return own.into_iter().collect();
    }
    let mut spellings = BTreeSet::from([text.to_owned()]);
    for kind in person.project.sources.iter().flat_map(|source| &source.kinds) {
        if let Some(references) = references(kind).filter(|_| subject_domains(kind).contains(domain)) {
            let id = references.read(text).ok().and_then(|reference| reference.id);
            spellings.extend(id.map(str::to_owned));
        }
    }
    spellings.into_iter().map(Subject::new).collect()
}

fn references(kind: &Kind) -> Option<&References> {
    match &subject::find(&kind.schema, kind.subject.as_deref()?)
        .ok()?
        .field
        .field_type
    {
        FieldType::Reference(references) => Some(references),
        _ => None,
    }
}

/// How the suppression list names the person in one domain. Sources that normalise ids differently may give an entry
/// each; none, if the id fits no source.
///
/// # Errors
/// The subject's type can't name a person.
pub(super) async fn entries(person: &Person<'_>, domain: &str) -> Result<Vec<Entry>> {
    let mut entries = BTreeSet::new();
    for Sought { source, kinds } in sources(person.project, &[domain.to_owned()]) {
        for (kind, _) in kinds {
            for hash in hashes(person, source, kind, domain).await? {
                entries.insert(Entry {
                    domain: domain.to_owned(),
                    key_id: person.key.key_id(),
                    hash,
                });
            }
        }
    }
    Ok(entries.into_iter().collect())
}

/// The hashes by which the person's records of a kind are told. None, if the id does not fit it.
pub(super) async fn hashes(person: &Person<'_>, source: &Source, kind: usize, domain: &str) -> Result<Vec<String>> {
    let declared = source.kinds.get(kind).ok_or_else(Error::internal)?;
    let mut hashes = Vec::new();
    for id in spellings(person, declared, domain) {
        hashes.extend(hash(&Lone::of(source, kind, &id, false)?, &person.key).await?);
    }
    Ok(hashes)
}

/// Takes the person off the suppression list. Returns whether they were on it.
///
/// # Errors
/// An id that fits no source, several domains of which none was chosen, or a database that can't be written.
pub async fn unsuppress(person: &Person<'_>) -> Result<bool> {
    let domain = one_domain(person)?;
    let entries = entries(person, &domain).await?;
    if entries.is_empty() {
        return Err(unfit());
    }
    let removed = suppression::remove(&*person.warehouse.acquire().await?, &entries).await?;
    Ok(removed > 0)
}

/// The error for an id that can't be of any record.
pub(super) fn unfit() -> Error {
    Error::project("no source can hold this id: it breaks the type or the checks of every subject")
        .hint("give the id as the records have it, before masks; `pipeline privacy report` names the fields")
}
