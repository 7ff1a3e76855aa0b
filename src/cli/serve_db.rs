//! `pipeline serve-db`.

use clap::Args;

use super::Global;
use crate::error::Result;
use crate::warehouse::Listen;
use crate::{report, run};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The port to listen on, on this machine only [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Open a socket that only you can reach, instead of a port
    #[arg(long, conflicts_with = "port")]
    socket: bool,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let root = global.root()?;
    let listen = if arguments.socket {
        Listen::Socket
    } else {
        Listen::Port(arguments.port)
    };
    run::serve(&root, listen, |url| report::serving(url, json)).await
}
