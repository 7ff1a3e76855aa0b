//! What a run reports while it goes on. `report` shows it.

use std::sync::Arc;

use super::outcome::BatchOutcome;
use crate::ingest::ReadStats;
use crate::model::Batch;
use crate::warehouse::StageCounter;

/// The counters of a batch. They change while it runs.
#[derive(Debug, Clone)]
pub struct Activity {
    pub batch: Batch,
    /// Bytes of the input files, as stored.
    pub input_bytes: u64,
    pub read: Arc<ReadStats>,
    /// Per entity, in the project's order.
    pub entities: Vec<(String, Arc<StageCounter>)>,
}

/// Is told when batches begin and end. Several tasks call it at once.
pub trait Observer: Send + Sync {
    fn started(&self, activity: Activity);
    fn finished(&self, outcome: &BatchOutcome);
    /// A key for the masks was made and written to this file, relative to the project.
    fn key_made(&self, file: &str);
    /// Materialized views are being refreshed.
    fn refreshing(&self);
}

/// Shows nothing.
pub struct Silent;

impl Observer for Silent {
    fn started(&self, _: Activity) {}

    fn finished(&self, _: &BatchOutcome) {}

    fn key_made(&self, _: &str) {}

    fn refreshing(&self) {}
}
