//! The steps that most commands share: find the project, read it, and open its database.

use std::path::{Path, PathBuf};

use super::{Global, Output};
use crate::error::{Error, Result};
use crate::model::Project;
use crate::project;
use crate::report;
use crate::run::{self, Loaded, Suppressed, Useless};
use crate::warehouse::{Database, Warehouse, roles};

impl Global {
    /// The project's folder: the one given with `--project`, or else the nearest one, from the working directory
    /// upwards.
    pub(super) fn root(&self) -> Result<PathBuf> {
        if let Some(root) = &self.project {
            return Ok(root.clone());
        }
        let here =
            std::env::current_dir().map_err(|e| Error::project("the working directory can't be read").cause(e))?;
        project::find_own_root(&here)
    }

    pub(super) fn project(&self) -> Result<Project> {
        project::load(&self.root()?)
    }

    /// Warns of a password among the arguments.
    pub(super) fn warn_of_password(&self) {
        if self.database_url.as_deref().is_some_and(Database::holds_password) {
            report::message(
                "warning: --database-url holds a password, which everybody on this machine can read, for example with \
                 `ps`\n  hint: put the URL into DATABASE_URL, or the password into PGPASSWORD or a password file",
            );
        }
    }

    /// The database that the flags and the environment name.
    pub(super) fn database(&self, root: &Path) -> Result<Database> {
        Database::choose(self.database_url.as_deref(), root)
    }

    /// Opens the database that the flags and the environment name, for one connection. Once there are roles, a superuser
    /// is refused unless the user asks for it.
    pub(super) async fn warehouse(&self, root: &Path) -> Result<Warehouse> {
        let warehouse = Warehouse::open(self.database(root)?, 1).await?;
        if !self.as_superuser {
            roles::refuse_superuser(&warehouse).await?;
        }
        Ok(warehouse)
    }

    /// What is loaded that the project does not say, such as batches under other masks. `None` where there is no database to
    /// ask, and, with a message, where it can't be asked or the user is a superuser who is refused.
    pub(super) async fn loaded(&self, project: &Project) -> Result<Option<Loaded>> {
        if matches!(self.database(&project.root)?, Database::Embedded { dir } if !dir.exists()) {
            return Ok(None);
        }
        let asked = async { run::stale_masks(&self.warehouse(&project.root).await?, project).await };
        Ok(asked.await.inspect_err(report::unknown_masks).ok())
    }

    /// The entries of the suppression list that keep nobody out, and the subjects that it may not know; none where there
    /// is no database to ask.
    pub(super) async fn useless_entries(&self, project: &Project) -> Result<(Vec<Suppressed>, Vec<Useless>)> {
        if matches!(self.database(&project.root)?, Database::Embedded { dir } if !dir.exists()) {
            return Ok((Vec::new(), Vec::new()));
        }
        // What keeps the database from being asked has been said with the masks.
        let asked = async { run::suppressed(&self.warehouse(&project.root).await?, project).await };
        let (mut found, changed) = asked.await.unwrap_or_default();
        found.retain(|one| one.useless.is_some());
        Ok((found, changed))
    }

    /// Whether the command prints JSON, for a command that has no rows to print as CSV. An error if the user asked for
    /// CSV.
    pub(super) fn json(&self) -> Result<bool> {
        match self.output {
            Output::Text => Ok(false),
            Output::Json => Ok(true),
            Output::Csv => Err(Error::project("only `pipeline query` and `pipeline preview` print CSV")
                .hint("use --output text or json")),
        }
    }
}
