//! `pipeline status`.

use clap::Args;

use super::{Global, Only};
use crate::error::Result;
use crate::report;
use crate::run::{self, Loaded};
use crate::warehouse::{runs, views};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    only: Only,
    /// Print at most so many runs, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let source = arguments.only.source(&project)?;
    let warehouse = global.warehouse(&project.root).await?;
    let filter = runs::Filter {
        source,
        date: arguments.only.date,
        limit: Some(arguments.limit),
    };
    let runs = runs::list(&*warehouse.acquire().await?, &filter).await?;
    let masks = run::stale_masks(&warehouse, &project).await;
    let loaded = masks.unwrap_or_else(|error| {
        report::unknown_masks(&error);
        Loaded::default()
    });
    report::status(&runs, &views::stale(&warehouse).await?, &loaded.stale, json);
    report::left_tables(&run::left_tables(&warehouse, &project).await?);
    Ok(0)
}
