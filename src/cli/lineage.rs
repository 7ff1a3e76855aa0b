//! `pipeline lineage`.

use clap::Args;

use super::Global;
use crate::error::Result;
use crate::{lineage, report};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A column such as visits.visit_date, or a table or view for all its columns [default: every column]
    #[arg(value_name = "TABLE[.COLUMN]")]
    column: Option<String>,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let mut lineage = lineage::of_project(&lineage::engine()?, &project, lineage::Outlines::new()).await?;
    if let Some(name) = arguments.column {
        lineage = lineage.column(&name)?;
    }
    report::data(&if json {
        lineage.to_json().to_string()
    } else {
        lineage.to_text()
    });
    Ok(0)
}
