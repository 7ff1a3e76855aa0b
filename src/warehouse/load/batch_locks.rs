//! Locks a batch, so that only one run works on it. Two things keep out a second run: an advisory lock, held by a
//! session outside of the pool, and the run's status in `pipeline.runs`. The lock alone is not enough. When the
//! connection breaks off, the lock is freed while its run goes on. That run's swap then finds that the run is no
//! longer `running`, and changes nothing.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use rand::Rng;
use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::indexing::IndexTurns;
use crate::error::{Code, Error, Result};
use crate::model::Batch;
use crate::warehouse::connect::{Connection, Dedicated, KeptSession, Warehouse};
use crate::warehouse::sql::{db_error, describe};

/// How long to wait for the one connection of the embedded database.
const ONE_CONNECTION: Duration = Duration::from_secs(10);
/// The mean pause between two attempts to take a lock that another run holds.
const LOOK: Duration = Duration::from_millis(400);

/// The batch locks of one process, all held by one session. Clones share it. The embedded database has no second
/// session; there, the lock of its folder serves the same purpose.
#[derive(Clone)]
pub struct BatchLocks(Arc<Shared>);

struct Shared {
    session: KeptSession,
    /// The batches that this process has locked. PostgreSQL would grant the session a lock that it already holds, so
    /// two runs of one process are kept apart here.
    held: Mutex<HashSet<Batch>>,
    index_turns: IndexTurns,
}

/// A session for statements on the program's own state.
pub(super) enum Session {
    Own(Arc<Dedicated>),
    Pooled(Box<Connection>),
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        match self {
            Self::Own(session) => session,
            Self::Pooled(connection) => connection,
        }
    }
}

/// One batch's lock, given back on drop.
pub struct BatchLock {
    locks: BatchLocks,
    batch: Batch,
    released: bool,
}

impl BatchLocks {
    /// Makes the locks. The session connects when the first batch is locked.
    pub fn new(warehouse: Warehouse) -> Self {
        let index_turns = IndexTurns::of(&warehouse);
        Self(Arc::new(Shared {
            session: KeptSession::new(warehouse),
            held: Mutex::default(),
            index_turns,
        }))
    }

    pub fn warehouse(&self) -> &Warehouse {
        self.0.session.warehouse()
    }

    /// The turns in which this process builds indexes on its staging tables.
    pub(super) fn index_turns(&self) -> &IndexTurns {
        &self.0.index_turns
    }

    /// The session that holds the locks. If it was lost, a new one is opened, which does not hold the earlier locks.
    pub(super) async fn session(&self) -> Result<Session> {
        if let Some(session) = self.0.session.get().await? {
            return Ok(Session::Own(session));
        }
        let connection = tokio::time::timeout(ONE_CONNECTION, self.warehouse().acquire()).await;
        let busy = |_| Error::batch("the embedded database's one connection is in use");
        Ok(Session::Pooled(Box::new(connection.map_err(busy)??)))
    }

    /// Takes a batch's lock. Where another run holds it, this waits with `wait`; else the error says which run holds
    /// it.
    pub(super) async fn lock(&self, batch: &Batch, wait: bool) -> Result<BatchLock> {
        loop {
            match self.try_lock(batch).await? {
                Some(lock) => return Ok(lock),
                None if wait => tokio::time::sleep(jittered(LOOK)).await,
                None => return Err(self.held_by(batch).await?),
            }
        }
    }

    /// Waits for the lock of the privacy gate. Whoever holds it counts the persons of a batch and swaps the batch in, or
    /// drops one, and no other does so meanwhile, in this process or another.
    ///
    /// # Errors
    /// The database can't be reached.
    pub async fn gate(&self) -> Result<BatchLock> {
        // No source is called so, so it is the lock of no batch.
        let gate = Batch {
            source: String::new(),
            date: NaiveDate::default(),
        };
        self.lock(&gate, true).await
    }

    /// Takes a batch's lock if it is free.
    pub(super) async fn try_lock(&self, batch: &Batch) -> Result<Option<BatchLock>> {
        if !self.held().insert(batch.clone()) {
            return Ok(None);
        }
        // From here on, dropping `lock` removes the batch from the set again.
        let lock = BatchLock {
            locks: self.clone(),
            batch: batch.clone(),
            released: false,
        };
        if self.warehouse().is_embedded() {
            return Ok(Some(lock));
        }
        let session = self.session().await?;
        let sql = "SELECT pg_try_advisory_lock($1)";
        let row = session.query_typed_one(sql, &[(&lock_key(batch), Type::INT8)]).await;
        let taken = row.and_then(|row| row.try_get::<_, bool>(0));
        if taken.map_err(|error| db_error(format!("{batch} can't be locked"), &error))? {
            return Ok(Some(lock));
        }
        lock.forget();
        Ok(None)
    }

    async fn unlock(&self, batch: &Batch) {
        // A lost session holds no locks, so no new one is opened to release one.
        if let Some(session) = self.0.session.if_open().await {
            let sql = "SELECT pg_advisory_unlock($1)";
            let done = session.query_typed(sql, &[(&lock_key(batch), Type::INT8)]).await;
            if let Err(error) = done {
                tracing::warn!(%batch, error = describe(&error), "the batch's lock could not be given back");
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashSet<Batch>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn held_by(&self, batch: &Batch) -> Result<Error> {
        let error = Error::batch(format!("{batch} is held by another run"))
            .code(Code::BatchLocked)
            .hint("wait for it with --wait");
        let session = self.session().await?;
        let sql = "SELECT r.run_id, to_char(r.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), l.pid \
                   FROM (SELECT 1) one \
                   LEFT JOIN LATERAL (SELECT run_id, started_at FROM pipeline.runs WHERE source = $1 \
                   AND batch_date = $2 AND status = 'running' ORDER BY run_id DESC LIMIT 1) r ON true \
                   LEFT JOIN LATERAL (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
                   AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                   AND ((classid::int8 << 32) | objid::int8) = $3 LIMIT 1) l ON true";
        let key = lock_key(batch);
        let row = session
            .query_typed_one(
                sql,
                &[
                    (&batch.source, Type::TEXT),
                    (&batch.date, Type::DATE),
                    (&key, Type::INT8),
                ],
            )
            .await
            .map_err(|error| db_error(format!("who holds {batch} can't be found out"), &error))?;
        let run = row.try_get::<_, Option<i64>>(0).ok().flatten();
        let since = row.try_get::<_, Option<String>>(1).ok().flatten();
        let pid = row.try_get::<_, Option<i32>>(2).ok().flatten();
        let mut who = Vec::new();
        who.extend(run.map(|run| format!("run {run}")));
        who.extend(since.map(|since| format!("since {since} UTC")));
        who.extend(pid.map(|pid| format!("server process {pid}")));
        Ok(if who.is_empty() {
            error
        } else {
            error.cause(who.join(", "))
        })
    }
}

impl BatchLock {
    /// Drops a lock that the server did not grant, so nothing needs to be released.
    fn forget(mut self) {
        self.released = true;
        self.locks.held().remove(&self.batch);
    }

    /// Releases the lock and waits until that is done. A drop would not wait.
    pub(super) async fn release(mut self) {
        self.released = true;
        self.locks.unlock(&self.batch).await;
        self.locks.held().remove(&self.batch);
    }
}

impl Drop for BatchLock {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        self.locks.held().remove(&self.batch);
        // Without a runtime the process is about to end, which also ends its session.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (locks, batch) = (self.locks.clone(), self.batch.clone());
            runtime.spawn(async move { locks.unlock(&batch).await });
        }
    }
}

/// A pause between half and one and a half of the given one, so that several waiters do not check at the same time.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.5))
}

/// The key of a batch's advisory lock: the same in every process and version.
pub(super) fn lock_key(batch: &Batch) -> i64 {
    let digest = Sha256::digest(format!("pipeline batch\0{}\0{}", batch.source, batch.date));
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::copy::testing::may_second;

    #[test]
    fn the_lock_key_never_changes() {
        let other = Batch {
            source: "c".to_owned(),
            ..may_second()
        };
        assert_ne!(lock_key(&may_second()), lock_key(&other));
        // The first 8 bytes of SHA-256 of "pipeline batch\0b\02023-05-02". All versions of the program must use the
        // same key.
        assert_eq!(lock_key(&may_second()), -6_565_832_027_783_974_570);
    }
}
