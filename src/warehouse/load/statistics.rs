//! The planner's statistics of entity tables as wholes. PostgreSQL never makes them by itself: they are there once somebody
//! ran ANALYZE, and they repeat values, also those of rows that are gone by now. Whoever reads a table reads them in
//! `pg_stats`.

use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::model::Batch;
use crate::warehouse::sql::db_error;

/// The partitioned tables of which values are known across partitions, and whether ANALYZE may be run on each.
const MADE: &str = "
SELECT DISTINCT r.oid::regclass::text, pg_catalog.pg_has_role(r.relowner, 'USAGE')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid)
WHERE c.relkind = 'p' AND n.nspname IN ('public', 'pipeline_partitions')
    AND r.relnamespace = 'public'::regnamespace
    AND EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid
                WHERE i.inhparent = r.oid AND p.relnamespace = pg_catalog.to_regnamespace('pipeline_partitions'))
    AND (EXISTS (SELECT FROM pg_catalog.pg_stats s WHERE s.inherited AND s.schemaname = n.nspname AND s.tablename = c.relname)
        OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = c.oid))
ORDER BY 1";

/// Makes the statistics anew that somebody made of entity tables, and returns how many tables had such. An empty table
/// keeps those that it has: ANALYZE learns nothing from it.
///
/// # Errors
/// A table that belongs to another role, or that stays locked.
pub async fn renew(client: &Client) -> Result<usize> {
    let failed = |error: tokio_postgres::Error| {
        db_error(
            "the statistics of a table, which may repeat values of rows that are gone, can't be made anew",
            &error,
        )
        .hint("run ANALYZE on the table, then `pipeline views`")
    };
    let rows = client.query_typed(MADE, &[]).await.map_err(failed)?;
    for row in &rows {
        let (table, may): (String, bool) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        if !may {
            return Err(Error::project(format!(
                "the statistics of {table} may repeat values of rows that are gone, and another role owns the table"
            ))
            .hint(format!("let its owner run: ANALYZE {table}; then run `pipeline views`")));
        }
        // By itself, so that the lock of each partition ends with it.
        client
            .batch_execute(&format!("ANALYZE {table}"))
            .await
            .map_err(failed)?;
    }
    Ok(rows.len())
}

/// Whether batches are hidden from readers that are not among these, so that they are about to be shown.
///
/// # Errors
/// Those of a database that can't be read.
pub async fn shows_more(client: &Client, hidden: &[Batch]) -> Result<bool> {
    let failed = |error| db_error("the batches that readers do not see can't be read", &error);
    let there = "SELECT pg_catalog.to_regclass('pipeline.hidden_batches') IS NOT NULL";
    let row = client.query_typed_one(there, &[]).await.map_err(failed)?;
    if !row.try_get::<_, bool>(0).map_err(failed)? {
        return Ok(false);
    }
    let sql = "SELECT source, batch_date FROM pipeline.hidden_batches";
    let rows = client.query_typed(sql, &[]).await.map_err(failed)?;
    for row in &rows {
        let source = row.try_get(0).map_err(failed)?;
        let date = row.try_get(1).map_err(failed)?;
        if !hidden.contains(&Batch { source, date }) {
            return Ok(true);
        }
    }
    Ok(false)
}
