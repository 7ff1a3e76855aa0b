//! Removes staging tables of finished runs.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::Result;
use crate::warehouse::sql::{PARTITIONS, db_error, describe, qualified};

/// The tables of a run that are no partitions. Of a run that has committed, these are the tables of attempts of a cluster
/// that it did not need; others are not its own. `run` is the row of a run, `class` that of a table.
pub(super) const OF_RUN: &str = "substring(class.relname FROM '_r([0-9]{1,18})$')::int8 = run.run_id \
    AND (run.status <> 'committed' OR class.relname ~ '_a[0-9a-f]{8}_r[0-9]+$') AND class.relkind = 'r' \
    AND NOT class.relispartition";

/// Drops the staging tables of runs that are known to be finished. A table that is still locked, by a process which
/// does not know yet that its run has ended, is left to the next run.
pub(super) async fn remove(client: &Client, runs: &[i64]) -> Result<()> {
    let sql = format!(
        "SELECT class.relname FROM pg_class class, pipeline.runs run WHERE run.run_id = ANY($2) \
         AND class.relnamespace = $1::text::regnamespace AND {OF_RUN}"
    );
    let failed = |error| db_error("staging tables can't be looked for", &error);
    let rows = client
        .query_typed(&sql, &[(&PARTITIONS, Type::TEXT), (&runs, Type::INT8_ARRAY)])
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
