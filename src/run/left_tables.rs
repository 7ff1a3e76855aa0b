//! Tables that hold rows of batches and are no entity of the project any more. No load replaces their rows, and nothing
//! of the project says under which masks they are.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tokio_postgres::Client;

use crate::error::Result;
use crate::model::{Batch, Column, Entity, Project};
use crate::warehouse::Warehouse;
use crate::warehouse::held::{Held, held};
use crate::warehouse::masks::{Live, LiveBatch};

/// A table that is not in `pipeline.yaml`, and the batches of which it holds rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftTable {
    pub table: String,
    pub batches: Vec<Batch>,
}

/// The tables that the project has left behind, by name.
///
/// # Errors
/// A database that can't be read.
pub async fn left_tables(warehouse: &Warehouse, project: &Project) -> Result<Vec<LeftTable>> {
    find(&*warehouse.acquire().await?, project).await
}

/// As [`left_tables`].
pub(super) async fn find(client: &Client, project: &Project) -> Result<Vec<LeftTable>> {
    Ok(of(project, &held(client).await?))
}

/// As [`left_tables`], where it is known which tables hold rows.
pub(super) fn of(project: &Project, held: &[Held]) -> Vec<LeftTable> {
    let mut left: BTreeMap<String, Vec<Batch>> = BTreeMap::new();
    for Held { table, batch } in held {
        if project.entity(table).is_err() {
            left.entry(table.clone()).or_default().push(batch.clone());
        }
    }
    let tables = left.into_iter().map(|(table, batches)| LeftTable { table, batches });
    tables.collect()
}

/// The project's entities, and in their form the tables that hold rows of the batch besides.
pub(super) fn with_left(project: &Project, left: &[LeftTable], batch: &Batch) -> Vec<Entity> {
    let mut entities = project.entities.clone();
    let Some(location) = entities.first().map(|one| one.location.clone()) else {
        return entities;
    };
    let holding = left.iter().filter(|table| table.batches.contains(batch));
    entities.extend(holding.map(|table| Entity::named(table.table.clone(), location.clone())));
    entities
}

/// The columns of entities that hold rows of a batch although its last load knew nothing of them: they were not in the
/// project then, so the rows are of an earlier load.
pub(super) fn older<'a>(
    project: &'a Project,
    live: &Live,
    batch: &LiveBatch,
    held: &HashSet<&Held>,
) -> Vec<(&'a Entity, &'a Column)> {
    if batch.columns.is_empty() {
        return Vec::new();
    }
    let is_older = |entity: &&Entity| {
        let holds = Held {
            table: entity.name.clone(),
            batch: batch.batch.clone(),
        };
        held.contains(&holds) && !live.columns_of(batch).any(|one| one.entity == entity.name)
    };
    let entities = project.entities.iter().filter(is_older);
    let columns = entities.flat_map(|entity| entity.columns.iter().map(move |column| (entity, column)));
    columns.collect()
}

/// The batches of which an entity holds rows although they were dropped, while it was not in the project.
pub(super) fn dropped(project: &Project, live: &Live, held: &[Held]) -> Vec<Batch> {
    let live: HashSet<&Batch> = live.batches.iter().map(|one| &one.batch).collect();
    let left = held
        .iter()
        .filter(|one| project.entity(&one.table).is_ok() && !live.contains(&one.batch));
    let batches: BTreeSet<&Batch> = left.map(|one| &one.batch).collect();
    batches.into_iter().cloned().collect()
}
