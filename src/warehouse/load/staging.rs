//! Fills and indexes a staging table that readers can't see. All of it is one transaction, so an error anywhere
//! leaves nothing behind. The staging table itself becomes the partition; no row is written twice. The entity table
//! is never touched or locked: `CREATE TABLE ... (LIKE parent)` would hold a lock on the parent during the whole
//! COPY.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, CopyInSink, IsolationLevel};

use super::active_run::ActiveRun;
use super::indexing::IndexTurns;
use super::stage_counter::{Phase, StageCounter};
use super::{failpoint, partition, runs};
use crate::error::{Error, Result};
use crate::model::{Batch, Entity};
use crate::warehouse::copy::{EncodeError, Encoder, HEADER, Rows, TRAILER};
use crate::warehouse::sql::rows_error;

/// Bytes per message: large enough that the overhead does not matter, small enough for a processor's cache.
const CHUNK: usize = 256 * 1024;

/// A filled and indexed staging table. Where this is dropped, the table stays until its run ends or is found dead.
#[derive(Debug, Serialize, Deserialize)]
#[must_use = "a staging table that is not swapped in is removed with its run"]
pub struct Staged {
    pub(super) entity: String,
    pub(super) name: String,
    pub(super) run_id: i64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) indexed: Duration,
}

impl Staged {
    pub fn entity(&self) -> &str {
        &self.entity
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes sent, in the binary format.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long the key, the indexes and the statistics took.
    pub fn indexed(&self) -> Duration {
        self.indexed
    }
}

/// What staging needs to know of a run. Clones go to the tasks that stage tables concurrently.
#[derive(Clone)]
pub struct StagingRun {
    pub(super) index_turns: IndexTurns,
    pub(super) batch: Batch,
    pub(super) run_id: i64,
    /// Tells the tables of this process from those of others that work for the same run. `None`: there are no others.
    pub(super) attempt: Option<String>,
}

impl ActiveRun {
    /// For staging the run's tables.
    pub fn staging(&self) -> StagingRun {
        StagingRun {
            index_turns: self.locks.index_turns().clone(),
            batch: self.batch.clone(),
            run_id: self.run_id,
            attempt: None,
        }
    }
}

impl StagingRun {
    /// Makes the entity's staging table from its rows, which [`crate::warehouse::Fit`] has let pass. Batches have the
    /// contract's columns in their order. The record number may follow, where the transform kept it. `place` describes where a record is, for messages.
    ///
    /// After an error, or when the future is dropped, nothing is left in the database.
    pub async fn stage(
        &self,
        client: &mut Client,
        entity: &Entity,
        batches: impl Stream<Item = Result<RecordBatch>> + Send,
        place: &(dyn Fn(u64) -> String + Sync),
        counter: &StageCounter,
    ) -> Result<Staged> {
        failpoint::hit(failpoint::BEFORE_COPY)?;
        let under_way = self.index_turns.begin();
        let name = partition::staging_name(&entity.name, self.attempt.as_deref(), self.run_id);
        let failed = |error: tokio_postgres::Error| rows_error(format!("{} can't be staged", entity.name), &error);
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted);
        let transaction = transaction.start().await.map_err(failed)?;
        let create = partition::create_staging(entity, &name);
        transaction.batch_execute(&create).await.map_err(failed)?;

        counter.enter(Phase::Copying);
        let sink = transaction
            .copy_in(&partition::copy_into(entity, &name))
            .await
            .map_err(failed)?;
        let mut copy = Copy {
            entity,
            place,
            counter,
            sink: Box::pin(sink),
        };
        let bytes = copy.send_all(batches).await?;
        let rows = counter
            .wait
            .waiting(copy.sink.as_mut().finish())
            .await
            .map_err(failed)?;
        failpoint::hit(failpoint::AFTER_COPY)?;

        let turn = under_way.turn(bytes).await;
        counter.enter(Phase::Indexing);
        let begun = Instant::now();
        let statements = partition::finish_staging(entity, &name, &self.batch, rows);
        let finish = async {
            let Some(turn) = &turn else {
                return transaction.batch_execute(&statements.join("; ")).await;
            };
            for statement in &statements {
                // The limit is computed again for each statement, since other tables may have finished and freed
                // their cores.
                let statement = format!("{}; {statement}", turn.set_helpers());
                transaction.batch_execute(&statement).await?;
            }
            Ok(())
        };
        finish.await.map_err(|error| refused(entity, &self.batch, &error))?;
        if !runs::hold_running(transaction.client(), self.run_id)
            .await
            .map_err(failed)?
        {
            return Err(Error::batch(format!(
                "run {} of {} has ended already",
                self.run_id, self.batch
            )));
        }
        transaction.commit().await.map_err(failed)?;
        failpoint::hit(failpoint::AFTER_INDEX)?;
        counter.enter(Phase::Staged);
        let indexed = begun.elapsed();
        Ok(Staged {
            entity: entity.name.clone(),
            name,
            run_id: self.run_id,
            rows,
            bytes,
            indexed,
        })
    }
}

/// The error for a duplicate key. It names only the columns, since the server's DETAIL would quote the key. The
/// setting `log_error_verbosity` keeps the key out of the server's log, too.
fn refused(entity: &Entity, batch: &Batch, error: &tokio_postgres::Error) -> Error {
    if error.code() != Some(&SqlState::UNIQUE_VIOLATION) {
        return rows_error(format!("{} can't be indexed", entity.name), error);
    }
    let key = entity.key.join(", ");
    Error::batch(format!("duplicate key in {}", entity.name))
        .cause(format!("several rows of {batch} have the same {key}"))
        .hint(format!(
            "let the transform return one row per {key}: SELECT DISTINCT, or GROUP BY"
        ))
}

/// The COPY of one stage. If it is dropped before its end, the server discards what was sent.
struct Copy<'a> {
    entity: &'a Entity,
    place: &'a (dyn Fn(u64) -> String + Sync),
    counter: &'a StageCounter,
    sink: Pin<Box<CopyInSink<Bytes>>>,
}

impl Copy<'_> {
    /// Sends all rows and returns the number of bytes. While one chunk is encoded here, the connection's task writes
    /// another to the socket and a third waits in between. So the memory of a stage does not grow with its rows.
    async fn send_all(&mut self, batches: impl Stream<Item = Result<RecordBatch>> + Send) -> Result<u64> {
        let mut batches = std::pin::pin!(batches);
        let mut out = BytesMut::with_capacity(CHUNK);
        out.extend_from_slice(HEADER);
        let mut bytes = 0;
        let mut encoder = None;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let encoder = match &mut encoder {
                Some(encoder) => encoder,
                none => {
                    let made = Encoder::new(self.entity, &batch.schema());
                    none.insert(made.map_err(|reason| self.misfit(&reason))?.of_fitting_rows())
                }
            };
            let mut rows = encoder.bind(&batch).map_err(|reason| self.misfit(&reason))?;
            while self.encode(&mut rows, &mut out)? {
                bytes += self.send(out.split().freeze()).await?;
                failpoint::hit(failpoint::MID_COPY)?;
            }
        }
        out.extend_from_slice(TRAILER);
        bytes += self.send(out.freeze()).await?;
        Ok(bytes)
    }

    fn encode(&self, rows: &mut Rows<'_>, out: &mut BytesMut) -> Result<bool> {
        let before = rows.written();
        let more = self.counter.encode.on(|| rows.write(out, CHUNK));
        let more = more.map_err(|error| self.unencodable(&error))?;
        self.counter
            .rows
            .fetch_add((rows.written() - before) as u64, Ordering::Relaxed);
        Ok(more)
    }

    async fn send(&mut self, chunk: Bytes) -> Result<u64> {
        let length = chunk.len() as u64;
        let sent = self.counter.wait.waiting(self.sink.feed(chunk)).await;
        sent.map_err(|error| rows_error(format!("{} can't be copied", self.entity.name), &error))?;
        self.counter.bytes.fetch_add(length, Ordering::Relaxed);
        Ok(length)
    }

    fn misfit(&self, reason: &str) -> Error {
        Error::batch(format!("the rows of {} do not fit its contract", self.entity.name)).cause(reason)
    }

    fn unencodable(&self, error: &EncodeError) -> Error {
        let built = Error::batch(format!("{}: {error}", self.entity.name));
        match error.record {
            Some(record) => built.cause((self.place)(record)),
            None => built.hint("the transform does not keep the record that a row comes from, so its place is unknown"),
        }
    }
}
