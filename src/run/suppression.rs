//! The suppression list: which persons a run leaves out, and whether the list still works.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::error::{Code, Error, Result};
use crate::mask::{MaskKey, SubjectHash, subject_domains};
use crate::model::{Project, Source};
use crate::warehouse::Warehouse;
use crate::warehouse::suppression::{self, Count, Entry, OTHER_KEY};

/// The persons whom a run of a source leaves out. `None`: nobody.
///
/// # Errors
/// The list names persons under another key than the present one: the run would bring them back.
pub(super) async fn of_source(
    client: &Client,
    source: &Source,
    key: Option<&MaskKey>,
) -> Result<Option<(SubjectHash, Vec<String>)>> {
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

/// Entries of one domain and key, and whether they still keep anybody out.
#[derive(Debug, Clone)]
pub struct Suppressed {
    pub count: Count,
    /// Why they keep nobody out. `None`: they do.
    pub useless: Option<String>,
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
    let kinds = project.sources.iter().flat_map(|source| &source.kinds);
    let domains: BTreeSet<String> = kinds.flat_map(subject_domains).collect();
    let judged = counts.into_iter().map(|count| {
        let useless = if !domains.contains(&count.domain) {
            Some("no source has a subject of this domain any more".to_owned())
        } else if present.as_ref() == Some(&count.key_id) {
            None
        } else {
            let now = present.as_ref();
            Some(now.map_or_else(
                || "no key is at hand to compare with".to_owned(),
                |id| format!("the present key is {id}"),
            ))
        };
        Suppressed { count, useless }
    });
    Ok(judged.collect())
}
