//! What is checked once per invocation, before the first batch: that the transforms fit, and that
//! the database is what the project says.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::OnceCell;

use super::publish::Planned;
use crate::error::{Error, Result};
use crate::lineage::{self, Outlines};
use crate::project::{Batch, Project, Source};
use crate::transform::{Engine, Prepared, sample};
use crate::warehouse::{self, BatchLocks, Database, Warehouse, checks, drift, migrate, views};

/// The engine and each source's planned transforms.
pub(super) struct Plans {
    pub engine: Engine,
    by_source: HashMap<String, SourcePlans>,
}

struct SourcePlans {
    full: Vec<Prepared>,
    /// The same over no more of the records than they use; made for the first input that is worth it.
    narrow: OnceCell<Vec<Prepared>>,
}

/// Bytes of input that cost as much as planning again.
const WORTH_NARROWING: u64 = 1 << 20;

impl Plans {
    pub(super) fn outlines(&self) -> Outlines {
        let outlines = |(source, plans): (&String, &SourcePlans)| {
            let outlines = plans.full.iter().map(|plan| plan.outline.clone());
            (source.clone(), outlines.collect())
        };
        self.by_source.iter().map(outlines).collect()
    }

    /// The transforms of a source, for an input of so many bytes.
    pub(super) async fn of(&self, project: &Project, source: &Source, bytes: u64) -> &[Prepared] {
        let Some(plans) = self.by_source.get(&source.name) else {
            return &[];
        };
        if bytes < WORTH_NARROWING {
            return &plans.full;
        }
        let narrow = plans.narrow.get_or_init(|| async {
            let mut narrow = Vec::with_capacity(plans.full.len());
            for full in &plans.full {
                narrow.push(match lineage::used(source, &full.outline) {
                    Ok(used) => self.engine.narrow(project, source, full, &used).await,
                    Err(_) => full.clone(),
                });
            }
            narrow
        });
        narrow.await
    }
}

/// Plans the transforms of the sources of some batches.
///
/// # Errors
/// All problems of all of them at once.
pub(super) async fn plans<'a>(
    engine: Engine,
    project: &Project,
    batches: impl DoubleEndedIterator<Item = &'a Batch>,
) -> Result<Plans> {
    let (mut by_source, mut problems) = (HashMap::new(), Vec::new());
    // Of each source the first.
    for (name, batch) in batches
        .rev()
        .map(|batch| (&batch.source, batch))
        .collect::<BTreeMap<_, _>>()
    {
        let source = project.source(name)?;
        match engine.prepare(project, source, batch, warehouse::accepts).await {
            Ok(prepared) => {
                let plans = SourcePlans {
                    full: prepared,
                    narrow: OnceCell::new(),
                };
                by_source.insert(name.clone(), plans);
            }
            // What is wrong with a contract's check is so for every source.
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

/// Compares a server with the project, and changes nothing.
///
/// # Errors
/// Pending migrations, and any difference between the contracts and the tables.
pub(super) async fn compare(warehouse: &Warehouse, project: &Project) -> Result<()> {
    let pending = migrate::pending(warehouse, &project.root).await?;
    if !pending.is_empty() {
        return Err(Error::project(format!(
            "the database lacks {}: {}",
            count(pending.len(), "migration"),
            pending.join(", ")
        ))
        .hint("run `pipeline migrate`, then `pipeline views`"));
    }
    drift::check(warehouse, project).await
}

/// Brings the embedded database up to the project; of a server, which was compared with it, what readers are told and
/// allowed. Removes what dead runs have left.
///
/// # Errors
/// Any difference between the contracts and the tables, and a check that can't be planned.
pub(super) async fn database(locks: &BatchLocks, project: &Project, lineage: Planned) -> Result<()> {
    let warehouse = locks.warehouse();
    if warehouse.is_embedded() {
        migrate::apply(warehouse, &project.root).await?;
        drift::check(warehouse, project).await?;
        views::apply(warehouse, project).await?;
        publish(warehouse, project, lineage).await?;
        return recover(locks).await;
    }
    // Over a session each.
    let (published, recovered) = tokio::join!(publish(warehouse, project, lineage), recover(locks));
    published.and(recovered)
}

async fn publish(warehouse: &Warehouse, project: &Project, lineage: Planned) -> Result<()> {
    lineage.publish(warehouse, project).await?;
    if project.checks.is_empty() {
        return Ok(());
    }
    checks::plan(&*warehouse.acquire().await?, &project.entities, &project.checks).await
}

async fn recover(locks: &BatchLocks) -> Result<()> {
    let recovered = warehouse::recover(locks).await?;
    if !recovered.is_empty() {
        tracing::info!(runs = ?recovered, "removed what dead runs had left");
    }
    Ok(())
}

/// What `check` looked at.
#[derive(Debug)]
pub struct Checked {
    pub sources: usize,
    pub entities: usize,
    pub transforms: usize,
    /// The project's migrations, which were applied to an empty database in memory.
    pub migrations: usize,
    pub views: usize,
}

/// Checks the whole project: plans every transform, then applies migrations and views to an
/// embedded database in memory and compares the contracts with it.
pub async fn check(project: &Project) -> Result<Checked> {
    let samples: Vec<Batch> = project.sources.iter().map(sample).collect();
    let plans = plans(lineage::engine()?, project, samples.iter()).await?;
    let warehouse = Warehouse::open(Database::Memory, 1).await?;
    migrate::apply(&warehouse, &project.root).await?;
    drift::check(&warehouse, project).await?;
    views::apply(&warehouse, project).await?;
    checks::plan(&*warehouse.acquire().await?, &project.entities, &project.checks).await?;
    Ok(Checked {
        sources: project.sources.len(),
        entities: project.entities.len(),
        transforms: plans.by_source.values().map(|plans| plans.full.len()).sum(),
        migrations: migrate::files(&project.root)?.len(),
        views: project.views.len(),
    })
}

fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}
