//! Removes a batch.

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::publish;
use crate::error::Result;
use crate::model::{Batch, Profile, Project};
use crate::warehouse::drop::Dropped;
use crate::warehouse::runs::{Action, RunRecord};
use crate::warehouse::views::{self, Refresh};
use crate::warehouse::{self, BatchLocks, Warehouse};

/// Removes a batch from all tables and refreshes the materialized views that read them.
pub async fn drop_batch(
    project: &Project,
    warehouse: Warehouse,
    batch: &Batch,
    wait: bool,
) -> Result<(Dropped, Refresh)> {
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
    let refresh = views::refresh(&warehouse, project, &CancellationToken::new()).await?;
    if project.profile != Profile::Custom {
        // A stale batch that is gone closes no view any more.
        publish::restrict(&warehouse, project).await?;
    }
    Ok((dropped, refresh))
}
