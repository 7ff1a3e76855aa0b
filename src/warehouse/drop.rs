//! Removing a batch: a swap with nothing to put in place. The same lease, fence, locks and history as a load.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::claim::Lease;
use super::error::db_error;
use super::exchange::{self, Exchange};
use super::runs::{Action, Count, RunRecord, Summary};
use super::swap::PATIENCE;
use crate::error::Result;
use crate::model::{Batch, Entity};

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub run_id: i64,
    /// Rows per entity that held the batch; empty where none did.
    pub rows: BTreeMap<String, u64>,
}

/// How many rows each entity has of a batch; entities without a leaf for it are left out.
pub async fn count_batch(client: &Client, entities: &[Entity], batch: &Batch) -> Result<BTreeMap<String, u64>> {
    let failed = |error: tokio_postgres::Error| db_error(format!("the rows of {batch} can't be counted"), &error);
    let mut counts = BTreeMap::new();
    for place in exchange::find(client, entities, batch).await.map_err(failed)? {
        if let Some(leaf) = place.leaf {
            let row = client
                .query_typed_one(&format!("SELECT count(*) FROM {leaf}"), &[])
                .await
                .map_err(failed)?;
            let rows: i64 = row.try_get(0).map_err(failed)?;
            counts.insert(place.entity, u64::try_from(rows).unwrap_or(0));
        }
    }
    Ok(counts)
}

/// Removes a batch from all entities in one transaction, whether its source is still in the project or not.
///
/// Claims the batch first: on the embedded database hold no connection while calling.
pub async fn drop_batch(
    lease: &Lease,
    entities: &[Entity],
    batch: &Batch,
    record: &RunRecord,
    wait: bool,
) -> Result<Dropped> {
    let record = RunRecord {
        action: Action::Drop,
        ..record.clone()
    };
    let claim = lease.claim(batch, &record, wait).await?;
    let run_id = claim.run_id();
    let mut client = lease.warehouse().acquire().await?;
    // Only the holder of the claim changes the batch: the count holds until the exchange.
    let counted = count_batch(&client, entities, batch).await;
    let rows = counted.clone().unwrap_or_default();
    let counts = rows
        .iter()
        .map(|(entity, rows)| (entity.clone(), Count { rows: *rows, bytes: 0 }))
        .collect();
    let exchange = Exchange {
        lease,
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
        Ok(_) => exchange.make(&mut client).await,
        Err(error) => Err(error),
    };
    claim.settle(&client, outcome).await?;
    Ok(Dropped { run_id, rows })
}
