//! The open database, with a pool of connections. A caller gets all the connections that it asks for at once, or
//! waits and holds none. A batch that is not small needs one connection per entity at the same time. Two batches that
//! each held half of theirs would wait for each other for ever.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use futures::future::try_join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::{Client, Config};

use super::database::Database;
use super::dial::{Dialer, PoolDialer};
use crate::error::{Error, Result};
use crate::warehouse::embedded::Embedded;

/// An open database; clones share it.
#[derive(Clone)]
pub struct Warehouse(Arc<Inner>);

// The pool is dropped before the embedded server, which waits for its client to leave.
struct Inner {
    pool: Pool,
    permits: Arc<Semaphore>,
    size: usize,
    dialer: Arc<Dialer>,
    embedded: Option<Embedded>,
    is_local: bool,
    /// The server process of the first session, which the pool keeps. `None` on the embedded database.
    process: OnceLock<i32>,
}

/// A session from the pool, given back on drop. Open transactions by [`Client::transaction`], which rolls back on
/// drop, and change settings by `SET LOCAL` only: the next user gets the session in the state in which it was left.
pub struct Connection {
    object: Object,
    // Declared after the object, so that the permit is freed after the session.
    _permit: OwnedSemaphorePermit,
}

/// A session outside of the pool; closed on drop.
pub struct Dedicated(Client);

impl Warehouse {
    /// Opens a database with at most `connections` sessions at once (always one on the embedded database). It makes
    /// the first session, so that a database that can't be reached gives an error here.
    pub async fn open(database: Database, connections: usize) -> Result<Self> {
        let (dialer, embedded, size) = match &database {
            Database::Server(server) => (Dialer::to_server(server)?, None, connections.max(1)),
            Database::Embedded { dir } => Self::open_embedded(Some(dir.clone())).await?,
            Database::Memory => Self::open_embedded(None).await?,
        };
        let dialer = Arc::new(dialer);
        let is_local = matches!(&database, Database::Server(server) if server.is_local());
        // The embedded database ends a session whose COPY was broken off. That shows only when the session is used.
        let recycling_method = match embedded {
            Some(_) => RecyclingMethod::Verified,
            None => RecyclingMethod::Fast,
        };
        let config = ManagerConfig { recycling_method };
        let manager = Manager::from_connect(Config::new(), PoolDialer(dialer.clone()), config);
        let pool = Pool::builder(manager).max_size(size).build();
        let pool = pool.map_err(|error| Error::unreachable("no pool of database connections").cause(error))?;
        let permits = Arc::new(Semaphore::new(size));
        let warehouse = Self(Arc::new(Inner {
            pool,
            permits,
            size,
            dialer,
            embedded,
            is_local,
            process: OnceLock::new(),
        }));
        let first = warehouse.acquire().await?;
        warehouse.0.dialer.check_version()?;
        if !warehouse.is_embedded() {
            warehouse.0.dialer.check_encoding()?;
            let process = process(&first).await;
            let _ = warehouse
                .0
                .process
                .set(process.map_err(|error| warehouse.0.dialer.explain(&error))?);
        }
        drop(first);
        Ok(warehouse)
    }

    async fn open_embedded(dir: Option<std::path::PathBuf>) -> Result<(Dialer, Option<Embedded>, usize)> {
        let embedded = Embedded::start(dir).await?;
        let dialer = Dialer::to_embedded(embedded.config(), embedded.describe().to_owned());
        Ok((dialer, Some(embedded), 1))
    }

    /// Returns `count` sessions at once. It waits until that many are free, and holds none while it waits.
    pub async fn reserve(&self, count: usize) -> Result<Vec<Connection>> {
        let inner = &self.0;
        if count > inner.size {
            return Err(Error::project(format!(
                "{count} database connections are needed at once, and at most {} may be made",
                inner.size
            ))
            .hint("give more --connections"));
        }
        let wanted = u32::try_from(count).unwrap_or(u32::MAX);
        let closed = |_| Error::unreachable(format!("the database {} is closed", inner.dialer.name()));
        let mut permits = inner.permits.clone().acquire_many_owned(wanted).await.map_err(closed)?;
        let objects = try_join_all((0..count).map(|_| inner.pool.get()))
            .await
            .map_err(|error| self.explain(&error))?;
        Ok(objects
            .into_iter()
            .filter_map(|object| {
                permits.split(1).map(|permit| Connection {
                    object,
                    _permit: permit,
                })
            })
            .collect())
    }

    /// Returns one session.
    pub async fn acquire(&self) -> Result<Connection> {
        let closed = || Error::unreachable(format!("the database {} is closed", self.0.dialer.name()));
        self.reserve(1).await?.pop().ok_or_else(closed)
    }

    /// A session outside of the pool; `None` on the embedded database, which has only one.
    pub async fn dedicated(&self) -> Result<Option<Dedicated>> {
        if self.is_embedded() {
            return Ok(None);
        }
        let failed = |error: tokio_postgres::Error| self.0.dialer.explain(&error);
        let client = self.0.dialer.dial().await.map_err(failed)?;
        // Two sessions are two processes of the server, unless a pooler stands between.
        if self.0.process.get() == Some(&process(&client).await.map_err(failed)?) {
            return Err(Error::project(format!(
                "{} is a pooler that gives one session to several clients",
                self.describe()
            ))
            .cause("locks that a run holds in its session would belong to others, and stay when it has ended")
            .hint("connect to the server itself, or to a pooler in session mode (pgbouncer: pool_mode = session)"));
        }
        Ok(Some(Dedicated(client)))
    }

    /// Whether the database is a server on this machine; false for the embedded database.
    pub fn is_local(&self) -> bool {
        self.0.is_local
    }

    /// The largest number of sessions that may be reserved at once.
    pub fn connections(&self) -> usize {
        self.0.size
    }

    pub fn is_embedded(&self) -> bool {
        self.0.embedded.is_some()
    }

    /// `host:port/database`, or the folder of the embedded database; without secrets.
    pub fn describe(&self) -> &str {
        self.0.dialer.name()
    }

    /// Ends the sessions. An embedded database is shut down and its folder freed. Dropping does the same without
    /// waiting. Committed rows are safe either way.
    pub async fn close(self) {
        self.0.permits.close();
        self.0.pool.close();
        if let Some(embedded) = &self.0.embedded {
            embedded.stop().await;
        }
    }

    fn explain(&self, error: &PoolError) -> Error {
        match error {
            PoolError::Backend(error) => self.0.dialer.explain(error),
            _ => Error::unreachable(format!("no connection to the database {}", self.0.dialer.name())),
        }
    }
}

/// The server's process that a session belongs to.
async fn process(client: &Client) -> Result<i32, tokio_postgres::Error> {
    let row = client
        .query_typed_one("SELECT pg_catalog.pg_backend_pid()", &[])
        .await?;
    row.try_get(0)
}

impl std::fmt::Debug for Warehouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warehouse")
            .field("database", &self.describe())
            .field("connections", &self.0.size)
            .finish()
    }
}

impl Connection {
    /// Closes the session instead of giving it back. This is for a session that broke off, which the pool may not
    /// notice yet.
    pub fn discard(self) {
        drop(Object::take(self.object));
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.object
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.object
    }
}

impl Deref for Dedicated {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl DerefMut for Dedicated {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::warehouse::testing::{both, database, fresh, server};

    async fn one(warehouse: &Warehouse, sql: &str) -> String {
        let connection = warehouse.acquire().await.unwrap();
        connection.query_one(sql, &[]).await.unwrap().get::<_, String>(0)
    }

    #[tokio::test]
    async fn every_session_has_our_settings() {
        for warehouse in both().await {
            let sessions = warehouse.reserve(warehouse.connections()).await.unwrap();
            for (at, session) in sessions.iter().enumerate() {
                for (name, value) in [
                    ("timezone", "UTC"),
                    ("lock_timeout", "30s"),
                    ("log_error_verbosity", "terse"),
                    ("application_name", "pipeline"),
                ] {
                    let row = session.query_one(&format!("SHOW {name}"), &[]).await.unwrap();
                    assert_eq!(row.get::<_, String>(0), value, "{name} of session {at}");
                }
            }
            drop(sessions);
            warehouse.close().await;
        }
    }

    /// Later sessions set only what the first one was allowed to set.
    #[tokio::test]
    async fn later_sessions_have_what_was_granted_to_the_first() {
        let Some(server) = server() else { return };
        let name = server.create().await;
        let admin = server.open(&name, 1).await;
        let admin = admin.acquire().await.unwrap();
        let roles = "CREATE ROLE granted LOGIN; CREATE ROLE assumed; GRANT assumed TO granted; \
                     CREATE SCHEMA pipeline AUTHORIZATION assumed; ALTER ROLE granted SET log_error_verbosity = terse";
        admin.batch_execute(roles).await.unwrap();
        let (host, port) = (server.folder.display(), server.port);
        let conninfo = format!("host={host} port={port} user=granted dbname={name}");
        let warehouse = Warehouse::open(database(&conninfo), 3).await.unwrap();
        let settings = "SELECT concat_ws(' ', current_user, current_setting('log_error_verbosity'), \
                        current_setting('client_connection_check_interval'), current_setting('lock_timeout'))";
        let told = async |sessions: &[Connection]| {
            let mut told = Vec::new();
            for session in sessions {
                told.push(session.query_one(settings, &[]).await.unwrap().get::<_, String>(0));
            }
            told
        };
        let two = warehouse.reserve(2).await.unwrap();
        assert_eq!(told(&two).await, ["assumed terse 2s 30s"; 2]);
        // The session has the value already and is not allowed to set it.
        let log = std::fs::read_to_string(server.folder.join("log")).unwrap();
        assert!(!log.contains("permission denied to set parameter"), "{log}");
        // A right that was revoked since is tried again.
        admin.batch_execute("REVOKE assumed FROM granted").await.unwrap();
        let third = warehouse.acquire().await.unwrap();
        assert_eq!(told(&[third]).await, ["granted terse 2s 30s"]);
        drop(two);
        admin
            .batch_execute("DROP SCHEMA pipeline; DROP ROLE granted, assumed")
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_reservation_is_all_or_nothing() {
        let Some(warehouse) = fresh(4).await else { return };
        let three = warehouse.reserve(3).await.unwrap();
        let waiting = warehouse.clone();
        let waiting = tokio::spawn(async move { waiting.reserve(4).await.map(|c| c.len()) });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        drop(three);
        assert_eq!(waiting.await.unwrap().unwrap(), 4);
        let error = warehouse.reserve(5).await.err().unwrap();
        assert_eq!(
            error.message,
            "5 database connections are needed at once, and at most 4 may be made"
        );
        assert!(warehouse.dedicated().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_database_that_is_not_utf8_is_refused() {
        let Some(server) = server() else { return };
        let name = server.create().await;
        let admin = server.open(&name, 1).await;
        let latin = format!("{name}_latin");
        let sql = format!("CREATE DATABASE {latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
        admin.acquire().await.unwrap().batch_execute(&sql).await.unwrap();
        let (host, port) = (server.folder.display(), server.port);
        let conninfo = format!("host={host} port={port} user=postgres dbname={latin}");
        let error = Warehouse::open(database(&conninfo), 1).await.err().unwrap();
        assert_eq!(
            error.message,
            format!("the database {host}:{port}/{latin} has the encoding LATIN1, and UTF8 is needed")
        );
        assert_eq!(error.kind, crate::error::Kind::Project);
    }

    #[tokio::test]
    async fn a_dropped_transaction_leaves_nothing_behind() {
        for warehouse in both().await {
            let mut connection = warehouse.acquire_as_user().await.unwrap();
            let transaction = connection.transaction().await.unwrap();
            transaction.batch_execute("CREATE TABLE gone (a int)").await.unwrap();
            drop(transaction);
            drop(connection);
            let found = one(
                &warehouse,
                "SELECT coalesce(to_regclass('public.gone')::text, 'nothing')",
            )
            .await;
            assert_eq!(found, "nothing");
        }
    }

    #[tokio::test]
    async fn what_keeps_us_from_connecting_is_named() {
        let Some(server) = server() else { return };
        let open = async |conninfo: &str| Warehouse::open(database(conninfo), 1).await.err().unwrap();
        let (host, port) = (server.folder.display(), server.port);
        let error = open(&format!("host={host} port={port} user=postgres dbname=nope")).await;
        assert_eq!(error.message, format!("there is no such database: {host}:{port}/nope"));
        let error = open(&format!(
            "host=127.0.0.1 port={port} user=nobody dbname=postgres password=hunter2"
        ))
        .await;
        assert_eq!(
            error.message,
            format!("the database at 127.0.0.1:{port}/postgres refuses the user nobody")
        );
        let error = open("host=127.0.0.1 port=1 user=postgres").await;
        assert_eq!(error.kind, crate::error::Kind::Unreachable);
        assert_eq!(
            error.to_string(),
            "can't reach the database at 127.0.0.1:1/postgres: error connecting to server: Connection refused (os error 111)"
        );
        let error = open(&format!("host=127.0.0.1 port={port} user=postgres sslmode=require")).await;
        assert_eq!(
            error.message,
            format!("no encrypted connection to the database at 127.0.0.1:{port}/postgres")
        );
        assert_eq!(
            error.why().as_deref(),
            Some("error performing TLS handshake: server does not support TLS")
        );
    }
}
