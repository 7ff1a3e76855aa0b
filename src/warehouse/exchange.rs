//! One batch's leaves for others, all entities in one transaction, so that no reader sees a mix. The exchange gives
//! way, never the reader: it waits for its locks a fifth of a second at most, then lets everybody pass and tries again.
//! It decides nothing about runs; the fence that it is given does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::pending;
use std::time::{Duration, Instant};

use rand::Rng;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, IsolationLevel, Transaction};
use tokio_util::sync::CancellationToken;

use super::claim::Lease;
use super::error::{db_error, describe};
use super::runs::{self, Count, Summary};
use super::stage::Staged;
use super::{failpoint, leaf};
use crate::error::{Error, Result};
use crate::model::{Batch, Entity};

/// How long one attempt may wait for all of its locks together (`lock_timeout` counts per lock and adds up), and so the
/// longest that a reader waits for it. Well below `deadlock_timeout`, whose default is one second.
const LOCK_WAIT: Duration = Duration::from_millis(200);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often the catalog may change between looking and locking.
const STALE_LIMIT: u32 = 5;
/// After how long the run's row is first looked at while COMMIT is not answered; then after twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(32);
/// A process that stands still while it holds the locks is put out by the server after this.
const IDLE_LIMIT: &str = "10s";

/// An exchange that is to be made.
pub(super) struct Exchange<'a> {
    pub lease: &'a Lease,
    pub batch: &'a Batch,
    /// All entities of the contract, in its order. One without a staging table loses its leaf.
    pub entities: &'a [Entity],
    pub staged: &'a [Staged],
    pub run_id: i64,
    pub summary: &'a Summary,
    pub counts: &'a BTreeMap<String, Count>,
    /// How long readers are given way to in all.
    pub patience: Duration,
    /// Heard while readers are given way to; never between COMMIT and its answer.
    pub stop: &'a CancellationToken,
}

/// How an exchange ended.
pub(super) enum Outcome {
    Committed(Exchanged),
    /// The answer to COMMIT was lost: only the run's row can tell.
    Unknown(Exchanged),
}

pub(super) struct Exchanged {
    /// Entities that lost a leaf and got none.
    pub emptied: Vec<String>,
    /// How often readers were given way to.
    pub retries: u32,
    /// Whether the session is idle again. It may still delete the files of the old leaves.
    pub answered: bool,
}

/// What the catalog says of one entity and one batch; names are quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub entity: String,
    root: bool,
    partition: Option<String>,
    pub leaf: Option<String>,
}

enum Attempt {
    Committed {
        answered: bool,
    },
    Unknown,
    /// A reader holds a table.
    Busy,
    /// The catalog is not what it was a moment ago: another batch made the level that was missing, or a table is gone.
    Stale(Error),
}

impl Exchange<'_> {
    /// Finds, locks, fences, exchanges, commits. After an error nothing has changed.
    pub(super) async fn make(&self, client: &mut Client) -> Result<Outcome> {
        failpoint::hit(failpoint::BEFORE_LOCK)?;
        let started = Instant::now();
        let deadline = started + self.patience;
        let mut pause = LOCK_WAIT;
        let mut retries = 0;
        let mut stale = 0;
        loop {
            let places = find(client, self.entities, self.batch)
                .await
                .map_err(|error| self.failed(&error))?;
            let exchanged = |answered| Exchanged {
                emptied: self.emptied(&places),
                retries,
                answered,
            };
            match self.attempt(client, &places, started).await? {
                Attempt::Committed { answered } => return Ok(Outcome::Committed(exchanged(answered))),
                Attempt::Unknown => return Ok(Outcome::Unknown(exchanged(true))),
                Attempt::Stale(error) if stale >= STALE_LIMIT => return Err(error),
                Attempt::Stale(_) => stale += 1,
                Attempt::Busy if Instant::now() >= deadline => return Err(self.given_up(client, &places).await),
                Attempt::Busy => {
                    retries += 1;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    let jittered = pause.mul_f64(rand::rng().random_range(0.75..1.25));
                    tokio::select! {
                        () = tokio::time::sleep(jittered) => {}
                        () = self.stop.cancelled() => return Err(Error::interrupted()),
                    }
                }
            }
            if !runs::has_status(client, self.run_id, "running")
                .await
                .map_err(|error| self.failed(&error))?
            {
                return Err(self.superseded());
            }
        }
    }

    async fn attempt(&self, client: &mut Client, places: &[Place], started: Instant) -> Result<Attempt> {
        let failed = |error: tokio_postgres::Error| self.failed(&error);
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted);
        let transaction = transaction.start().await.map_err(failed)?;
        if let Some(lock) = self.lock_statement(places)? {
            match transaction.batch_execute(&lock).await {
                Err(error) if gives_way(&error) => {
                    transaction.rollback().await.map_err(failed)?;
                    return Ok(Attempt::Busy);
                }
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                    transaction.rollback().await.map_err(failed)?;
                    return Ok(Attempt::Stale(failed(error)));
                }
                locked => locked.map_err(failed)?,
            }
        }
        failpoint::hit(failpoint::AFTER_LOCK)?;
        let new_level = |place: &Place| place.partition.is_none() && self.staged_of(place).is_some();
        if places.iter().any(new_level) {
            let found = match find(&transaction, self.entities, self.batch).await {
                Err(error) if gives_way(&error) => {
                    transaction.rollback().await.map_err(failed)?;
                    return Ok(Attempt::Busy);
                }
                found => found.map_err(failed)?,
            };
            if found != places {
                transaction.rollback().await.map_err(failed)?;
                let error = Error::batch(format!(
                    "the partitions that {} belongs to change all the time",
                    self.batch
                ));
                return Ok(Attempt::Stale(error));
            }
        }
        let mut summary = self.summary.clone();
        summary.time("swap", started.elapsed());
        if !runs::commit(&transaction, self.run_id, &summary, self.counts)
            .await
            .map_err(failed)?
        {
            return Err(self.superseded());
        }
        match transaction.batch_execute(&self.statements(places)).await {
            // A first load beside another one: locks that the exchange takes on the way up may cross.
            Err(error) if gives_way(&error) => {
                transaction.rollback().await.map_err(failed)?;
                return Ok(Attempt::Busy);
            }
            exchanged => exchanged.map_err(failed)?,
        }
        failpoint::hit(failpoint::BEFORE_COMMIT)?;
        self.commit(transaction, places.iter().any(|place| place.leaf.is_some()))
            .await
    }

    /// COMMIT is answered when the files of the old leaves are deleted, long after everybody sees the new ones.
    async fn commit(&self, transaction: Transaction<'_>, replaces: bool) -> Result<Attempt> {
        let batch = self.batch;
        let (answer, answered) = tokio::select! {
            biased;
            answer = transaction.commit() => (answer, true),
            () = self.seen_committed(), if replaces => (Ok(()), false),
        };
        match answer {
            Ok(()) if failpoint::hit(failpoint::AFTER_COMMIT).is_err() => Ok(Attempt::Unknown),
            Ok(()) => Ok(Attempt::Committed { answered }),
            Err(error) if is_final(&error) => Err(self.failed(&error)),
            Err(error) => {
                tracing::warn!(%batch, error = describe(&error), "the answer to COMMIT was lost");
                Ok(Attempt::Unknown)
            }
        }
    }

    /// Returns when the session of the leases sees the run committed: by then it is so for good, and the locks are free.
    /// Never, where that session can't tell.
    async fn seen_committed(&self) {
        if self.lease.warehouse().is_embedded() {
            return pending().await;
        }
        let mut pause = FIRST_LOOK;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK);
            let Ok(session) = self.lease.session().await else {
                return pending().await;
            };
            match runs::has_status(&session, self.run_id, "committed").await {
                Ok(true) => return,
                Ok(false) => {}
                Err(_) => return pending().await,
            }
        }
    }

    fn failed(&self, error: &tokio_postgres::Error) -> Error {
        db_error(format!("{} can't be swapped in", self.batch), error)
    }

    fn superseded(&self) -> Error {
        Error::batch(format!("run {} of {} was superseded", self.run_id, self.batch))
            .cause("its lease was lost and another run took the batch")
            .hint("nothing was changed by this run")
    }

    fn staged_of(&self, place: &Place) -> Option<&Staged> {
        self.staged.iter().find(|staged| staged.entity == place.entity)
    }

    fn emptied(&self, places: &[Place]) -> Vec<String> {
        let lost = places
            .iter()
            .filter(|place| place.leaf.is_some() && self.staged_of(place).is_none());
        lost.map(|place| place.entity.clone()).collect()
    }

    /// All locks in one statement, so that one limit counts for all: roots whose next level is missing, source-level
    /// partitions, and the leaves, which an ANALYZE or a dump may hold. None where nothing is to be done.
    fn lock_statement(&self, places: &[Place]) -> Result<Option<String>> {
        let (mut roots, mut new_levels, mut upper, mut leaves) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for place in places {
            let staged = self.staged_of(place);
            if staged.is_some() && !place.root {
                return Err(Error::batch(format!("there is no partitioned table {}", place.entity))
                    .hint("pipeline migrate makes the tables of the contract"));
            }
            if staged.is_none() && place.leaf.is_none() {
                continue;
            }
            let root = leaf::qualified(leaf::ROOTS, &place.entity);
            match &place.partition {
                Some(partition) => {
                    roots.push(root);
                    upper.push(partition.clone());
                }
                None => new_levels.push(root),
            }
            leaves.extend(place.leaf.clone());
            leaves.extend(staged.map(|staged| leaf::qualified(leaf::SCHEMA, &staged.name)));
        }
        if upper.is_empty() && new_levels.is_empty() {
            return Ok(None);
        }
        // One order for all, whatever the order of their contracts: two swaps never wait for each other in a circle.
        roots.sort();
        new_levels.sort();
        upper.sort();
        let exclusive: Vec<String> = new_levels.into_iter().chain(upper).chain(leaves).collect();
        // ATTACH opens the roots to build the partition constraint. A swap that makes a new level holds them: whoever
        // only attaches waits for it before it holds anything. No reader minds this lock.
        let shared = if roots.is_empty() {
            String::new()
        } else {
            format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE; ", roots.join(", ONLY "))
        };
        Ok(Some(format!(
            "SET LOCAL idle_in_transaction_session_timeout = '{IDLE_LIMIT}'; SET LOCAL lock_timeout = 0; \
             SET LOCAL statement_timeout = {}; {shared}LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE; \
             SET LOCAL statement_timeout = 0",
            LOCK_WAIT.as_millis(),
            exclusive.join(", ONLY "),
        )))
    }

    fn statements(&self, places: &[Place]) -> String {
        let mut sql = String::new();
        for place in places {
            let staged = self.staged_of(place);
            let partition = place.partition.clone().unwrap_or_else(|| {
                leaf::qualified(leaf::SCHEMA, &leaf::source_name(&place.entity, &self.batch.source))
            });
            if staged.is_some() && place.partition.is_none() {
                sql.push_str(&leaf::create_source(&place.entity, &self.batch.source));
            }
            if let Some(old) = &place.leaf {
                let _ = writeln!(
                    sql,
                    "ALTER TABLE {partition} DETACH PARTITION {old};\nDROP TABLE {old};"
                );
            }
            if let Some(staged) = staged {
                sql.push_str(&leaf::attach(&partition, &staged.name, self.batch.date));
            }
        }
        sql
    }

    async fn given_up(&self, client: &Client, places: &[Place]) -> Error {
        let upper = places.iter().filter_map(|place| place.partition.clone());
        let roots = places.iter().map(|place| leaf::qualified(leaf::ROOTS, &place.entity));
        let tables: Vec<String> = roots
            .chain(upper)
            .chain(places.iter().filter_map(|place| place.leaf.clone()))
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
        .hint("run it again when they have ended, or end them: SELECT pg_terminate_backend(<process>)");
        if pids.is_empty() {
            error
        } else {
            error.cause(format!("server processes {}", pids.join(", ")))
        }
    }
}

/// The places of a batch in the catalog, in the entities' order: partitions and leaves by their bounds.
pub(super) async fn find(
    client: &impl tokio_postgres::GenericClient,
    entities: &[Entity],
    batch: &Batch,
) -> Result<Vec<Place>, tokio_postgres::Error> {
    // A bound shows its dates in the session's DateStyle, and so does the text that it is compared with.
    let sql = "SELECT e.name, root.oid IS NOT NULL, quote_ident(pn.nspname) || '.' || quote_ident(p.relname), \
               quote_ident(ln.nspname) || '.' || quote_ident(l.relname) \
               FROM unnest($1::text[]) WITH ORDINALITY e (name, place) \
               LEFT JOIN pg_class root ON root.relname = e.name AND root.relkind = 'p' \
               AND root.relnamespace = $5::text::regnamespace \
               LEFT JOIN LATERAL (SELECT c.* FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
               WHERE i.inhparent = root.oid AND pg_get_expr(c.relpartbound, c.oid) = $2) p ON true \
               LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace \
               LEFT JOIN LATERAL (SELECT c.* FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
               WHERE i.inhparent = p.oid AND pg_get_expr(c.relpartbound, c.oid) = \
               format('FOR VALUES FROM (%L) TO (%L)', $3::date, $4::date)) l ON true \
               LEFT JOIN pg_namespace ln ON ln.oid = l.relnamespace ORDER BY e.place";
    let names: Vec<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
    let bound = leaf::source_bound(&batch.source);
    let next = leaf::next(batch.date);
    let rows = client
        .query_typed(
            sql,
            &[
                (&names, Type::TEXT_ARRAY),
                (&bound, Type::TEXT),
                (&batch.date, Type::DATE),
                (&next, Type::DATE),
                (&leaf::ROOTS, Type::TEXT),
            ],
        )
        .await?;
    let place = |row: &tokio_postgres::Row| {
        Ok(Place {
            entity: row.try_get(0)?,
            root: row.try_get(1)?,
            partition: row.try_get(2)?,
            leaf: row.try_get(3)?,
        })
    };
    rows.iter().map(place).collect()
}

/// Whether an attempt to lock ended because others hold the tables.
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

/// Whether the server said no to a COMMIT. A session that was ended, or broke off, may have committed before.
fn is_final(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        !["08", "57", "58", "XX"]
            .iter()
            .any(|class| code.code().starts_with(class))
    })
}
