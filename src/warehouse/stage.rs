//! Staging: a run fills and indexes a table that nobody can see. Everything about one table is one transaction, so an
//! error anywhere leaves nothing, and the staging table is, byte for byte, the later leaf. It never touches, nor locks,
//! an entity table: `CREATE TABLE ... (LIKE parent)` would hold a lock on the parent for the whole COPY.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, Stream, StreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, CopyInSink, IsolationLevel};

use super::claim::Claim;
use super::encode::{EncodeError, Encoder, HEADER, Rows, TRAILER};
use super::error::db_error;
use super::{Warehouse, failpoint, leaf, runs};
use crate::error::{Error, Result};
use crate::model::{Batch, Entity};
use crate::timing::Spent;

/// Bytes per message: large enough to forget its overhead, small enough to stay in a processor's cache.
const CHUNK: usize = 256 * 1024;

/// How far one entity's stage is; read by whoever shows progress.
#[derive(Debug, Default)]
pub struct StageCounter {
    /// Rows encoded.
    pub rows: AtomicU64,
    /// Bytes sent to the database.
    pub bytes: AtomicU64,
    /// Encoding rows.
    pub encode: Spent,
    /// Waiting until the server takes more.
    pub wait: Spent,
    phase: AtomicU8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Waiting,
    Copying,
    Indexing,
    Staged,
}

impl StageCounter {
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Waiting,
            1 => Phase::Copying,
            2 => Phase::Indexing,
            _ => Phase::Staged,
        }
    }

    /// For an entity that is staged anew.
    pub fn restart(&self) {
        self.rows.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.enter(Phase::Waiting);
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

/// A filled and indexed staging table. Dropped, it stays where it is until its run is ended or found dead.
#[derive(Debug)]
#[must_use = "a staging table that is not swapped in is removed with its run"]
pub struct Staged {
    pub(super) entity: String,
    pub(super) name: String,
    pub(super) run_id: i64,
    rows: u64,
    bytes: u64,
    indexed: Duration,
}

impl Staged {
    pub fn entity(&self) -> &str {
        &self.entity
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// As sent, in the binary format.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What its key, its indexes and its statistics took.
    pub fn indexed(&self) -> Duration {
        self.indexed
    }
}

/// What staging needs of a run; clones go to the tasks that stage its tables side by side.
#[derive(Clone)]
pub struct StagingRun {
    warehouse: Warehouse,
    batch: Batch,
    run_id: i64,
}

impl Claim {
    /// For staging the run's tables.
    pub fn staging(&self) -> StagingRun {
        StagingRun {
            warehouse: self.lease.warehouse().clone(),
            batch: self.batch.clone(),
            run_id: self.run_id,
        }
    }
}

impl StagingRun {
    /// Makes the entity's staging table from its rows: batches with the contract's columns in order, then, where it
    /// survived, the record number. `place` says in the user's words where a record is.
    ///
    /// An error, or dropping the future, leaves nothing in the database.
    pub async fn stage(
        &self,
        client: &mut Client,
        entity: &Entity,
        batches: impl Stream<Item = Result<RecordBatch>> + Send,
        place: &(dyn Fn(u64) -> String + Sync),
        counter: &StageCounter,
    ) -> Result<Staged> {
        failpoint::hit(failpoint::BEFORE_COPY)?;
        let under_way = self.warehouse.staging().begin();
        let name = leaf::staging_name(&entity.name, self.run_id);
        let failed = |error: tokio_postgres::Error| db_error(format!("{} can't be staged", entity.name), &error);
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted);
        let transaction = transaction.start().await.map_err(failed)?;
        let create = leaf::create_staging(entity, &name);
        transaction.batch_execute(&create).await.map_err(failed)?;

        counter.enter(Phase::Copying);
        let sink = transaction
            .copy_in(&leaf::copy_into(entity, &name))
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
        let statements = leaf::finish_staging(entity, &name, &self.batch, rows);
        let finish = async {
            let Some(turn) = &turn else {
                return transaction.batch_execute(&statements.join("; ")).await;
            };
            for statement in &statements {
                // Anew for each: the cores that are left change while other tables end.
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

/// A duplicate key is told by its columns: the server's DETAIL would quote it (and is kept out of its log by the
/// sessions' `log_error_verbosity`).
fn refused(entity: &Entity, batch: &Batch, error: &tokio_postgres::Error) -> Error {
    if error.code() != Some(&SqlState::UNIQUE_VIOLATION) {
        return db_error(format!("{} can't be indexed", entity.name), error);
    }
    let key = entity.key.join(", ");
    Error::batch(format!("duplicate key in {}", entity.name))
        .cause(format!("several rows of {batch} have the same {key}"))
        .hint(format!(
            "let the transform return one row per {key}: SELECT DISTINCT, or GROUP BY"
        ))
}

/// The COPY of one stage. Dropped before its end, the server forgets what was sent.
struct Copy<'a> {
    entity: &'a Entity,
    place: &'a (dyn Fn(u64) -> String + Sync),
    counter: &'a StageCounter,
    sink: Pin<Box<CopyInSink<Bytes>>>,
}

impl Copy<'_> {
    /// The connection's task writes one chunk to the socket while the next is encoded here; one more waits between
    /// them, so the memory of a stage does not depend on its rows.
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
                none => none.insert(Encoder::new(self.entity, &batch.schema()).map_err(|reason| self.misfit(&reason))?),
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
        sent.map_err(|error| db_error(format!("{} can't be copied", self.entity.name), &error))?;
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
