//! Removes a batch. This is a swap without new partitions, with the locks and the history of a load.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::batch_locks::BatchLocks;
use super::batch_partitions;
use super::commit::SwapSession;
use super::runs::{Action, Count, RunRecord, Summary};
use super::swap::PATIENCE;
use super::swap_transaction::SwapTransaction;
use crate::error::Result;
use crate::model::{Batch, Entity};
use crate::warehouse::sql::db_error;

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub run_id: i64,
    /// The number of removed rows per entity. Entities that had none are left out.
    pub rows: BTreeMap<String, u64>,
}

/// How many rows each entity has of a batch; entities without a partition for it are left out.
pub async fn count_batch(client: &Client, entities: &[Entity], batch: &Batch) -> Result<BTreeMap<String, u64>> {
    let failed = |error: tokio_postgres::Error| db_error(format!("the rows of {batch} can't be counted"), &error);
    let mut counts = BTreeMap::new();
    for found in batch_partitions::find(client, entities, batch).await.map_err(failed)? {
        if let Some(partition) = found.current {
            let row = client
                .query_typed_one(&format!("SELECT count(*) FROM {partition}"), &[])
                .await
                .map_err(failed)?;
            let rows: i64 = row.try_get(0).map_err(failed)?;
            counts.insert(found.entity, u64::try_from(rows).unwrap_or(0));
        }
    }
    Ok(counts)
}

/// Removes a batch from all entities in one transaction, whether its source is still in the project or not.
///
/// Locks the batch first. On the embedded database, hold no connection while calling.
pub async fn drop_batch(
    locks: &BatchLocks,
    entities: &[Entity],
    batch: &Batch,
    record: &RunRecord,
    wait: bool,
) -> Result<Dropped> {
    let record = RunRecord {
        action: Action::Drop,
        ..record.clone()
    };
    let run = locks.start_run(batch, &record, wait).await?;
    let run_id = run.run_id();
    let mut session = SwapSession::new(locks.warehouse().acquire().await?);
    // Only the holder of the batch's lock changes the batch, so the count stays right until the swap.
    let counted = count_batch(&session, entities, batch).await;
    let rows = counted.clone().unwrap_or_default();
    let counts = rows
        .iter()
        .map(|(entity, rows)| (entity.clone(), Count { rows: *rows, bytes: 0 }))
        .collect();
    let transaction = SwapTransaction {
        locks,
        batch,
        entities,
        staged: &[],
        run_id,
        summary: &Summary::default(),
        counts: &counts,
        patience: PATIENCE,
        stop: &CancellationToken::new(),
    };
    let outcome = match counted {
        Ok(_) => transaction.make(&mut session).await,
        Err(error) => Err(error),
    };
    let swapped = run.finish_run(&session, outcome).await;
    session.give_back();
    swapped.map(|_| Dropped { run_id, rows })
}
