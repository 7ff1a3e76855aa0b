//! What all batches of an invocation share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cluster::OnCluster;
use super::column_masks::column_masks;
use super::masking::AllMasks;
use super::observer::Observer;
use super::prepare::Plans;
use crate::error::{Error, Result};
use crate::lineage::ProjectLineage;
use crate::model::{ColumnMasks, Project, Source};
use crate::warehouse::{BatchLock, BatchLocks, Warehouse};

pub(super) struct Context {
    pub project: Project,
    pub warehouse: Warehouse,
    pub locks: BatchLocks,
    pub plans: Plans,
    pub masks: AllMasks,
    /// Where the columns come from. `None` where it can't be found out.
    pub lineage: Option<ProjectLineage>,
    /// Whether batches were loaded under other masks when the invocation began.
    pub had_stale: bool,
    pub observer: Arc<dyn Observer>,
    /// Cancelled by the first signal.
    pub stop: CancellationToken,
    pub invocation: Uuid,
    /// Where batches are filled. `None`: in this process.
    pub cluster: Option<OnCluster>,
    /// How many batches the invocation has.
    pub batches: usize,
    /// Whether to wait for a batch that another run has locked.
    pub wait: bool,
}

impl Context {
    /// Waits until this batch alone is counted and swapped in, where the project limits how alone a person may stand: the
    /// rows of a batch that is counted at the same time would be missing from the count. `None`: there is no limit.
    ///
    /// # Errors
    /// The database can't be reached, or a signal has come.
    pub(super) async fn gate(&self) -> Result<Option<BatchLock>> {
        if self.project.gate.is_none() {
            return Ok(None);
        }
        tokio::select! {
            lock = self.locks.gate() => lock.map(Some),
            () = self.stop.cancelled() => Err(Error::interrupted()),
        }
    }

    /// Under which masks this invocation loads the columns of a source.
    pub(super) fn column_masks(&self, source: &Source) -> Vec<ColumnMasks> {
        let unknown = ProjectLineage::default();
        let lineage = self.lineage.as_ref().unwrap_or(&unknown);
        column_masks(&self.project, source, lineage, self.masks.key_id(source))
    }
}
