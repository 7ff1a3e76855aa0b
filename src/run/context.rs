//! What all batches of an invocation share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cluster::OnCluster;
use super::column_masks::column_masks;
use super::masking::AllMasks;
use super::observer::Observer;
use super::prepare::Plans;
use crate::lineage::ProjectLineage;
use crate::model::{ColumnMasks, Project, Source};
use crate::warehouse::{BatchLocks, Warehouse};

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
    /// Whether to wait for a batch that another run has locked.
    pub wait: bool,
}

impl Context {
    /// Under which masks this invocation loads the columns of a source.
    pub(super) fn column_masks(&self, source: &Source) -> Vec<ColumnMasks> {
        let unknown = ProjectLineage::default();
        let lineage = self.lineage.as_ref().unwrap_or(&unknown);
        column_masks(&self.project, source, lineage, self.masks.key_id(source))
    }
}
