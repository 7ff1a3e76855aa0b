//! Which tables hold rows of which batches, by the catalog: also tables that the project does not know.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::Result;
use crate::model::Batch;
use crate::warehouse::sql::{ENTITIES, db_error, sqlstate};

/// A table with a partition of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Held {
    pub table: String,
    pub batch: Batch,
}

/// All of them, by table, date and source.
///
/// # Errors
/// The catalog can't be read.
pub async fn held(client: &Client) -> Result<Vec<Held>> {
    // Only a partition in a schema of this program is a batch's. The catalog writes dates in the session's DateStyle, and
    // a cast reads them in it.
    let sql = "SELECT t.name, t.source, t.day::date FROM ( \
               SELECT root.relname::text AS name, pg_catalog.replace(pg_catalog.substring( \
               pg_catalog.pg_get_expr(p.relpartbound, p.oid), '^FOR VALUES IN \\(''(.*)''\\)$'), '''''', '''') AS source, \
               pg_catalog.substring(pg_catalog.pg_get_expr(l.relpartbound, l.oid), '^FOR VALUES FROM \\(''([^'']*)''\\)') \
               AS day FROM pg_catalog.pg_class root \
               JOIN pg_catalog.pg_inherits a ON a.inhparent = root.oid \
               JOIN pg_catalog.pg_class p ON p.oid = a.inhrelid AND p.relkind = 'p' \
               JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace \
               AND n.nspname IN ('pipeline_partitions', 'pipeline_leaves') \
               JOIN pg_catalog.pg_inherits b ON b.inhparent = p.oid \
               JOIN pg_catalog.pg_class l ON l.oid = b.inhrelid \
               WHERE root.relkind = 'p' AND root.relnamespace = $1::text::regnamespace) t \
               WHERE t.source IS NOT NULL AND t.day IS NOT NULL ORDER BY 1, 3, 2";
    let failed = |error: tokio_postgres::Error| db_error("the partitions of batches can't be read", &error);
    let rows = client
        .query_typed(sql, &[(&ENTITIES, Type::TEXT)])
        .await
        .map_err(failed)?;
    let read = |row: &tokio_postgres::Row| {
        let (source, date) = (row.try_get(1)?, row.try_get(2)?);
        Ok(Held {
            table: row.try_get(0)?,
            batch: Batch { source, date },
        })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
}

/// Whether a load of the batch was ever committed, by the history of runs.
///
/// # Errors
/// The history can't be read.
pub async fn was_loaded(client: &Client, batch: &Batch) -> Result<bool> {
    let sql =
        "SELECT EXISTS (SELECT FROM pipeline.runs WHERE status = 'committed' AND source = $1 AND batch_date = $2)";
    let parameters = [(&batch.source as _, Type::TEXT), (&batch.date as _, Type::DATE)];
    match client.query_typed_one(sql, &parameters).await {
        // A database that awaits its first migration.
        Err(error) if matches!(sqlstate(&error), Some("42P01" | "3F000")) => Ok(false),
        row => row
            .and_then(|row| row.try_get(0))
            .map_err(|error| db_error("the history of runs can't be read", &error)),
    }
}
