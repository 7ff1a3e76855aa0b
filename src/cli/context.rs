//! What most commands begin with: find and read the project, open its database.

use std::path::{Path, PathBuf};

use super::{Global, Output};
use crate::error::{Error, Result};
use crate::model::Project;
use crate::project;
use crate::warehouse::{Database, Warehouse};

impl Global {
    /// The project's folder: the one named, or the nearest upward.
    pub(super) fn root(&self) -> Result<PathBuf> {
        if let Some(root) = &self.project {
            return Ok(root.clone());
        }
        let here =
            std::env::current_dir().map_err(|e| Error::project("the working directory can't be read").cause(e))?;
        project::find_root(&here)
    }

    pub(super) fn project(&self) -> Result<Project> {
        project::load(&self.root()?)
    }

    /// The database that the flags and the environment name.
    pub(super) fn database(&self, root: &Path) -> Result<Database> {
        Database::choose(self.database_url.as_deref(), root)
    }

    /// That database, open for one connection.
    pub(super) async fn warehouse(&self, root: &Path) -> Result<Warehouse> {
        Warehouse::open(self.database(root)?, 1).await
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
