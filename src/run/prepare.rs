//! Checks, once per invocation and before the first batch, that the transforms fit the entities and that the database
//! is what the project says.

use std::collections::{BTreeMap, HashMap};

use super::publish::{Planned, Published};
use crate::error::{Code, Error, Result};
use crate::lineage::{self, Outlines};
use crate::model::wording::counted;
use crate::model::{Batch, Project, Source};
use crate::transform::{Engine, Prepared};
use crate::warehouse::{self, BatchLocks, Warehouse, checks, drift, migrate, views};

/// The engine and each source's planned transforms.
pub(crate) struct Plans {
    pub engine: Engine,
    by_source: HashMap<String, Vec<Prepared>>,
}

impl Plans {
    pub(crate) fn of(&self, source: &Source) -> &[Prepared] {
        self.by_source.get(&source.name).map_or(&[], Vec::as_slice)
    }
}

/// The first batch of each source that will run.
fn first_batches(batches: &[Batch]) -> BTreeMap<&str, &Batch> {
    let named = batches.iter().rev().map(|batch| (batch.source.as_str(), batch));
    named.collect()
}

/// Outlines the transforms of the sources of some batches: enough to tell where their columns come from.
///
/// # Errors
/// All problems of all of them at once.
pub(crate) async fn outlines(engine: &Engine, project: &Project, batches: &[Batch]) -> Result<Outlines> {
    let (mut outlines, mut problems) = (Outlines::new(), Vec::new());
    for name in first_batches(batches).into_keys() {
        let source = project.source(name)?;
        match engine.outline(project, source, warehouse::accepts) {
            Ok(found) => drop(outlines.insert(source.name.clone(), found)),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(outlines)
    } else {
        Err(Prepared::problems(problems))
    }
}

/// Makes outlined transforms ready to run, over no more of the records than they use.
///
/// # Errors
/// All problems of all of them at once.
pub(crate) async fn plans(engine: Engine, project: &Project, batches: &[Batch], outlines: &Outlines) -> Result<Plans> {
    let (mut by_source, mut problems) = (HashMap::new(), Vec::new());
    for (name, batch) in first_batches(batches) {
        let source = project.source(name)?;
        let of_source = outlines.get(name).map_or(&[][..], Vec::as_slice);
        problems.extend(lineage::constant_masks(project, source, of_source));
        match engine.prepare(project, source, of_source, batch, &lineage::used) {
            Ok(prepared) => drop(by_source.insert(name.to_owned(), prepared)),
            // A problem of an entity's check shows with every source; it is reported once.
            Err(found) => found.into_iter().for_each(|problem| {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }),
        }
    }
    if problems.is_empty() {
        Ok(Plans { engine, by_source })
    } else {
        Err(Prepared::problems(problems))
    }
}

/// Makes the database fit the project. An embedded database gets migrations and views. A server has to have both, and
/// gets comments and readers' rights. Both lose what dead runs have left.
///
/// # Errors
/// Pending migrations, any difference between the contracts and the tables, and a check that can't be planned.
pub(super) async fn database(locks: &BatchLocks, project: &Project, lineage: Planned) -> Result<Published> {
    let warehouse = locks.warehouse();
    if warehouse.is_embedded() {
        migrate::apply(warehouse, &project.root).await?;
    } else {
        none_pending(warehouse, project).await?;
    }
    drift::check(warehouse, project).await?;
    if warehouse.is_embedded() {
        views::apply(warehouse, project).await?;
    }
    let published = publish(warehouse, project, lineage).await?;
    recover(locks).await?;
    Ok(published)
}

async fn none_pending(warehouse: &Warehouse, project: &Project) -> Result<()> {
    let pending = migrate::pending(warehouse, &project.root).await?;
    if pending.is_empty() {
        return Ok(());
    }
    Err(Error::project(format!(
        "the database lacks {}: {}",
        counted(pending.len(), "migration", "migrations"),
        pending.join(", ")
    ))
    .code(Code::MigrationsPending)
    .hint("run `pipeline migrate`, then `pipeline views`"))
}

async fn publish(warehouse: &Warehouse, project: &Project, lineage: Planned) -> Result<Published> {
    let published = lineage.publish(warehouse, project).await?;
    if !project.checks.is_empty() {
        checks::plan(&mut *warehouse.acquire().await?, &project.entities, &project.checks).await?;
    }
    Ok(published)
}

async fn recover(locks: &BatchLocks) -> Result<()> {
    let recovered = warehouse::recover(locks).await?;
    if !recovered.is_empty() {
        tracing::info!(runs = ?recovered, "removed what dead runs had left");
    }
    Ok(())
}
