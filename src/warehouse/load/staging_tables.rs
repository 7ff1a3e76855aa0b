//! Removes staging tables of finished runs.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::Result;
use crate::warehouse::sql::{PARTITIONS, db_error, describe, qualified};

/// Drops the staging tables of runs that are known to be finished. A table that is still locked, by a process which
/// does not know yet that its run has ended, is left to the next run.
pub(super) async fn remove(client: &Client, runs: &[i64]) -> Result<()> {
    let sql = "SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' \
               AND NOT relispartition AND substring(relname FROM '_r([0-9]{1,18})$')::int8 = ANY($2)";
    let failed = |error| db_error("staging tables can't be looked for", &error);
    let rows = client
        .query_typed(sql, &[(&PARTITIONS, Type::TEXT), (&runs, Type::INT8_ARRAY)])
        .await
        .map_err(failed)?;
    for row in rows {
        let table = qualified(PARTITIONS, &row.try_get::<_, String>(0).map_err(failed)?);
        // All statements go in one simple-query message, which is one transaction. SET LOCAL ends with it.
        let drop = format!("SET LOCAL lock_timeout = '2s'; DROP TABLE IF EXISTS {table}");
        if let Err(error) = client.batch_execute(&drop).await {
            tracing::warn!(
                table,
                error = describe(&error),
                "the staging table of a run that is over could not be removed"
            );
        }
    }
    Ok(())
}
