//! Removes what finished runs have left: staging tables, and what is noted of their progress.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::progress;
use crate::error::Result;
use crate::warehouse::sql::{PARTITIONS, db_error, describe, qualified};

/// The runs whose tables of this form are no partitions, as a query of their ids. $1 is the schema.
fn runs_of(tables: &str) -> String {
    format!(
        "SELECT substring(relname FROM '{tables}')::int8 FROM pg_class \
         WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' AND NOT relispartition"
    )
}

/// The staging tables of a run.
const OF_RUN: &str = "_r([0-9]{1,18})$";

/// Those of an attempt on a cluster. A run that has committed may have left some that it did not need. Other tables are not
/// its own.
const OF_ATTEMPT: &str = "_a[0-9a-f]{8}_r([0-9]{1,18})$";

/// A condition for rows of `pipeline.runs`: the run has ended, and still has staging tables. $1 is the schema.
///
/// PostgreSQL reads the catalog once for each of the subqueries. With EXISTS it would do so for each run.
pub(super) fn left_behind() -> String {
    format!(
        "(status IN ('failed', 'interrupted', 'lost') AND run_id IN ({}) OR status = 'committed' AND run_id IN ({}))",
        runs_of(OF_RUN),
        runs_of(OF_ATTEMPT)
    )
}

/// Drops the staging tables of runs that are known to be finished. A table that is still locked, by a process which
/// does not know yet that its run has ended, is left to the next run.
pub(super) async fn remove(client: &Client, runs: &[i64]) -> Result<()> {
    let sql = format!(
        "SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' \
         AND NOT relispartition AND EXISTS (SELECT FROM pipeline.runs WHERE run_id = ANY($2) AND run_id = \
         substring(relname FROM CASE status WHEN 'committed' THEN '{OF_ATTEMPT}' ELSE '{OF_RUN}' END)::int8)"
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
    progress::forget(client).await
}
