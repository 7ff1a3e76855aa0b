//! What those who read are told and allowed, brought to what the project says after anything that may have changed it:
//! the comments on tables and columns, and the readers' rights where `pipeline roles` has run.

use crate::error::{Error, Result};
use crate::lineage::{self, ProjectLineage};
use crate::project::{Project, ViewKind};
use crate::warehouse::roles::{self, Access, Table};
use crate::warehouse::{Warehouse, comments};

/// Grants and comments. Writes only what differs.
///
/// # Errors
/// Readers would see, or go on seeing, what the project hides. Without readers nothing but the database is a reason to
/// fail: where the lineage can't be told there are no comments.
pub async fn publish(warehouse: &Warehouse, project: &Project) -> Result<()> {
    let connection = warehouse.acquire().await?;
    let has_readers = !warehouse.is_embedded() && roles::is_used(&connection).await?;
    let lineage = match lineage_of(project).await {
        Ok(lineage) => lineage,
        Err(error) if has_readers && lineage::hides_batch_date(project) => {
            return Err(Error {
                message: format!("what readers may see can't be told: {}", error.message),
                ..error
            });
        }
        Err(error) => {
            tracing::warn!(%error, "comments and readers' rights are as they were; `pipeline check` says more");
            return Ok(());
        }
    };
    if has_readers {
        roles::apply(&connection, &access(&lineage, project)).await?;
    }
    let comments: Vec<comments::Comment> = lineage::comments(&lineage, project)
        .into_iter()
        .map(|one| comments::Comment {
            table: one.table,
            column: one.column,
            description: one.description,
            fallback: one.fallback,
            lineage: one.lineage,
        })
        .collect();
    comments::apply(&connection, &comments).await.map(drop)
}

async fn lineage_of(project: &Project) -> Result<ProjectLineage> {
    lineage::of_project(&lineage::engine()?, project).await
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
    Access {
        hides: reading.hides_batch_date,
        tables: tables.collect(),
        views: reading.views,
        functions: functions.map(|view| view.name.clone()).collect(),
    }
}
