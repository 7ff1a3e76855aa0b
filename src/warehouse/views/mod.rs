//! The BI views: every file of `sql/functions`, `sql/views` and `sql/materialized` made into an object of the schema
//! `public`, all in one transaction. Grants are kept, unchanged objects left alone, and what others have built on a
//! view is never dropped: the change is refused instead. Entity tables and their rows are not touched.

mod apply;
mod dependants;
mod file;
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
pub use stale::Stale;

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
