//! What those who read are told and allowed, brought to what the project says after anything that may have changed it:
//! the comments on tables and columns, and the readers' rights where `pipeline roles` has run.

use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};
use crate::lineage::{self, Outlines, ProjectLineage};
use crate::model::{Project, ViewKind};
use crate::transform::Engine;
use crate::warehouse::roles::{self, Access, File, Table, View};
use crate::warehouse::{Warehouse, comments, views};

/// Grants and comments. Writes only what differs.
///
/// # Errors
/// Readers would see, or go on seeing, what the project hides. Without readers nothing but the database is a reason to
/// fail: where the lineage can't be told there are no comments.
pub async fn publish(warehouse: &Warehouse, project: &Project) -> Result<()> {
    Planned::alone(project)?.publish(warehouse, project).await
}

/// A project's lineage, on its way on another thread.
pub(super) struct Planned(AbortOnDropHandle<Result<ProjectLineage>>);

impl Planned {
    /// `outlines` are those of the transforms that somebody has planned already.
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

    /// `None`, with a warning, where it can't be told and nothing hangs on it.
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

/// The grants alone, before views change: one that is about to show what is hidden is taken back first.
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

/// What the project lets readers see, in the warehouse's words.
pub fn access(lineage: &ProjectLineage, project: &Project) -> Access {
    let reading = lineage::reading(lineage, project);
    let tables = reading.tables.into_iter().map(|table| Table {
        name: table.entity,
        columns: table.columns,
    });
    let functions = project
        .views
        .iter()
        .filter(|view| view.kind == ViewKind::Function && !reading.withheld.contains_key(&view.name));
    let views = reading.views.into_iter().map(|name| View {
        stands_on: lineage::stands_on(project, &name).into_iter().collect(),
        name,
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
        files: files.collect(),
        functions: functions.map(|view| view.name.clone()).collect(),
    }
}
