//! How the suppression list names a person, and in which sources the person may be.

use std::collections::BTreeSet;

use super::probe::{Lone, hashes};
use super::subject::Person;
use crate::error::{Error, Result};
use crate::mask::subject_domain;
use crate::model::wording::all_of;
use crate::model::{Project, Source, did_you_mean};
use crate::warehouse::suppression::{self, Entry};

/// The domains of the project's subjects, or the one that was asked for.
///
/// # Errors
/// No source names a subject, or none has this domain.
pub(super) fn domains(person: &Person<'_>) -> Result<Vec<String>> {
    let Person { project, asked, .. } = person;
    let known: BTreeSet<String> = project.sources.iter().filter_map(subject_domain).collect();
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

/// The sources whose subjects are of one of these domains.
pub(super) fn sources<'a>(project: &'a Project, domains: &[String]) -> Vec<&'a Source> {
    let of = |source: &&Source| subject_domain(source).is_some_and(|domain| domains.contains(&domain));
    project.sources.iter().filter(of).collect()
}

/// How the suppression list names the person in one domain. Sources that normalise ids differently may give an entry
/// each; none, if the id fits no source.
///
/// # Errors
/// The subject's type can't name a person.
pub(super) async fn entries(person: &Person<'_>, domain: &str) -> Result<Vec<Entry>> {
    let mut entries = BTreeSet::new();
    for source in sources(person.project, &[domain.to_owned()]) {
        let lone = Lone::of(source, &person.id, false)?;
        if let Some(hash) = hashes(&lone, &person.key).await? {
            entries.insert(Entry {
                domain: domain.to_owned(),
                key_id: person.key.key_id(),
                hash,
            });
        }
    }
    Ok(entries.into_iter().collect())
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
