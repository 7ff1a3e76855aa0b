//! The transaction that swaps one batch's partitions for its staging tables, all entities at once, so that no reader
//! sees a mix. The swap gives way, never the reader: it waits for its locks a tenth of a second or so, then lets
//! everybody pass and tries again. It marks the run as committed and the materialized views as stale in the same
//! transaction, and changes nothing where the run is no longer `running`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, IsolationLevel};
use tokio_util::sync::CancellationToken;

use super::batch_locks::BatchLocks;
use super::batch_partitions::{self, BatchPartitions};
use super::commit::{self, Answer, SwapSession};
use super::runs::{self, Count, Summary};
use super::staging::Staged;
use super::swap_locks::{self, Target};
use super::{failpoint, partition};
use crate::error::{Code, Error, Result};
use crate::model::{Batch, Entity};
use crate::warehouse::sql::{ENTITIES, PARTITIONS, db_error, qualified, rows_error};

/// How often the catalog may change between looking and locking.
const STALE_LIMIT: u32 = 5;

/// A swap that is to be made.
pub(super) struct SwapTransaction<'a> {
    pub locks: &'a BatchLocks,
    pub batch: &'a Batch,
    /// All entities of the contract, in its order. One without a staging table loses its partition.
    pub entities: &'a [Entity],
    pub staged: &'a [Staged],
    pub run_id: i64,
    pub summary: &'a Summary,
    pub counts: &'a BTreeMap<String, Count>,
    /// How long in total the swap may let readers go first.
    pub patience: Duration,
    /// Checked while the swap waits for readers, and never between COMMIT and its answer.
    pub stop: &'a CancellationToken,
}

/// How a swap ended.
pub(super) enum Outcome {
    Committed(Swapped),
    /// The answer to COMMIT was lost. Only the run's row tells the outcome.
    Unknown(Swapped),
}

pub(super) struct Swapped {
    /// Entities that lost a partition and got no new one.
    pub emptied: Vec<String>,
    /// How often the swap released its locks to let readers go first.
    pub retries: u32,
}

/// The result of one attempt.
enum Tried {
    Committed,
    Unknown,
    /// A reader holds a lock on a table.
    Busy,
    /// The catalog has changed since it was read: another batch made the source's partition, or a table is gone.
    Stale(Error),
}

impl SwapTransaction<'_> {
    /// Finds and locks the partitions, marks the run, swaps, commits. After an error nothing has changed.
    pub(super) async fn make(&self, session: &mut SwapSession) -> Result<Outcome> {
        failpoint::hit(failpoint::BEFORE_LOCK)?;
        let started = Instant::now();
        let deadline = started + self.patience;
        let mut retries = 0;
        let mut stale = 0;
        loop {
            let partitions = batch_partitions::find(&**session, self.entities, self.batch)
                .await
                .map_err(|error| self.failed(&error))?;
            let swapped = || Swapped {
                emptied: self.emptied(&partitions),
                retries,
            };
            match self.try_once(session, &partitions, started, retries).await? {
                Tried::Committed => return Ok(Outcome::Committed(swapped())),
                Tried::Unknown => return Ok(Outcome::Unknown(swapped())),
                Tried::Stale(error) if stale >= STALE_LIMIT => return Err(error),
                Tried::Stale(_) => stale += 1,
                Tried::Busy if Instant::now() >= deadline => return Err(self.given_up(session, &partitions).await),
                Tried::Busy => {
                    retries += 1;
                    tokio::select! {
                        () = tokio::time::sleep(swap_locks::pause(retries)) => {}
                        () = self.stop.cancelled() => return Err(Error::interrupted()),
                    }
                }
            }
            if !runs::has_status(session, self.run_id, "running")
                .await
                .map_err(|error| self.failed(&error))?
            {
                return Err(self.superseded());
            }
        }
    }

    async fn try_once(
        &self,
        session: &mut SwapSession,
        partitions: &[BatchPartitions],
        started: Instant,
        tries: u32,
    ) -> Result<Tried> {
        let failed = |error: tokio_postgres::Error| self.failed(&error);
        let transaction = session
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted);
        let transaction = transaction.start().await.map_err(failed)?;
        if let Some(lock) = self.lock_statement(partitions, tries, started.elapsed())? {
            match transaction.batch_execute(&lock).await {
                Err(error) if gives_way(&error) => {
                    transaction.rollback().await.map_err(failed)?;
                    return Ok(Tried::Busy);
                }
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                    transaction.rollback().await.map_err(failed)?;
                    return Ok(Tried::Stale(failed(error)));
                }
                locked => locked.map_err(failed)?,
            }
        }
        failpoint::hit(failpoint::AFTER_LOCK)?;
        let new_level = |of: &BatchPartitions| of.of_source.is_none() && self.staged_of(of).is_some();
        if partitions.iter().any(new_level) {
            let found = match batch_partitions::find(&transaction, self.entities, self.batch).await {
                Err(error) if gives_way(&error) => {
                    transaction.rollback().await.map_err(failed)?;
                    return Ok(Tried::Busy);
                }
                found => found.map_err(failed)?,
            };
            if found != partitions {
                transaction.rollback().await.map_err(failed)?;
                let error = Error::batch(format!(
                    "the partitions that {} belongs to change all the time",
                    self.batch
                ));
                return Ok(Tried::Stale(error));
            }
        }
        let mut summary = self.summary.clone();
        summary.time("swap", started.elapsed());
        let changed = self.changed(partitions);
        if !runs::commit(&transaction, self.run_id, &summary, self.counts, &changed)
            .await
            .map_err(failed)?
        {
            return Err(self.superseded());
        }
        match transaction.batch_execute(&self.statements(partitions)).await {
            // Two first loads of a source run at the same time: the locks that they escalate to may conflict.
            Err(error) if gives_way(&error) => {
                transaction.rollback().await.map_err(failed)?;
                return Ok(Tried::Busy);
            }
            // ATTACH reads rows where a migration has made an index that the contract can't express.
            swapped => swapped.map_err(|error| rows_error(format!("{} can't be swapped in", self.batch), &error))?,
        }
        failpoint::hit(failpoint::BEFORE_COMMIT)?;
        let replaces = partitions.iter().any(|of| of.current.is_some());
        let answer = commit::commit(transaction, self.locks, self.run_id, replaces)
            .await
            .map_err(failed)?;
        session.heard(answer);
        Ok(match answer {
            Answer::Committed | Answer::Owed => Tried::Committed,
            Answer::Lost => Tried::Unknown,
        })
    }

    fn failed(&self, error: &tokio_postgres::Error) -> Error {
        db_error(format!("{} can't be swapped in", self.batch), error)
    }

    fn superseded(&self) -> Error {
        Error::batch(format!("run {} of {} was superseded", self.run_id, self.batch))
            .code(Code::RunSuperseded)
            .cause("its lock was lost and another run took the batch")
            .hint("nothing was changed by this run")
    }

    fn staged_of(&self, of: &BatchPartitions) -> Option<&Staged> {
        self.staged.iter().find(|staged| staged.entity == of.entity)
    }

    fn emptied(&self, partitions: &[BatchPartitions]) -> Vec<String> {
        let lost = partitions
            .iter()
            .filter(|of| of.current.is_some() && self.staged_of(of).is_none());
        lost.map(|of| of.entity.clone()).collect()
    }

    /// `None` where nothing is to be done.
    fn lock_statement(&self, partitions: &[BatchPartitions], tries: u32, elapsed: Duration) -> Result<Option<String>> {
        let mut targets = Vec::new();
        for of in partitions {
            let staged = self.staged_of(of).map(|staged| staged.name.as_str());
            if staged.is_some() && !of.has_root {
                return Err(Error::batch(format!("there is no partitioned table {}", of.entity))
                    .hint("pipeline migrate makes the tables of the contract"));
            }
            targets.push(Target { of, staged });
        }
        let wait = swap_locks::wait(elapsed, self.patience);
        Ok(swap_locks::statement(&targets, tries, wait))
    }

    /// The entities whose rows of the batch are others after the swap.
    fn changed(&self, partitions: &[BatchPartitions]) -> Vec<String> {
        let changed = partitions
            .iter()
            .filter(|of| of.current.is_some() || self.staged_of(of).is_some());
        changed.map(|of| of.entity.clone()).collect()
    }

    fn statements(&self, partitions: &[BatchPartitions]) -> String {
        let mut sql = String::new();
        for of in partitions {
            let staged = self.staged_of(of);
            let of_source = of
                .of_source
                .clone()
                .unwrap_or_else(|| qualified(PARTITIONS, &partition::source_name(&of.entity, &self.batch.source)));
            if staged.is_some() && of.of_source.is_none() {
                sql.push_str(&partition::create_source(&of.entity, &self.batch.source));
            }
            if let Some(old) = &of.current {
                let _ = writeln!(
                    sql,
                    "ALTER TABLE {of_source} DETACH PARTITION {old};\nDROP TABLE {old};"
                );
            }
            if let Some(staged) = staged {
                sql.push_str(&partition::attach(&of_source, &staged.name, self.batch.date));
            }
        }
        sql
    }

    async fn given_up(&self, client: &Client, partitions: &[BatchPartitions]) -> Error {
        let upper = partitions.iter().filter_map(|of| of.of_source.clone());
        let roots = partitions.iter().map(|of| qualified(ENTITIES, &of.entity));
        let tables: Vec<String> = roots
            .chain(upper)
            .chain(partitions.iter().filter_map(|of| of.current.clone()))
            .collect();
        let sql = "SELECT DISTINCT pid FROM pg_locks WHERE granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation = ANY \
                   (SELECT to_regclass(name) FROM unnest($1) name) AND pid <> pg_backend_pid() ORDER BY pid";
        let rows = client
            .query_typed(sql, &[(&tables, Type::TEXT_ARRAY)])
            .await
            .unwrap_or_default();
        let pids: Vec<String> = rows
            .iter()
            .filter_map(|row| row.try_get::<_, i32>(0).ok())
            .map(|pid| pid.to_string())
            .collect();
        let seconds = self.patience.as_secs();
        let error = Error::batch(format!(
            "{} found no moment to swap within {seconds} s: readers hold the tables",
            self.batch
        ))
        .code(Code::SwapBlocked)
        .hint("run it again when they have ended, or end them: SELECT pg_terminate_backend(<process>)");
        if pids.is_empty() {
            error
        } else {
            error.cause(format!("server processes {}", pids.join(", ")))
        }
    }
}

/// Whether a statement failed because other sessions hold locks on the tables.
fn gives_way(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::QUERY_CANCELED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(code)
    })
}
