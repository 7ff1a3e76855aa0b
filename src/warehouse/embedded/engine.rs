//! The only file that knows pglite-oxide, the PostgreSQL that runs in this process.

use std::path::Path;
use std::time::{Duration, Instant};

use pglite_oxide::PgliteServer;
use tokio_postgres::Config;

use super::socket::{Endpoint, SOCKET};
use crate::error::{Error, Result};

/// How long to wait for the engine's own lock of the folder. The engine may free it a moment after the folder lock is
/// free.
const PATIENCE: Duration = Duration::from_secs(3);
const USER: &str = "postgres";
const DATABASE: &str = "postgres";

/// The server's thread. It is joined on drop.
pub(super) struct Engine {
    _server: PgliteServer,
}

impl Engine {
    pub(super) fn start(dir: Option<&Path>, endpoint: &Endpoint) -> Result<(Self, Config)> {
        let deadline = Instant::now() + PATIENCE;
        let server = loop {
            let builder = PgliteServer::builder().username(USER).database(DATABASE);
            let builder = match dir {
                Some(dir) => builder.path(dir),
                None => builder.temporary().relaxed_durability(true),
            };
            let builder = match endpoint {
                #[cfg(unix)]
                Endpoint::Socket(folder) => builder.unix(folder.join(SOCKET)),
                Endpoint::Port => builder.tcp(([127, 0, 0, 1], 0).into()),
            };
            match builder.start() {
                Ok(server) => break server,
                // The engine's errors have no kind, so only the text tells a busy folder from a broken one.
                Err(error) if format!("{error:#}").contains("already in use") && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => {
                    return Err(Error::unreachable("the embedded database did not start")
                        .cause(format!("{error:#}"))
                        .hint("name a PostgreSQL server by --database-url or DATABASE_URL instead"));
                }
            }
        };
        let mut config = Config::new();
        config.user(USER).dbname(DATABASE).application_name("pipeline");
        match (endpoint, server.tcp_addr()) {
            #[cfg(unix)]
            (Endpoint::Socket(folder), _) => {
                config.host_path(folder).port(5432);
            }
            (_, Some(address)) => {
                config.host(address.ip().to_string()).port(address.port());
            }
            (Endpoint::Port, None) => {}
        }
        Ok((Self { _server: server }, config))
    }
}
