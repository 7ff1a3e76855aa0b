//! `pipeline quarantine`.

use clap::{Args, Subcommand};

use super::{Global, Only};
use crate::error::Result;
use crate::report;
use crate::run;
use crate::warehouse::quarantine::{self, Filter};

/// What was not loaded, and why. Of each batch its last run counts. To load it after all, mend the input, the YAML or
/// the SQL and run the batch again: that replaces the whole batch.
#[derive(Debug, Subcommand)]
pub(super) enum Quarantine {
    /// Counted by batch, entity and check
    List(Arguments),
    /// One by one, with file, record and reason
    Show {
        #[command(flatten)]
        arguments: Arguments,
        /// Look into the input for the names of files that a wildcard matched; they may tell of persons, so they are
        /// kept nowhere
        #[arg(long)]
        names: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    only: Only,
    /// Only this check
    #[arg(long, value_name = "NAME")]
    check: Option<String>,
    /// Only this entity; `record` for records that can't be decoded
    #[arg(long, value_name = "NAME")]
    entity: Option<String>,
    /// Of this run instead of the last one
    #[arg(long, value_name = "RUN_ID")]
    run: Option<i64>,
    /// How many lines
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
}

pub(super) async fn execute(global: &Global, quarantine: Quarantine) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let (Quarantine::List(arguments) | Quarantine::Show { arguments, .. }) = &quarantine;
    let filter = Filter {
        source: arguments.only.source(&project)?,
        date: arguments.only.date,
        check: arguments.check.clone(),
        entity: arguments.entity.clone(),
        run: arguments.run,
        limit: Some(arguments.limit),
    };
    let warehouse = global.warehouse(&project.root).await?;
    let connection = warehouse.acquire().await?;
    match quarantine {
        Quarantine::List(_) => report::quarantine_list(&quarantine::list(&connection, &filter).await?, json),
        Quarantine::Show { names, .. } => {
            let mut found = quarantine::show(&connection, &filter).await?;
            if names {
                let nameless = run::name_files(&project, &connection, &mut found).await?;
                report::quarantine_nameless(nameless);
            }
            report::quarantine_show(&found, json);
        }
    }
    Ok(0)
}
