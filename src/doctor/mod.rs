//! `pipeline doctor`: looks at everything that a run needs, and says what is wrong and what to do about it. It changes
//! nothing, and goes on after what it finds wrong.

mod database;
mod disk;
mod finding;

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::join_all;

pub use finding::{Finding, State};

use crate::error::{Error, Kind, Result};
use crate::ingest;
use crate::mask::{self, KEY_FILE, MaskKey};
use crate::model::wording::counted;
use crate::model::{Project, Source};
use crate::project;
use crate::warehouse::Database;

/// Looks at the project, the machine, the storage and the database. `database` is an error where the options or the
/// environment name none that is valid.
pub async fn examine(root: &Path, database: Result<Database>) -> Vec<Finding> {
    let loaded = project::load(root);
    let mut findings = vec![of_project(&loaded)];
    findings.extend(disk::examine(root));
    let on_server = matches!(database, Ok(Database::Server(_)));
    if let Ok(project) = &loaded {
        findings.extend(key(project, on_server));
        findings.extend(storage(project).await);
    }
    match database {
        Ok(database) => findings.extend(database::examine(root, database, loaded.as_ref().ok()).await),
        Err(error) => findings.push(Finding::error("database", &error)),
    }
    findings
}

/// The exit code: 3 where something can't be reached, 1 where something else fails.
pub fn exit_code(findings: &[Finding]) -> u8 {
    let failed = || findings.iter().filter(|one| one.state == State::Fail);
    if failed().any(|one| one.unreachable) {
        return Kind::Unreachable.exit_code();
    }
    u8::from(failed().next().is_some())
}

fn of_project(loaded: &Result<Project>) -> Finding {
    match loaded {
        Ok(project) => Finding::ok(
            "project",
            format!(
                "{}, {}",
                counted(project.sources.len(), "source", "sources"),
                counted(project.entities.len(), "entity", "entities")
            ),
        ),
        // Without a hint of its own, it is a list of problems in the project's files.
        Err(error) => {
            let remedy = error.hint.as_deref();
            let remedy = remedy.unwrap_or("`pipeline check` shows each problem with its place");
            Finding::error("project", error).remedy(remedy)
        }
    }
}

/// The mask key, where a source needs one.
fn key(project: &Project, on_server: bool) -> Option<Finding> {
    let name = "mask key";
    if !project.sources.iter().any(mask::needs_key) {
        return None;
    }
    Some(match MaskKey::find(&project.root) {
        // On a server only the variable counts: a key file belongs to the embedded database.
        Ok(Some(_)) if on_server && std::env::var_os(mask::KEY_VARIABLE).is_none_or(|value| value.is_empty()) => {
            Finding::fail(name, format!("{} is not set", mask::KEY_VARIABLE)).remedy(format!(
                "to mask as the embedded database did, set it to the path of {KEY_FILE}; else make a key with `openssl \
                 rand -base64 32`"
            ))
        }
        Ok(Some(key)) => Finding::ok(name, format!("its id is {}", key.key_id())),
        Ok(None) if on_server => Finding::fail(name, format!("{} is not set", mask::KEY_VARIABLE))
            .remedy("make a key with `openssl rand -base64 32`, and keep it: it can't be made again"),
        Ok(None) => Finding::ok(name, "the first run makes one".to_owned()),
        Err(error) => Finding::error(name, &error),
    })
}

/// The places of all inputs. A place that several sources share is looked at once.
async fn storage(project: &Project) -> Vec<Finding> {
    let today = chrono::Local::now().date_naive();
    let looked = project.sources.iter().map(|source| async move {
        let found = ingest::reach(&project.root, source, today).await;
        (source, found)
    });
    let mut reached: BTreeMap<String, Vec<&Source>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (source, found) in join_all(looked).await {
        match found {
            Ok(place) => reached.entry(place).or_default().push(source),
            Err(error) => findings.push(not_reached(source, &error)),
        }
    }
    let reached = reached.into_iter().map(|(place, sources)| {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        Finding::ok("storage", format!("{place} can be read ({})", names.join(", ")))
    });
    findings.splice(0..0, reached);
    findings
}

fn not_reached(source: &Source, error: &Error) -> Finding {
    let finding = Finding::error("storage", error);
    Finding {
        detail: format!("{}: {}", source.name, finding.detail),
        ..finding
    }
}
