//! Replaces the engine in a build without the feature `embedded`. Starting it fails with an error that says so.

use std::path::Path;

use tokio_postgres::Config;

use super::socket::Endpoint;
use crate::error::{Error, Result};

/// Never constructed: this build has no embedded database.
pub(super) enum Engine {}

impl Engine {
    pub(super) fn start(_dir: Option<&Path>, _endpoint: &Endpoint) -> Result<(Self, Config)> {
        Err(
            Error::project("no database is named, and this build has no embedded one")
                .hint("name a PostgreSQL server by --database-url or DATABASE_URL"),
        )
    }
}
