//! Removing a batch.

use uuid::Uuid;

use crate::error::Result;
use crate::model::{Batch, Project};
use crate::warehouse::drop::Dropped;
use crate::warehouse::runs::{Action, RunRecord};
use crate::warehouse::{self, BatchLocks, Warehouse, views};

/// Removes a batch from all tables and refreshes what reads them.
pub async fn drop_batch(project: &Project, warehouse: Warehouse, batch: &Batch, wait: bool) -> Result<Dropped> {
    let locks = BatchLocks::new(warehouse.clone());
    warehouse::recover(&locks).await?;
    let record = RunRecord {
        invocation: Uuid::now_v7(),
        action: Action::Drop,
        fingerprint: None,
        mask_key_id: None,
        files: serde_json::Value::Array(Vec::new()),
    };
    let dropped = warehouse::drop::drop_batch(&locks, &project.entities, batch, &record, wait).await?;
    let changed: Vec<String> = dropped.rows.keys().cloned().collect();
    if !changed.is_empty() {
        views::refresh(&warehouse, project, &changed).await?;
    }
    Ok(dropped)
}
