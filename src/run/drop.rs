//! Removes a batch.

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{checks, left_tables, publish};
use crate::error::Result;
use crate::model::{Batch, Project};
use crate::warehouse::drop::Dropped;
use crate::warehouse::runs::{Action, RunRecord};
use crate::warehouse::views::{self, Refresh};
use crate::warehouse::{self, BatchLocks, Warehouse, statistics};

/// What dropping a batch has done.
#[derive(Debug)]
pub struct Drop {
    pub dropped: Dropped,
    pub refresh: Refresh,
    /// What the rows that stay are not as they should be without it.
    pub warnings: Vec<String>,
}

/// Whether a batch of exactly this source was ever loaded.
///
/// # Errors
/// The database can't be read.
pub async fn was_loaded(warehouse: &Warehouse, batch: &Batch) -> Result<bool> {
    warehouse::held::was_loaded(&*warehouse.acquire().await?, batch).await
}

/// Removes a batch from all tables, also those that are no entity of the project any more, and refreshes the materialized
/// views that read them. Persons who stand too alone without it are a warning: what has to go goes.
///
/// # Errors
/// Another run holds the batch, or the database can't be written.
pub async fn drop_batch(project: &Project, warehouse: Warehouse, batch: &Batch, wait: bool) -> Result<Drop> {
    let locks = BatchLocks::new(warehouse.clone());
    warehouse::recover(&locks).await?;
    let record = RunRecord {
        invocation: Uuid::now_v7(),
        action: Action::Drop,
        fingerprint: None,
        sql_fingerprint: None,
        mask_key_id: None,
        files: serde_json::Value::Array(Vec::new()),
    };
    let mut warnings = Vec::new();
    let lock = match &project.gate {
        None => None,
        Some(gate) => {
            let lock = locks.gate().await?;
            let entity = project.entity(&gate.over)?;
            let alone = checks::alone(&*warehouse.acquire().await?, entity, gate, None, batch).await?;
            let hint = "run batches that have rows in them again, or drop those as well";
            warnings.extend(alone.map(|error| error.hint(hint).to_string()));
            Some(lock)
        }
    };
    let left = left_tables::left_tables(&warehouse, project).await?;
    let tables = left_tables::with_left(project, &left, batch);
    let dropped = warehouse::drop::drop_batch(&locks, &tables, batch, &record, wait).await;
    std::mem::drop(lock);
    let dropped = dropped?;
    let refresh = views::refresh(&warehouse, project, &CancellationToken::new()).await?;
    statistics::renew(&*warehouse.acquire().await?).await?;
    // A stale batch that is gone closes no view any more, nor does it hide a date.
    publish::publish(&warehouse, project).await?;
    Ok(Drop {
        dropped,
        refresh,
        warnings,
    })
}
