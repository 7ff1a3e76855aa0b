//! `pipeline views`.

use super::Global;
use crate::error::Result;
use crate::report;
use crate::warehouse::views;

pub(super) async fn execute(global: &Global) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let warehouse = global.warehouse(&project.root).await?;
    report::views(&views::apply(&warehouse, &project).await?, json);
    Ok(0)
}
