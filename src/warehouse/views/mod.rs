//! The BI views: every file of `sql/functions`, `sql/views` and `sql/materialized` made into an object of the schema
//! `public`, all in one transaction. Grants are kept, unchanged objects left alone, and what others have built on a
//! view is never dropped: the change is refused instead.

mod apply;
mod dependants;
mod file;
mod hidden;
mod keep;
mod refresh;
mod registry;
mod remove;
#[cfg(test)]
mod tests;

use super::pool::Warehouse;
use crate::error::{Diagnostic, Error, Result};
use crate::model::{Project, View, ViewKind};
use file::Definition;

pub use refresh::{Refreshed, refresh};

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub kind: ViewKind,
    pub name: String,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    /// In place: what stands on it was not touched.
    Replaced,
    /// Dropped and made again, itself or because of what it stands on; grants, owner and comments were kept.
    Recreated,
    /// Its file is gone.
    Dropped,
    /// As it was, but filled anew, since what it reads was changed.
    Refreshed,
    Unchanged,
}

/// Names of views and functions whose files differ from what the database has, or are gone. Changes nothing.
pub async fn pending(warehouse: &Warehouse, project: &Project) -> Result<Vec<String>> {
    let definitions = definitions(project)?;
    let entries = registry::read(&*warehouse.acquire().await?).await?;
    let changed = definitions
        .iter()
        .filter(|definition| !is_current(definition, &entries));
    let gone = entries.iter().filter(|entry| !has_file(entry, &definitions));
    Ok(changed
        .map(|d| d.view.name.clone())
        .chain(gone.map(|entry| entry.name.clone()))
        .collect())
}

/// Makes, replaces and drops until the database has what the files say; all of it or nothing.
pub async fn apply(warehouse: &Warehouse, project: &Project) -> Result<Vec<Applied>> {
    let definitions = definitions(project)?;
    let mut connection = warehouse.acquire().await?;
    let entries = registry::read(&connection).await?;
    let current = definitions.iter().all(|definition| is_current(definition, &entries));
    if current && entries.iter().all(|entry| has_file(entry, &definitions)) {
        return Ok(definitions
            .iter()
            .map(|definition| applied(definition, Action::Unchanged))
            .collect());
    }
    apply::run(&mut connection, &definitions).await
}

/// The kind and the fingerprint by which `pipeline.views` knows a file that was applied.
pub fn identity(view: &View) -> (&'static str, String) {
    (registry::word(view.kind), file::fingerprint(view))
}

fn definitions(project: &Project) -> Result<Vec<Definition<'_>>> {
    let (mut definitions, mut problems) = (Vec::new(), Vec::new());
    for view in &project.views {
        match Definition::parse(view) {
            Ok(definition) => definitions.push(definition),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(definitions)
    } else {
        Err(refused(problems))
    }
}

fn refused(problems: Vec<Diagnostic>) -> Error {
    Error::project("the views can't be made, and none was changed").diagnostics(problems)
}

fn is_current(definition: &Definition<'_>, entries: &[registry::Entry]) -> bool {
    entries
        .iter()
        .any(|entry| is_of(entry, definition) && entry.oid.is_some() && entry.fingerprint == definition.fingerprint)
}

fn has_file(entry: &registry::Entry, definitions: &[Definition<'_>]) -> bool {
    definitions.iter().any(|definition| is_of(entry, definition))
}

fn is_of(entry: &registry::Entry, definition: &Definition<'_>) -> bool {
    entry.kind == definition.view.kind && entry.name == definition.view.name
}

fn applied(definition: &Definition<'_>, action: Action) -> Applied {
    Applied {
        kind: definition.view.kind,
        name: definition.view.name.clone(),
        action,
    }
}
