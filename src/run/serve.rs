//! Holds the embedded database open until a signal comes.

use std::path::Path;

use super::stop;
use crate::error::Result;
use crate::warehouse::{self, Listen};

/// Opens the embedded database on a port or a socket, says its URL, and serves until Ctrl-C or SIGTERM.
///
/// Returns exit code 0, since a signal is the ordinary end of this command.
pub async fn serve(root: &Path, listen: Listen, say: impl FnOnce(&str)) -> Result<u8> {
    let stop = stop::on_signals();
    let served = warehouse::serve_db(root, listen).await?;
    say(served.url());
    served.run(stop.token.cancelled()).await;
    Ok(0)
}
