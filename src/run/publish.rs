//! Brings the comments on tables and columns up to date with the project and, where `pipeline roles` has run, the
//! rights of readers.

use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};
use crate::lineage::{self, Outlines, ProjectLineage};
use crate::model::Project;
use crate::transform::Engine;
use crate::warehouse::roles::{self, Access, File, Mentions, Table, View};
use crate::warehouse::{Warehouse, comments, views};

/// Writes grants and comments where they differ.
///
/// # Errors
/// Readers would see what the project hides. Where there are no readers, only an error of the database counts: if the
/// lineage can't be found out, the comments stay as they are.
pub async fn publish(warehouse: &Warehouse, project: &Project) -> Result<()> {
    Planned::alone(project)?.publish(warehouse, project).await
}

/// A project's lineage that another task is working out.
pub(super) struct Planned(AbortOnDropHandle<Result<ProjectLineage>>);

impl Planned {
    /// Starts the task. `outlines` are those of transforms that are planned already.
    pub(super) fn start(engine: Engine, project: &Project, outlines: Outlines) -> Self {
        let project = project.clone();
        Self(AbortOnDropHandle::new(tokio::spawn(async move {
            lineage::of_project(&engine, &project, outlines).await
        })))
    }

    fn alone(project: &Project) -> Result<Self> {
        Ok(Self::start(lineage::engine()?, project, Outlines::new()))
    }

    /// As [`publish`].
    pub(super) async fn publish(self, warehouse: &Warehouse, project: &Project) -> Result<()> {
        let connection = warehouse.acquire().await?;
        let has_readers = !warehouse.is_embedded() && roles::is_used(&connection).await?;
        match self.lineage(project, has_readers).await? {
            Some(lineage) => write(&connection, project, &lineage, has_readers).await,
            None => Ok(()),
        }
    }

    /// Waits for the lineage. `None`, with a warning, where it can't be found out and no reader's rights depend on it.
    async fn lineage(self, project: &Project, has_readers: bool) -> Result<Option<ProjectLineage>> {
        match self.0.await.unwrap_or_else(|_| Err(Error::internal())) {
            Ok(lineage) => Ok(Some(lineage)),
            Err(error) if has_readers && lineage::hides_batch_date(project) => Err(Error {
                message: format!("what readers may see can't be told: {}", error.message),
                ..error
            }),
            Err(error) => {
                tracing::warn!(%error, "comments and readers' rights are as they were; `pipeline check` says more");
                Ok(None)
            }
        }
    }
}

async fn write(client: &Client, project: &Project, lineage: &ProjectLineage, has_readers: bool) -> Result<()> {
    if has_readers {
        roles::apply(client, &access(lineage, project)).await?;
    }
    let comments: Vec<comments::Comment> = lineage::comments(lineage, project)
        .into_iter()
        .map(|one| comments::Comment {
            table: one.table,
            column: one.column,
            description: one.description,
            fallback: one.fallback,
            lineage: one.lineage,
        })
        .collect();
    comments::apply(client, &comments).await.map(drop)
}

/// Writes the grants only. This runs before views change: readers lose a view that is about to show what is hidden.
///
/// # Errors
/// As [`publish`].
pub async fn restrict(warehouse: &Warehouse, project: &Project) -> Result<()> {
    let connection = warehouse.acquire().await?;
    if warehouse.is_embedded() || !roles::is_used(&connection).await? {
        return Ok(());
    }
    match Planned::alone(project)?.lineage(project, true).await? {
        Some(lineage) => roles::apply(&connection, &access(&lineage, project)).await,
        None => Ok(()),
    }
}

/// What the project lets readers see, as the warehouse takes it.
pub fn access(lineage: &ProjectLineage, project: &Project) -> Access {
    let reading = lineage::reading(lineage, project);
    let tables = reading.tables.into_iter().map(|table| Table {
        name: table.entity,
        columns: table.columns,
        hidden: table.hidden,
    });
    let exposed: Vec<String> = reading.exposed.into_iter().map(|one| one.name).collect();
    let views = reading.views.into_iter().map(|name| View {
        stands_on: lineage::stands_on(project, &name).into_iter().collect(),
        exposed: exposed.contains(&name),
        name,
    });
    let mentions = lineage.mentions.iter().map(|(view, columns)| Mentions {
        view: view.clone(),
        columns: columns.iter().cloned().collect(),
    });
    let files = project.views.iter().map(|view| {
        let (kind, fingerprint) = views::identity(view);
        let name = view.name.clone();
        File {
            kind,
            name,
            fingerprint,
        }
    });
    Access {
        hides: reading.hides_batch_date,
        tables: tables.collect(),
        views: views.collect(),
        mentions: mentions.collect(),
        files: files.collect(),
        exposed,
    }
}
