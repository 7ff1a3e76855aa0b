//! `pipeline views`.

use super::Global;
use crate::error::Result;
use crate::report;
use crate::warehouse::views;

pub(super) async fn execute(global: &Global) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let warehouse = global.warehouse(&project.root).await?;
    let applied: Vec<String> = views::apply(&warehouse, &project).await?.iter().map(ToString::to_string).collect();
    report::done("views", &applied, "every view is up to date", json);
    Ok(0)
}
