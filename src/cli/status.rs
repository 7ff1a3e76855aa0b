//! `pipeline status`.

use chrono::NaiveDate;
use clap::Args;

use super::{Global, date};
use crate::error::Result;
use crate::report;
use crate::warehouse::runs;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this source, by name or alias
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only this batch date
    #[arg(long, value_parser = date)]
    date: Option<NaiveDate>,
    /// How many runs, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let source = arguments
        .source
        .map(|name| project.source(&name).map(|s| s.name.clone()))
        .transpose()?;
    let warehouse = global.warehouse(&project.root).await?;
    let filter = runs::Filter {
        source,
        date: arguments.date,
        limit: Some(arguments.limit),
    };
    report::status(&runs::list(&*warehouse.acquire().await?, &filter).await?, json);
    Ok(0)
}
