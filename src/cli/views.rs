//! `pipeline views`.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Global;
use crate::error::Result;
use crate::warehouse::views::{self, Refresh};
use crate::{report, run};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Refresh the materialized views whose rows are older than the tables they read
    #[arg(long)]
    refresh: bool,
}

pub(super) async fn execute(global: &Global, arguments: &Arguments) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let warehouse = global.warehouse(&project.root).await?;
    run::restrict(&warehouse, &project).await?;
    let applied = views::apply(&warehouse, &project).await?;
    run::publish(&warehouse, &project).await?;
    let refresh = if arguments.refresh {
        let refresh = views::refresh(&warehouse, &project, &CancellationToken::new()).await?;
        if !refresh.refreshed.is_empty() {
            // Readers may see again what showed rows under other masks before.
            run::restrict(&warehouse, &project).await?;
        }
        refresh
    } else {
        Refresh {
            stale: views::stale(&warehouse).await?,
            ..Refresh::default()
        }
    };
    report::views(&applied, &refresh, json);
    Ok(report::not_refreshed(&refresh))
}
