//! `pipeline doctor`.

use super::Global;
use crate::error::Result;
use crate::{doctor, report};

pub(super) async fn execute(global: &Global) -> Result<u8> {
    let json = global.json()?;
    let root = global.root()?;
    let findings = doctor::examine(&root, global.database(&root)).await;
    Ok(report::doctor(&findings, json))
}
