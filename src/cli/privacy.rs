//! `pipeline privacy` and its commands.

use clap::Subcommand;

use super::{Global, person};
use crate::error::Result;
use crate::{lineage, report, run};

#[derive(Debug, Subcommand)]
pub(super) enum Privacy {
    /// List every sensitive field with its class, its mask, and the tables and views that show it
    #[command(after_help = super::help::PRIVACY)]
    Report,
    /// Measure how few persons share the quasi-identifiers in each view
    #[command(after_help = super::help::PRIVACY_RISK)]
    Risk,
    /// List everything that holds rows of one person
    #[command(after_help = super::help::PRIVACY_TRACE)]
    Trace(person::Trace),
    /// Erase one person, and keep later loads from bringing them back
    #[command(after_help = super::help::PRIVACY_ERASE)]
    Erase(person::Erase),
    /// Count the persons whom loads leave out, or take one off the list
    #[command(after_help = super::help::PRIVACY_SUPPRESSION)]
    Suppression(person::Suppression),
}

pub(super) async fn execute(global: &Global, privacy: Privacy) -> Result<u8> {
    match privacy {
        Privacy::Report => Box::pin(show(global)).await,
        Privacy::Risk => {
            let json = global.json()?;
            let project = global.project()?;
            let warehouse = global.warehouse(&project.root).await?;
            let (risks, unsuppressed) = run::risk(&warehouse, &project).await?;
            let code = report::risk(&risks, json);
            report::unsuppressed_columns(&unsuppressed);
            Ok(code)
        }
        Privacy::Trace(arguments) => person::trace(global, arguments).await,
        Privacy::Erase(arguments) => person::erase(global, arguments).await,
        Privacy::Suppression(arguments) => person::list(global, arguments).await,
    }
}

async fn show(global: &Global) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let lineage = lineage::of_project(&lineage::engine()?, &project, lineage::Outlines::new()).await?;
    let loaded = global.loaded(&project).await?;
    let stale = loaded.as_ref().map(|loaded| &loaded.stale[..]);
    let shifted = run::any_shifted(stale.unwrap_or_default());
    let found = lineage::privacy_report(&lineage, &project, shifted);
    report::privacy(&found, stale, json);
    report::left_tables(&loaded.unwrap_or_default().left);
    Ok(0)
}
