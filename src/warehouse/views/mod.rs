//! The BI views. Every file of `sql/functions`, `sql/views` and `sql/materialized` becomes an object of the schema
//! `public`, all in one transaction. Grants are kept and unchanged objects are left alone. An object of a user that
//! depends on a view is never dropped: the change is refused instead. Entity tables and their rows are not touched.

mod apply;
mod dependants;
mod file;
mod further;
mod hidden;
mod keep;
mod outcome;
mod refresh;
mod registry;
mod remove;
mod stale;
#[cfg(test)]
mod tests;
mod work;

use crate::error::Result;
use crate::model::{Project, View};
use crate::warehouse::connect::Warehouse;
use file::Definition;
use outcome::{applied, has_file, is_current, refused};

pub use outcome::{Action, Applied};
pub use refresh::{Refresh, Refreshed, refresh, stale};
pub use stale::{Stale, owed};

/// Names of views and functions whose file differs from the database, or no longer exists. Changes nothing.
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

/// Makes, replaces and drops objects until the database matches the files. On an error, nothing is changed.
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

/// The kind and the fingerprint under which `pipeline.views` records an applied file.
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
