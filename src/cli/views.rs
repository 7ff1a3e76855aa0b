//! `pipeline views`.

use super::Global;
use crate::error::Result;
use crate::warehouse::views;
use crate::{report, run};

pub(super) async fn execute(global: &Global) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let warehouse = global.warehouse(&project.root).await?;
    run::restrict(&warehouse, &project).await?;
    let applied = views::apply(&warehouse, &project).await?;
    run::publish(&warehouse, &project).await?;
    report::views(&applied, json);
    Ok(0)
}
