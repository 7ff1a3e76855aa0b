//! `pipeline serve-db`.

use clap::Args;

use super::Global;
use crate::error::Result;
use crate::{report, run};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The port to listen on, on this machine only [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let root = global.root()?;
    run::serve(&root, arguments.port, |url| report::serving(url, json)).await
}
