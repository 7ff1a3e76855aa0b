//! Who may work on a batch. A claim is a lease, an advisory lock on a connection outside of the pool, **and** a fence,
//! the run's status: a dropped connection frees the lease while the worker lives on, and then the fence stops it.
//!
//! `Lease` → [`Claim`] → [`Staged`](super::stage::Staged) → [`Committed`](super::swap::Committed); each step consumes
//! the one before. Dropping any of them leaves the live tables untouched: a claim dropped without [`Claim::fail`]
//! leaves a row that says `running` and perhaps staging tables, which the next run finds and removes.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::db_error;
use super::runs::{self, Failure, RunRecord};
use super::{Connection, Dedicated, Warehouse, leaf, orphans};
use crate::error::{Error, Result};
use crate::model::Batch;

/// How long the embedded database's one connection is waited for.
const ONE_CONNECTION: Duration = Duration::from_secs(10);
/// How often a waiting claim looks, on average.
const LOOK: Duration = Duration::from_millis(400);

/// The leases of one process, all on one connection; clones share it. On the embedded database, where a second
/// connection can't be made, the lock of its folder is the lease.
#[derive(Clone)]
pub struct Lease(Arc<Shared>);

struct Shared {
    warehouse: Warehouse,
    session: tokio::sync::Mutex<Option<Arc<Dedicated>>>,
    /// The session may take its own locks twice, so this keeps two claims of one process apart.
    held: Mutex<HashSet<Batch>>,
}

/// The right to work on one batch, as a run of it.
pub struct Claim {
    pub(super) lease: Lease,
    pub(super) batch: Batch,
    pub(super) run_id: i64,
    epoch: i32,
    held: Option<Held>,
}

/// A session for the engine's own state.
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

/// Half to one and a half of a pause, so that several waiters do not look in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.5))
}

/// One batch's lock, given back on drop.
pub(super) struct Held {
    lease: Lease,
    batch: Batch,
    released: bool,
}

impl Lease {
    /// Connects when the first batch is claimed.
    pub fn new(warehouse: Warehouse) -> Self {
        Self(Arc::new(Shared {
            warehouse,
            session: tokio::sync::Mutex::default(),
            held: Mutex::default(),
        }))
    }

    /// Opens its session on another thread, before it is needed. Whatever fails shows again when it is.
    pub fn open_ahead(&self) {
        if !self.0.warehouse.is_embedded() {
            let lease = self.clone();
            tokio::spawn(async move { lease.session().await.map(drop) });
        }
    }

    /// Takes a batch and starts a run of it. Where another run holds it, the error says who, or, with `wait`, this
    /// waits until it does no longer.
    ///
    /// On the embedded database this needs its one connection for a moment: hold none while calling.
    pub async fn claim(&self, batch: &Batch, record: &RunRecord, wait: bool) -> Result<Claim> {
        let held = loop {
            match self.try_hold(batch).await? {
                Some(held) => break held,
                None if wait => tokio::time::sleep(jittered(LOOK)).await,
                None => return Err(self.held_by(batch).await?),
            }
        };
        let session = self.session().await?;
        let started = runs::start(&session, batch, record).await?;
        if !started.lost.is_empty() {
            orphans::remove_staging(&session, &started.lost).await?;
        }
        tracing::debug!(%batch, run_id = started.run_id, epoch = started.epoch, "claimed");
        Ok(Claim {
            lease: self.clone(),
            batch: batch.clone(),
            run_id: started.run_id,
            epoch: started.epoch,
            held: Some(held),
        })
    }

    /// Records that a batch's input is missing and that its source says to skip it; gives the run's id.
    pub async fn skip(&self, batch: &Batch, record: &RunRecord) -> Result<i64> {
        runs::skip(&*self.session().await?, batch, record).await
    }

    pub fn warehouse(&self) -> &Warehouse {
        &self.0.warehouse
    }

    /// The session that holds the locks, made anew where it was lost (and with it the locks: the fence stays).
    pub(super) async fn session(&self) -> Result<Session> {
        if self.0.warehouse.is_embedded() {
            let connection = tokio::time::timeout(ONE_CONNECTION, self.0.warehouse.acquire()).await;
            let busy = |_| Error::batch("the embedded database's one connection is in use");
            return Ok(Session::Pooled(Box::new(connection.map_err(busy)??)));
        }
        let mut session = self.0.session.lock().await;
        if let Some(open) = session.as_ref().filter(|open| !open.is_closed()) {
            return Ok(Session::Own(open.clone()));
        }
        let missing = || Error::unreachable("the database gives no connection for leases");
        let made = Arc::new(self.0.warehouse.dedicated().await?.ok_or_else(missing)?);
        *session = Some(made.clone());
        Ok(Session::Own(made))
    }

    /// Takes a batch's lock if nobody holds it.
    pub(super) async fn try_hold(&self, batch: &Batch) -> Result<Option<Held>> {
        if !self.held().insert(batch.clone()) {
            return Ok(None);
        }
        // From here on a drop takes it out of the set again.
        let held = Held {
            lease: self.clone(),
            batch: batch.clone(),
            released: false,
        };
        if self.0.warehouse.is_embedded() {
            return Ok(Some(held));
        }
        let session = self.session().await?;
        let sql = "SELECT pg_try_advisory_lock($1)";
        let row = session
            .query_typed_one(sql, &[(&leaf::lock_key(batch), Type::INT8)])
            .await;
        let taken = row.and_then(|row| row.try_get::<_, bool>(0));
        if taken.map_err(|error| db_error(format!("{batch} can't be claimed"), &error))? {
            return Ok(Some(held));
        }
        held.forget();
        Ok(None)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashSet<Batch>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn held_by(&self, batch: &Batch) -> Result<Error> {
        let error = Error::batch(format!("{batch} is held by another run")).hint("wait for it with --wait");
        let session = self.session().await?;
        let sql = "SELECT r.run_id, to_char(r.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), l.pid \
                   FROM (SELECT 1) one \
                   LEFT JOIN LATERAL (SELECT run_id, started_at FROM pipeline.runs WHERE source = $1 \
                   AND batch_date = $2 AND status = 'running' ORDER BY run_id DESC LIMIT 1) r ON true \
                   LEFT JOIN LATERAL (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
                   AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                   AND ((classid::int8 << 32) | objid::int8) = $3 LIMIT 1) l ON true";
        let key = leaf::lock_key(batch);
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

impl Held {
    /// Nothing to give back.
    fn forget(mut self) {
        self.released = true;
        self.lease.held().remove(&self.batch);
    }

    /// Gives the lock back, and has given it back when this returns.
    pub(super) async fn release(mut self) {
        self.released = true;
        self.lease.unlock(&self.batch).await;
        self.lease.held().remove(&self.batch);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        self.lease.held().remove(&self.batch);
        // Without a runtime the process is about to end, and its session with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (lease, batch) = (self.lease.clone(), self.batch.clone());
            runtime.spawn(async move { lease.unlock(&batch).await });
        }
    }
}

impl Lease {
    async fn unlock(&self, batch: &Batch) {
        // A lost session has no locks; to make a new one for that would be vain.
        let session = self
            .0
            .session
            .lock()
            .await
            .clone()
            .filter(|session| !session.is_closed());
        if let Some(session) = session {
            let sql = "SELECT pg_advisory_unlock($1)";
            let done = session.query_typed(sql, &[(&leaf::lock_key(batch), Type::INT8)]).await;
            if let Err(error) = done {
                tracing::warn!(%batch, error = super::error::describe(&error), "the lease could not be given back");
            }
        }
    }
}

impl Claim {
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    pub fn run_id(&self) -> i64 {
        self.run_id
    }

    /// The how-manieth run of its batch this is, from 1.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Ends the run without a swap: marks it, removes its staging tables, gives the batch back. `error` holds no value
    /// from the data.
    ///
    /// On the embedded database this needs its one connection for a moment: hold none while calling.
    pub async fn fail(self, failure: Failure, error: &str) -> Result<()> {
        let session = self.lease.session().await?;
        self.fail_on(&session, failure, error).await
    }

    pub(super) async fn fail_on(mut self, client: &Client, failure: Failure, error: &str) -> Result<()> {
        let marked = runs::fail(client, self.run_id, failure, error).await;
        let removed = orphans::remove_staging(client, &[self.run_id]).await;
        self.release().await;
        marked.and(removed)
    }

    pub(super) async fn release(&mut self) {
        if let Some(held) = self.held.take() {
            held.release().await;
        }
    }
}
