//! The embedded database held open on a port, for psql or a BI tool. Knows nothing of what its client asks.
//!
//! The port is on the loopback address and asks for no password: every user of this machine can connect while it is
//! open. One client at a time is served; a second one is let in by the system, and waits without an answer until the
//! first has left.

use std::path::Path;

use super::embedded::Embedded;
use crate::error::{Error, Result};

/// An embedded database on a port, until it is stopped or dropped.
pub struct Served {
    embedded: Embedded,
    url: String,
}

/// Opens the embedded database of the project at `root` on a port of the loopback address; 0 is any free one.
pub async fn serve_db(root: &Path, port: u16) -> Result<Served> {
    let dir = root.join(".pipeline").join("warehouse");
    let embedded = Embedded::start(Some(dir), Some(port)).await?;
    let url = embedded
        .url()
        .ok_or_else(|| Error::unreachable("the embedded database has no port"))?;
    Ok(Served { embedded, url })
}

impl Served {
    /// What to give to psql.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `stop` is done, then shuts down. A client that is still there loses its connection when this
    /// process ends, so `stop`'s caller should end it soon after.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        stop.await;
        // A client that does not leave would hold the shutdown up for ever.
        let patience = std::time::Duration::from_secs(2);
        if tokio::time::timeout(patience, self.embedded.stop()).await.is_err() {
            tracing::debug!("a client of serve-db was still connected");
        }
    }
}
