//! How the suppression list names a person, and in which sources the person may be.

use std::collections::BTreeSet;

use super::lone::Lone;
use super::spot::Spot;
use super::subject::{Person, Subject};
use crate::error::{Error, Result};
use crate::mask::subject_domains;
use crate::model::wording::all_of;
use crate::model::{Project, Source, did_you_mean};
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

/// A source that may hold ids of the person.
pub(super) struct Sought<'a> {
    pub source: &'a Source,
    /// The fields whose ids are of the domains that are searched, and these domains.
    pub spots: Vec<(Spot, Vec<String>)>,
}

/// The sources whose subjects are of one of these domains.
pub(super) fn sources<'a>(project: &'a Project, domains: &[String]) -> Vec<Sought<'a>> {
    sought(project, domains, |source, kind| {
        Spot::subject(source, kind).into_iter().collect()
    })
}

/// The sources that may name the person in other fields than the subject.
pub(super) fn naming<'a>(project: &'a Project, domains: &[String]) -> Vec<Sought<'a>> {
    sought(project, domains, Spot::others)
}

fn sought<'a>(
    project: &'a Project,
    domains: &[String],
    spots: impl Fn(&Source, usize) -> Vec<Spot>,
) -> Vec<Sought<'a>> {
    let of_source = |source: &'a Source| {
        let all = (0..source.kinds.len()).flat_map(|kind| spots(source, kind));
        let spots: Vec<_> = all
            .filter_map(|spot| {
                let mut own = Vec::from_iter(spot.domains(source));
                own.retain(|domain| domains.contains(domain));
                (!own.is_empty()).then_some((spot, own))
            })
            .collect();
        (!spots.is_empty()).then_some(Sought { source, spots })
    };
    project.sources.iter().filter_map(of_source).collect()
}

/// How a field may write the person's id. A reference names the type as well; where the id was given as `Patient/12`, the
/// fields that have the id alone are searched for `12`, too.
pub(super) fn spellings(person: &Person<'_>, source: &Source, spot: &Spot, domain: &str) -> Vec<Subject> {
    let text = person.id.text();
    if let Some((references, own)) = spot.references(source) {
        let untyped = spot.untyped_domain(source).unwrap_or_default();
        let own = Subject::of_reference(references, own, &untyped, domain, text);
        return own.into_iter().collect();
    }
    let mut spellings = BTreeSet::from([text.to_owned()]);
    for Sought { source, spots } in sources(person.project, &[domain.to_owned()]) {
        for (spot, _) in spots {
            let read = spot
                .references(source)
                .and_then(|(references, _)| references.read(text).ok());
            spellings.extend(read.and_then(|reference| reference.id).map(str::to_owned));
        }
    }
    spellings.into_iter().map(Subject::new).collect()
}

/// How the suppression list names the person in one domain. Sources that normalise ids differently may give an entry
/// each; none, if the id fits no source.
///
/// # Errors
/// The subject's type can't name a person.
pub(super) async fn entries(person: &Person<'_>, domain: &str) -> Result<Vec<Entry>> {
    let mut entries = BTreeSet::new();
    for Sought { source, spots } in sources(person.project, &[domain.to_owned()]) {
        for (spot, _) in spots {
            for hash in hashes(person, source, &spot, domain).await? {
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

/// The hashes by which the person's records of a kind are told. None, if the id does not fit its subject.
pub(super) async fn hashes(person: &Person<'_>, source: &Source, subject: &Spot, domain: &str) -> Result<Vec<String>> {
    let lone = Lone::of(source, subject)?;
    let mut hashes = Vec::new();
    for id in spellings(person, source, subject, domain) {
        hashes.extend(lone.hash(&id, &person.key).await?);
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
