//! The suppression list: which persons a run leaves out, and whether the list still works.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::error::{Code, Error, Result};
use crate::mask::{MaskKey, SubjectHash, subject_domains};
use crate::model::scalar_field::{is_sensitive, scalar_fields};
use crate::model::{Kind, Project, Source};
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
    let subjects = key.and_then(|key| SubjectHash::of(source, key));
    Ok(subjects.map(|subjects| (subjects, entries.into_iter().map(|entry| entry.hash).collect())))
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

/// The suppression list by domain and key.
///
/// # Errors
/// The database can't be read.
pub async fn suppressed(warehouse: &Warehouse, project: &Project) -> Result<Vec<Suppressed>> {
    let counts = suppression::counts(&*warehouse.acquire().await?).await?;
    if counts.is_empty() {
        return Ok(Vec::new());
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
    Ok(judged.collect())
}
