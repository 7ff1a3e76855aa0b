//! What most commands begin with: find and read the project, open its database.

use std::path::PathBuf;

use super::{Global, Output};
use crate::error::{Error, Result};
use crate::project::{self, Project};
use crate::warehouse::{Database, Warehouse};

impl Global {
    /// The project's folder: the one named, or the nearest upward.
    pub(super) fn root(&self) -> Result<PathBuf> {
        match &self.project {
            Some(root) => Ok(root.clone()),
            None => {
                let here = std::env::current_dir()
                    .map_err(|e| Error::project("the working directory can't be read").cause(e))?;
                project::find_root(&here)
            }
        }
    }

    pub(super) fn project(&self) -> Result<Project> {
        project::load(&self.root()?)
    }

    /// The database that the flags and the environment name; connections are made as they are needed.
    pub(super) async fn warehouse(&self, root: &std::path::Path, connections: usize) -> Result<Warehouse> {
        let database = Database::choose(self.database_url.as_deref(), root)?;
        Warehouse::open(database, connections).await
    }

    /// The output format of a command that has no rows to print as CSV.
    pub(super) fn json(&self) -> Result<bool> {
        match self.output {
            Output::Text => Ok(false),
            Output::Json => Ok(true),
            Output::Csv => Err(Error::project("only `pipeline query` prints CSV").hint("use --output text or json")),
        }
    }
}
