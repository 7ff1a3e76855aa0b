//! `pipeline lsp`.

use clap::Args;
use tokio::runtime::Handle;

use super::Global;
use crate::error::{Error, Result};
use crate::lsp;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Taken for the sake of editors that pass it: the server always uses standard input and output
    #[arg(long, hide = true)]
    stdio: bool,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let Arguments { stdio } = arguments;
    tracing::debug!(stdio, "serving an editor");
    let failed = |error: std::io::Error| Error::project("the project's folder can't be used").cause(error);
    let named = global
        .project
        .as_ref()
        .map(std::path::absolute)
        .transpose()
        .map_err(failed)?;
    let runtime = Handle::current();
    let served = tokio::task::spawn_blocking(move || lsp::serve(named, runtime));
    served.await.map_err(|_| Error::internal())?
}
