//! `pipeline quarantine`.

use clap::{Args, Subcommand};

use super::{Global, Only};
use crate::error::Result;
use crate::report;
use crate::run;
use crate::warehouse::quarantine::{self, Filter};

/// Show what was not loaded, and why. Both commands show the last run of each batch. To load what was refused, correct
/// the input, the YAML or the SQL, and run the batch again: the whole batch is then replaced.
#[derive(Debug, Subcommand)]
pub(super) enum Quarantine {
    /// Count the entries by batch, entity and check
    #[command(after_help = super::help::QUARANTINE_LIST)]
    List(Arguments),
    /// Show each entry with its file, record and reason
    #[command(after_help = super::help::QUARANTINE_SHOW)]
    Show {
        #[command(flatten)]
        arguments: Arguments,
        /// Look up the names of files that a wildcard matched. A name may identify a person, so it is printed and
        /// stored nowhere
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
    /// Only this entity; `record` stands for whole records
    #[arg(long, value_name = "NAME")]
    entity: Option<String>,
    /// The entries of this run, instead of the last one
    #[arg(long, value_name = "RUN_ID")]
    run: Option<i64>,
    /// Print at most so many lines
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
