//! `pipeline.stale_views`: which materialized views owe a refresh, and since which runs. A swap marks every materialized
//! view for each entity that it changes, in its own transaction, so that no end of a process loses it. Here it is told
//! which of the marks matter, and they are taken away once they are paid.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::{Error, Result};
use crate::warehouse::sql::{db_error, sqlstate};

/// A materialized view whose rows are older than what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    pub name: String,
    /// Runs whose change it does not show yet; empty where it only reads a view that is stale.
    pub runs: Vec<i64>,
}

/// What one run changed of what a view may read.
#[derive(Debug)]
pub(super) struct Mark {
    pub name: String,
    pub entity: String,
    pub run_id: i64,
}

fn failed(error: &tokio_postgres::Error) -> Error {
    if is_missing(error) {
        Error::project("the database has no table pipeline.stale_views yet").hint("run `pipeline migrate` first")
    } else {
        db_error("the list of stale views can't be read or written", error)
    }
}

/// Whether the table is not there yet: undefined table, or undefined schema.
fn is_missing(error: &tokio_postgres::Error) -> bool {
    matches!(sqlstate(error), Some("42P01" | "3F000"))
}

/// All marks. None where the table is not there yet.
pub(super) async fn marks(client: &Client) -> Result<Vec<Mark>> {
    let sql = "SELECT name, entity, run_id FROM pipeline.stale_views ORDER BY run_id";
    let rows = match client.query_typed(sql, &[]).await {
        Ok(rows) => rows,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    Ok(rows
        .iter()
        .map(|row| Mark {
            name: row.get(0),
            entity: row.get(1),
            run_id: row.get(2),
        })
        .collect())
}

/// The names of the materialized views that any run has marked, whether they read what it changed or not. None where
/// the table is not there yet.
pub async fn owed(client: &Client) -> Result<Vec<String>> {
    let mut names: Vec<String> = marks(client).await?.into_iter().map(|mark| mark.name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The runs that a view is marked for. To be asked before the view is filled: what is marked later, it may not show.
pub(super) async fn runs_of(client: &Client, name: &str) -> Result<Vec<i64>> {
    let sql = "SELECT DISTINCT run_id FROM pipeline.stale_views WHERE name = $1";
    let rows = client.query_typed(sql, &[(&name, Type::TEXT)]).await;
    Ok(rows
        .map_err(|error| failed(&error))?
        .iter()
        .map(|row| row.get(0))
        .collect())
}

/// Takes away a view's marks of these runs.
pub(super) async fn forget(client: &Client, name: &str, runs: &[i64]) -> Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM pipeline.stale_views WHERE name = $1 AND run_id = ANY ($2)";
    let done = client
        .query_typed(sql, &[(&name, Type::TEXT), (&runs, Type::INT8_ARRAY)])
        .await;
    done.map(drop).map_err(|error| failed(&error))
}
