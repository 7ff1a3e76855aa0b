//! `pipeline check`.

use super::Global;
use crate::error::Result;
use crate::{report, run};

pub(super) async fn execute(global: &Global) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let checked = run::check(&project).await?;
    let stale = global.stale_masks(&project).await?;
    let useless = global.useless_entries(&project).await?;
    report::checked(&checked, stale.as_deref(), &useless, json);
    Ok(0)
}
