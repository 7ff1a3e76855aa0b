//! Staging tables that another process fills for a run: an executor of a cluster. The process that began the run keeps
//! its lock, its row in the history and its swap. Each attempt has tables of its own, because the cluster may give a run's
//! work to a second executor while the first still goes on. The swap takes the tables that one attempt has reported.

use rand::Rng;
use serde::{Deserialize, Serialize};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::active_run::ActiveRun;
use super::batch_locks::{BatchLocks, lock_key};
use super::staging::{Staged, StagingRun};
use super::staging_tables;
use crate::error::{Code, Error, Result};
use crate::model::Batch;
use crate::warehouse::sql::db_error;

/// A filled staging table, as one process tells another of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Handed(Staged);

impl Staged {
    /// What the process that swaps needs to know of the table.
    pub fn hand_over(self) -> Handed {
        Handed(self)
    }
}

impl ActiveRun {
    /// Takes over a staging table that another process has filled for this run.
    ///
    /// # Errors
    /// The table is another run's.
    pub fn take_over(&self, Handed(staged): Handed) -> Result<Staged> {
        if staged.run_id != self.run_id || !staged.name.ends_with(&format!("_r{}", self.run_id)) {
            return Err(Error::internal());
        }
        Ok(staged)
    }
}

impl BatchLocks {
    /// For staging tables of a run that another process has begun, as an attempt of its own.
    ///
    /// # Errors
    /// The run is not in this database, or it is over.
    pub async fn join(&self, batch: &Batch, run_id: i64) -> Result<StagingRun> {
        let run = StagingRun {
            index_turns: self.index_turns().clone(),
            batch: batch.clone(),
            run_id,
            attempt: Some(format!("{:08x}", rand::rng().random::<u32>())),
        };
        if self.is_live(&run).await? {
            return Ok(run);
        }
        Err(Error::batch(format!(
            "run {run_id} of {batch} is not in the database of the executor, or it is over"
        ))
        .code(Code::RunSuperseded)
        .hint("give the executors the database of the run: DATABASE_URL, or --database-url"))
    }

    /// Whether a run still goes on, and the process that began it still holds its batch.
    pub async fn is_live(&self, run: &StagingRun) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT FROM pipeline.runs WHERE run_id = $1 AND status = 'running' AND source = $2 \
                   AND batch_date = $3) AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted \
                   AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                   AND ((classid::int8 << 32) | objid::int8) = $4)";
        let StagingRun { batch, run_id, .. } = run;
        let key = lock_key(batch);
        let session = self.session().await?;
        let row = session
            .query_typed_one(
                sql,
                &[
                    (run_id, Type::INT8),
                    (&batch.source, Type::TEXT),
                    (&batch.date, Type::DATE),
                    (&key, Type::INT8),
                ],
            )
            .await;
        let live = match row.and_then(|row| row.try_get(0)) {
            // A database without the tables of this program has no run.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(false),
            live => live,
        };
        live.map_err(|error| db_error(format!("whether run {run_id} goes on can't be read"), &error))
    }

    /// Whether the database answers.
    pub async fn reaches_database(&self) -> bool {
        match self.session().await {
            Ok(session) => session.query_typed("SELECT", &[]).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Removes the staging tables of a run that is over: those of attempts that were not swapped in.
    pub async fn remove_unused(&self, run_id: i64) -> Result<()> {
        staging_tables::remove(&*self.session().await?, &[run_id]).await
    }
}
