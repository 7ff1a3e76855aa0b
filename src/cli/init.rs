//! `pipeline init`.

use std::path::PathBuf;

use clap::Args;

use super::Global;
use crate::error::Result;
use crate::{init, report};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of the new project; it must not exist yet, or be empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn execute(global: &Global, arguments: &Arguments) -> Result<u8> {
    let json = global.json()?;
    let files = init::init(&arguments.folder)?;
    report::initialised(&arguments.folder, &files, json);
    Ok(0)
}
