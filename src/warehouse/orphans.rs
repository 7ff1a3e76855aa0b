//! Staging tables of dead runs. A run is dead when its batch's lease can be taken; those of live runs are never touched.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::claim::Lease;
use super::error::{db_error, describe};
use super::leaf;
use crate::error::Result;
use crate::model::Batch;

/// Ends what dead runs left behind: marks them lost and removes their staging tables. One query where there is nothing
/// to do. Returns the ids of the runs that were found dead.
///
/// On the embedded database this needs its one connection for a moment: hold none while calling.
pub async fn heal(lease: &Lease) -> Result<Vec<i64>> {
    let mut dead = Vec::new();
    for (batch, run_id, running) in find(lease).await? {
        if !running {
            remove_staging(&*lease.session().await?, &[run_id]).await?;
        } else if let Some(held) = lease.try_hold(&batch).await? {
            if mark_lost(&*lease.session().await?, run_id).await? {
                tracing::warn!(%batch, run_id, "a run of this batch ended without a word");
                dead.push(run_id);
            }
            remove_staging(&*lease.session().await?, &[run_id]).await?;
            held.release().await;
        }
    }
    Ok(dead)
}

/// Runs that say `running`, and runs that ended without a swap and still have a table. Tables of runs that the history
/// does not know are nobody's to remove.
async fn find(lease: &Lease) -> Result<Vec<(Batch, i64, bool)>> {
    let sql = "SELECT source, batch_date, run_id, status = 'running' FROM pipeline.runs \
               WHERE status = 'running' OR (status IN ('failed', 'interrupted', 'lost') AND run_id IN \
               (SELECT substring(relname FROM '_r([0-9]{1,18})$')::int8 FROM pg_class \
               WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' AND NOT relispartition)) ORDER BY run_id";
    let session = lease.session().await?;
    let rows = session.query_typed(sql, &[(&leaf::SCHEMA, Type::TEXT)]).await;
    let failed = |error| db_error("runs that ended without a word can't be looked for", &error);
    let read = |row: &tokio_postgres::Row| {
        let batch = Batch {
            source: row.try_get(0)?,
            date: row.try_get(1)?,
        };
        Ok((batch, row.try_get(2)?, row.try_get(3)?))
    };
    rows.map_err(failed)?
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(failed)
}

async fn mark_lost(client: &Client, run_id: i64) -> Result<bool> {
    let sql = "UPDATE pipeline.runs SET status = 'lost', finished_at = clock_timestamp(), \
               error = 'its process ended before the swap' WHERE run_id = $1 AND status = 'running' RETURNING run_id";
    let rows = client.query_typed(sql, &[(&run_id, Type::INT8)]).await;
    Ok(!rows
        .map_err(|error| db_error(format!("run {run_id} can't be marked lost"), &error))?
        .is_empty())
}

/// Drops the staging tables of runs that are known to be over. One that is locked, by a worker that does not know yet,
/// is left to the next run.
pub(super) async fn remove_staging(client: &Client, runs: &[i64]) -> Result<()> {
    let sql = "SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' \
               AND NOT relispartition AND substring(relname FROM '_r([0-9]{1,18})$')::int8 = ANY($2)";
    let failed = |error| db_error("staging tables can't be looked for", &error);
    let rows = client
        .query_typed(sql, &[(&leaf::SCHEMA, Type::TEXT), (&runs, Type::INT8_ARRAY)])
        .await
        .map_err(failed)?;
    for row in rows {
        let table = leaf::qualified(leaf::SCHEMA, &row.try_get::<_, String>(0).map_err(failed)?);
        // One message, so one transaction: SET LOCAL ends with it.
        let drop = format!("SET LOCAL lock_timeout = '2s'; DROP TABLE IF EXISTS {table}");
        if let Err(error) = client.batch_execute(&drop).await {
            tracing::warn!(
                table,
                error = describe(&error),
                "a dead run's staging table could not be removed"
            );
        }
    }
    Ok(())
}
