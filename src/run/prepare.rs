//! What is checked once per invocation, before the first batch: that the transforms fit, and that
//! the database is what the project says.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::OnceCell;

use super::publish::Planned;
use crate::error::{Error, Result};
use crate::lineage;
use crate::project::{Project, Source};
use crate::transform::{Engine, Limits, Prepared};
use crate::warehouse::{self, Database, Warehouse, checks, contract, migrate, views};

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

/// Plans the transforms of the named sources.
///
/// # Errors
/// All problems of all of them at once.
pub(super) async fn plans<'a>(
    project: &Project,
    limits: &Limits,
    sources: impl Iterator<Item = &'a str>,
) -> Result<Plans> {
    let engine = Engine::new(limits)?;
    let (mut by_source, mut problems) = (HashMap::new(), Vec::new());
    for name in sources.collect::<BTreeSet<_>>() {
        match engine.prepare(project, project.source(name)?, warehouse::accepts).await {
            Ok(prepared) => {
                let plans = SourcePlans {
                    full: prepared,
                    narrow: OnceCell::new(),
                };
                by_source.insert(name.to_owned(), plans);
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

/// Brings the embedded database up to the project; a server only is compared with it.
///
/// # Errors
/// Pending migrations on a server, and any difference between the contracts and the tables.
pub(super) async fn database(warehouse: &Warehouse, project: &Project) -> Result<()> {
    let lineage = Planned::start(project);
    if warehouse.is_embedded() {
        migrate::apply(warehouse, &project.root).await?;
        contract::check(warehouse, project).await?;
        views::apply(warehouse, project).await?;
        lineage.publish(warehouse, project).await?;
        return checks::plan(&*warehouse.acquire().await?, &project.entities, &project.checks).await;
    }
    let pending = migrate::pending(warehouse, &project.root).await?;
    if !pending.is_empty() {
        return Err(Error::project(format!(
            "the database lacks {}: {}",
            count(pending.len(), "migration"),
            pending.join(", ")
        ))
        .hint("run `pipeline migrate`, then `pipeline views`"));
    }
    contract::check(warehouse, project).await?;
    lineage.publish(warehouse, project).await?;
    if project.checks.is_empty() {
        return Ok(());
    }
    checks::plan(&*warehouse.acquire().await?, &project.entities, &project.checks).await
}

/// What `check` looked at.
#[derive(Debug)]
pub struct Checked {
    pub sources: usize,
    pub entities: usize,
    pub transforms: usize,
    /// Migrations that were applied to an empty database in memory.
    pub migrations: usize,
    pub views: usize,
}

/// Checks the whole project: plans every transform, then applies migrations and views to an
/// embedded database in memory and compares the contracts with it.
pub async fn check(project: &Project) -> Result<Checked> {
    let limits = Limits {
        memory: 64 << 20,
        at_once: 1,
        spill: None,
    };
    let plans = plans(project, &limits, project.sources.iter().map(|s| s.name.as_str())).await?;
    let warehouse = Warehouse::open(Database::Memory, 1).await?;
    let migrations = migrate::apply(&warehouse, &project.root).await?.len();
    contract::check(&warehouse, project).await?;
    views::apply(&warehouse, project).await?;
    checks::plan(&*warehouse.acquire().await?, &project.entities, &project.checks).await?;
    Ok(Checked {
        sources: project.sources.len(),
        entities: project.entities.len(),
        transforms: plans.by_source.values().map(|plans| plans.full.len()).sum(),
        migrations,
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
