//! `pipeline privacy report` and `pipeline privacy risk`.

use clap::Subcommand;

use super::Global;
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
}

pub(super) async fn execute(global: &Global, privacy: Privacy) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    if matches!(privacy, Privacy::Risk) {
        let warehouse = global.warehouse(&project.root).await?;
        report::risk(&run::risk(&warehouse, &project).await?, json);
        return Ok(0);
    }
    let lineage = lineage::of_project(&lineage::engine()?, &project, lineage::Outlines::new()).await?;
    let found = lineage::privacy_report(&lineage, &project);
    let stale = global.stale_masks(&project).await?;
    report::privacy(&found, stale.as_deref(), json);
    Ok(0)
}
