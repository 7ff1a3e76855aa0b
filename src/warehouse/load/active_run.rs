//! A run of a batch, from its row in the history to its end.
//!
//! [`BatchLocks`] → [`ActiveRun`] → [`Staged`](super::Staged) → [`Committed`](super::Committed): each step consumes the
//! one before. Dropping any of them leaves the live tables untouched. A run that is dropped without
//! [`ActiveRun::fail`] leaves a row that says `running`, and perhaps staging tables; the next run finds and removes
//! them.

use tokio_postgres::Client;

use super::batch_locks::{BatchLock, BatchLocks};
use super::runs::{self, Failure, RunRecord};
use super::staging_tables;
use crate::error::Result;
use crate::model::Batch;

/// The right to work on one batch, as a run of it.
pub struct ActiveRun {
    pub(super) locks: BatchLocks,
    pub(super) batch: Batch,
    pub(super) run_id: i64,
    attempt: i32,
    lock: Option<BatchLock>,
}

impl BatchLocks {
    /// Locks a batch and starts a run of it. Where another run holds the batch, the error says which; with `wait`, this
    /// waits until the batch is free.
    ///
    /// On the embedded database this needs its one connection for a moment: hold none while calling.
    pub async fn start_run(&self, batch: &Batch, record: &RunRecord, wait: bool) -> Result<ActiveRun> {
        let lock = self.lock(batch, wait).await?;
        let session = self.session().await?;
        let started = runs::start(&session, batch, record).await?;
        if !started.lost.is_empty() {
            staging_tables::remove(&session, &started.lost).await?;
        }
        tracing::debug!(%batch, run_id = started.run_id, attempt = started.attempt, "started");
        Ok(ActiveRun {
            locks: self.clone(),
            batch: batch.clone(),
            run_id: started.run_id,
            attempt: started.attempt,
            lock: Some(lock),
        })
    }

    /// Records that a batch's input is missing and that its source says to skip it; gives the run's id.
    pub async fn skip(&self, batch: &Batch, record: &RunRecord) -> Result<i64> {
        runs::skip(&*self.session().await?, batch, record).await
    }
}

impl ActiveRun {
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    pub fn run_id(&self) -> i64 {
        self.run_id
    }

    /// The number of this run among those of its batch, from 1.
    pub fn attempt(&self) -> i32 {
        self.attempt
    }

    /// Ends the run without a swap: marks it, removes its staging tables, unlocks the batch. `error` holds no value
    /// from the data.
    ///
    /// On the embedded database this needs its one connection for a moment: hold none while calling.
    pub async fn fail(self, failure: Failure, error: &str) -> Result<()> {
        let session = self.locks.session().await?;
        self.fail_on(&session, failure, error).await
    }

    pub(super) async fn fail_on(mut self, client: &Client, failure: Failure, error: &str) -> Result<()> {
        let marked = runs::fail(client, self.run_id, failure, error).await;
        let removed = staging_tables::remove(client, &[self.run_id]).await;
        self.unlock().await;
        marked.and(removed)
    }

    pub(super) async fn unlock(&mut self) {
        if let Some(lock) = self.lock.take() {
            lock.release().await;
        }
    }
}
