//! `pipeline roles`.

use clap::Args;

use super::Global;
use crate::error::Result;
use crate::warehouse::Warehouse;
use crate::warehouse::roles::{self, Names};
use crate::{lineage, report, run};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the SQL for psql instead of running it; this needs no database
    #[arg(long)]
    print: bool,
    /// The role that owns the schemas and tables; it can't log in
    #[arg(long, value_name = "ROLE", default_value = "pipeline_owner")]
    owner: String,
    /// The role that loads data; a member of the owner
    #[arg(long, value_name = "ROLE", default_value = "pipeline_loader")]
    loader: String,
    /// The role for BI tools; another name creates a further reader
    #[arg(long, value_name = "ROLE", default_value = "pipeline_reader")]
    reader: String,
    /// The role with whose rights sql/checks run; it can't log in
    #[arg(long, value_name = "ROLE", default_value = "pipeline_check")]
    checker: String,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let names = Names {
        owner: arguments.owner,
        loader: arguments.loader,
        reader: arguments.reader,
        checker: arguments.checker,
    };
    names.check()?;
    let lineage = lineage::of_project(&lineage::engine()?, &project, lineage::Outlines::new()).await?;
    let access = run::access_anywhere(&lineage, &project);
    if arguments.print {
        report::data(&roles::print(&names, &access));
        return Ok(0);
    }
    // This command alone is for a superuser.
    let open = async || Warehouse::open(global.database(&project.root)?, 1).await;
    roles::make(&open().await?, &names, &access).await?;
    // A new session assumes the owner's role, which may see how the batches were loaded.
    let warehouse = open().await?;
    run::restrict(&warehouse, &project).await?;
    let (reading, access) = run::access_in(&warehouse, &lineage, &project).await?;
    report::roles(&names, &reading, &access, json);
    Ok(0)
}
