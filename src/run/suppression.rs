//! The suppression list: which persons a run leaves out, and whether the list still works.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::error::{Code, Error, Result};
use crate::mask::{MaskKey, SubjectHash, subject_domains};
use crate::model::scalar_field::{is_sensitive, scalar_fields};
use crate::model::wording::counted;
use crate::model::{Kind, Project, Source, subject};
use crate::warehouse::Warehouse;
use crate::warehouse::suppression::{self, Count, Entry, OTHER_KEY};

/// The persons whom a run of a source leaves out. `None`: nobody.
///
/// # Errors
/// The list names persons under another key than the present one, or of a domain that no subject has any more: the run
/// would bring them back.
pub(super) async fn of_source(
    client: &Client,
    project: &Project,
    source: &Source,
    key: Option<&MaskKey>,
) -> Result<Option<(SubjectHash, Vec<String>)>> {
    if source.kinds.iter().any(holds_persons) {
        let counts = suppression::counts(client).await?;
        let known = domains(project);
        if let Some(gone) = counts.iter().find(|count| !known.contains(&count.domain)) {
            return Err(Error::project(format!(
                "the suppression list names persons of the domain {}, and no source has a subject of this domain",
                gone.domain
            ))
            .code(Code::SuppressionDomain)
            .cause("a run can't tell whose records to leave out")
            .hint(suppression::other_domain(&gone.domain)));
        }
    }
    let domains: BTreeSet<String> = source.kinds.iter().flat_map(subject_domains).collect();
    if domains.is_empty() {
        return Ok(None);
    }
    let entries = suppression::of_domains(client, &Vec::from_iter(domains)).await?;
    if entries.is_empty() {
        return Ok(None);
    }
    let present = key.map(MaskKey::key_id);
    let foreign = entries.iter().find(|entry| Some(&entry.key_id) != present.as_ref());
    if let Some(Entry { domain, key_id, .. }) = foreign {
        let now = present.map_or_else(
            || "no key is at hand".to_owned(),
            |id| format!("the present one is {id}"),
        );
        return Err(Error::project(format!(
            "the suppression list names persons of the domain {domain} under the key {key_id}, and {now}"
        ))
        .code(Code::SuppressionKey)
        .cause("a run can't tell whose records to leave out")
        .hint(OTHER_KEY));
    }
    for Useless { why, remedy } in read_otherwise(client, source).await? {
        tracing::warn!("the suppression list: {why}; {remedy}");
    }
    let subjects = key.and_then(|key| SubjectHash::of(source, key));
    Ok(subjects.map(|subjects| (subjects, entries.into_iter().map(|entry| entry.hash).collect())))
}

/// How the subjects of a domain are read: a fingerprint for each that differs.
pub(super) fn read_as(project: &Project, domain: &str) -> Vec<String> {
    let kinds = project.sources.iter().flat_map(|source| &source.kinds);
    let theirs = kinds.filter(|kind| subject_domains(kind).contains(domain));
    let all: BTreeSet<String> = theirs.filter_map(fingerprint).collect();
    all.into_iter().collect()
}

/// What decides on how an id of the subject is spelled: its type, `normalize` and `nulls`. `None`: there is no subject.
fn fingerprint(kind: &Kind) -> Option<String> {
    let field = subject::find(&kind.schema, kind.subject.as_deref()?).ok()?.field;
    let rules = &field.rules;
    let spelled = format!("{:?} {:?} {:?}", field.field_type, rules.normalize, rules.nulls);
    Some(hex::encode(&Sha256::digest(spelled)[..8]))
}

/// Subjects of a source that are read otherwise than when persons were put on the list, in words.
///
/// # Errors
/// The database can't be read.
async fn read_otherwise(client: &Client, source: &Source) -> Result<Vec<Useless>> {
    let mut changed = Vec::new();
    for kind in &source.kinds {
        let Some(read_as) = fingerprint(kind) else { continue };
        for domain in subject_domains(kind) {
            let entries = suppression::read_otherwise(client, &domain, &read_as).await?;
            if let Ok(count @ 1..) = usize::try_from(entries) {
                changed.push(Useless {
                    why: format!(
                        "{} of the domain {domain} may not keep their persons out of {}: its subject {} is read otherwise \
                         than when they were made",
                        counted(count, "entry", "entries"),
                        kind.label,
                        kind.subject.as_deref().unwrap_or_default()
                    ),
                    remedy: format!(
                        "take the entries off with `pipeline privacy suppression --remove-domain {domain}`, and erase these \
                         persons again: the list then knows their ids as they are read now"
                    ),
                });
            }
        }
    }
    Ok(changed)
}

/// Whether the kind declares anything sensitive. One that does not, such as a list of codes, is of nobody.
pub(super) fn holds_persons(kind: &Kind) -> bool {
    scalar_fields(kind).iter().any(|field| is_sensitive(field.privacy))
}

/// The domains of the project's subjects.
fn domains(project: &Project) -> BTreeSet<String> {
    let kinds = project.sources.iter().flat_map(|source| &source.kinds);
    kinds.flat_map(subject_domains).collect()
}

/// Entries of one domain and key, and whether they still keep anybody out.
#[derive(Debug, Clone)]
pub struct Suppressed {
    pub count: Count,
    /// `None`: they do.
    pub useless: Option<Useless>,
}

/// Why entries keep nobody out, and what to do about it.
#[derive(Debug, Clone)]
pub struct Useless {
    pub why: String,
    pub remedy: String,
}

/// The suppression list by domain and key, and the subjects that it may not know any more.
///
/// # Errors
/// The database can't be read.
pub async fn suppressed(warehouse: &Warehouse, project: &Project) -> Result<(Vec<Suppressed>, Vec<Useless>)> {
    let client = warehouse.acquire().await?;
    let counts = suppression::counts(&client).await?;
    if counts.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut changed = Vec::new();
    for source in &project.sources {
        changed.extend(read_otherwise(&client, source).await?);
    }
    let present = MaskKey::at_hand(warehouse.is_embedded(), &project.root).map(|key| key.key_id());
    let domains = domains(project);
    let judged = counts.into_iter().map(|count| {
        let useless = if !domains.contains(&count.domain) {
            Some(Useless {
                why: "no source has a subject of this domain any more".to_owned(),
                remedy: suppression::other_domain(&count.domain),
            })
        } else if present.as_ref() == Some(&count.key_id) {
            None
        } else {
            let now = present.as_ref();
            Some(Useless {
                why: now.map_or_else(
                    || "no key is at hand to compare with".to_owned(),
                    |id| format!("the present key is {id}"),
                ),
                remedy: OTHER_KEY.to_owned(),
            })
        };
        Suppressed { count, useless }
    });
    Ok((judged.collect(), changed))
}
