//! Ends runs whose process died. A run with status `running` is dead if its batch's lock can be taken. Live runs and
//! their staging tables are never touched.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::batch_locks::BatchLocks;
use super::staging_tables;
use crate::error::Result;
use crate::model::Batch;
use crate::warehouse::sql::{PARTITIONS, db_error};

/// Marks dead runs as lost and removes their staging tables. Returns the ids of the dead runs. Sends one query where
/// there is nothing to do.
///
/// On the embedded database this needs its one connection for a moment: hold none while calling.
pub async fn recover(locks: &BatchLocks) -> Result<Vec<i64>> {
    let mut dead = Vec::new();
    for (batch, run_id, running) in find(locks).await? {
        if !running {
            staging_tables::remove(&*locks.session().await?, &[run_id]).await?;
        } else if let Some(lock) = locks.try_lock(&batch).await? {
            if mark_lost(&*locks.session().await?, run_id).await? {
                tracing::warn!(%batch, run_id, "the process of this run ended before its swap");
                dead.push(run_id);
            }
            staging_tables::remove(&*locks.session().await?, &[run_id]).await?;
            lock.release().await;
        }
    }
    Ok(dead)
}

/// Ends the runs of a batch that the caller has locked: their processes are gone, or have lost the lock, and their swaps
/// then change nothing.
pub(super) async fn end_dead(locks: &BatchLocks, batch: &Batch) -> Result<()> {
    let running = find(locks).await?.into_iter();
    for (_, run_id, _) in running.filter(|(of, _, running)| of == batch && *running) {
        mark_lost(&*locks.session().await?, run_id).await?;
        staging_tables::remove(&*locks.session().await?, &[run_id]).await?;
    }
    Ok(())
}

/// Runs with status `running`, and runs that have ended and still have staging tables. Tables of runs that are not in the
/// history are left alone.
async fn find(locks: &BatchLocks) -> Result<Vec<(Batch, i64, bool)>> {
    let sql = format!(
        "SELECT source, batch_date, run_id, status = 'running' FROM pipeline.runs WHERE status = 'running' OR {} \
         ORDER BY run_id",
        staging_tables::left_behind()
    );
    let session = locks.session().await?;
    let rows = session.query_typed(&sql, &[(&PARTITIONS, Type::TEXT)]).await;
    let failed = |error| db_error("runs whose process died can't be looked for", &error);
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
