//! What all batches of an invocation share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::masking::AllMasks;
use super::observer::Observer;
use super::prepare::Plans;
use crate::model::Project;
use crate::warehouse::{BatchLocks, Warehouse};

pub(super) struct Context {
    pub project: Project,
    pub warehouse: Warehouse,
    pub locks: BatchLocks,
    pub plans: Plans,
    pub masks: AllMasks,
    pub observer: Arc<dyn Observer>,
    /// Cancelled by the first signal.
    pub stop: CancellationToken,
    pub invocation: Uuid,
    /// Whether to wait for a batch that another run has locked.
    pub wait: bool,
}
