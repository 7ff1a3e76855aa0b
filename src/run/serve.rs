//! Holds the embedded database open until a signal comes.

use std::path::Path;

use super::stop;
use crate::error::Result;
use crate::warehouse;

/// Opens the embedded database on a port, says its URL, and serves until Ctrl-C or SIGTERM.
///
/// Returns exit code 0, since a signal is the ordinary end of this command.
pub async fn serve(root: &Path, port: u16, say: impl FnOnce(&str)) -> Result<u8> {
    let stop = stop::on_signals();
    let served = warehouse::serve_db(root, port).await?;
    say(served.url());
    served.run(stop.token.cancelled()).await;
    Ok(0)
}
