//! `pipeline migrate` and `pipeline migration new`.

use clap::Subcommand;

use super::Global;
use crate::error::Result;
use crate::warehouse::{migrate, migration_new};
use crate::{project, report, run};

#[derive(Debug, Subcommand)]
pub(super) enum Migration {
    /// Write the DDL for what pipeline.yaml declares and the migrations do not make yet
    #[command(after_help = super::help::MIGRATION)]
    New {
        /// What the migration does, such as add_lab_results; it becomes part of the file's name
        name: String,
    },
}

pub(super) async fn apply(global: &Global) -> Result<u8> {
    let json = global.json()?;
    let root = global.root()?;
    let warehouse = global.warehouse(&root).await?;
    let applied = migrate::apply(&warehouse, &root).await?;
    match project::load(&root) {
        Ok(project) => run::publish(&warehouse, &project).await?,
        // Applying migrations does not need a valid project. Commands that do need one report what is wrong with it.
        Err(error) => tracing::warn!(%error, "comments and readers' rights are as they were"),
    }
    report::done("migrations", &applied, "no migration is pending", json);
    Ok(0)
}

pub(super) async fn new(global: &Global, migration: Migration) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let Migration::New { name } = migration;
    let written = migration_new(&project, &project.root, &name).await?;
    let written: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    report::done(
        "written",
        &written,
        "the migrations already have all that pipeline.yaml declares",
        json,
    );
    Ok(0)
}
