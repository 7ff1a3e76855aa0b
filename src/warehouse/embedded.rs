//! The database of a project that names none: PostgreSQL compiled to WebAssembly, run inside this process. It takes
//! one connection at a time and one process per folder, and listens on a socket that only this user can reach
//! (`serve-db` alone opens a port).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio_postgres::Config;

use super::holder::Holder;
use crate::error::{Error, Result};

#[cfg(feature = "embedded")]
use engine::Engine;
#[cfg(not(feature = "embedded"))]
use no_engine::Engine;

/// A running embedded database, shut down on drop.
pub(super) struct Embedded {
    running: Mutex<Option<Running>>,
    config: Config,
    name: String,
}

/// What must live as long as the database; the lock goes last.
struct Running {
    _engine: Engine,
    _folder: Option<PrivateFolder>,
    holder: Option<Holder>,
}

impl Embedded {
    /// Starts the database of a folder, or one in memory's stead that is gone afterwards; `port` opens it on the
    /// loopback address (0: any free port).
    pub(super) async fn start(dir: Option<PathBuf>, port: Option<u16>) -> Result<Self> {
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(dir.as_deref(), port)).await;
        started.map_err(|error| Error::unreachable("the embedded database did not start").cause(error))?
    }

    fn start_blocking(dir: Option<&Path>, port: Option<u16>) -> Result<Self> {
        let holder = match dir {
            None => None,
            Some(dir) => {
                make_private(dir)?;
                Some(Holder::take(dir)?)
            }
        };
        let (endpoint, folder) = match port {
            Some(port) => (Endpoint::Port(port), None),
            None => Endpoint::socket(dir)?,
        };
        let (engine, config) = Engine::start(dir, &endpoint)?;
        let running = Running {
            _engine: engine,
            _folder: folder,
            holder,
        };
        let name = dir.map_or_else(
            || "an embedded database in memory".to_owned(),
            |dir| format!("the embedded database in {}", dir.display()),
        );
        Ok(Self {
            running: Mutex::new(Some(running)),
            config,
            name,
        })
    }

    pub(super) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(super) fn describe(&self) -> &str {
        &self.name
    }

    /// For a client outside this process; without secrets, since there are none.
    pub(super) fn url(&self) -> Option<String> {
        let port = self.config.get_ports().first()?;
        let (user, database) = (self.config.get_user()?, self.config.get_dbname()?);
        Some(format!(
            "postgresql://{user}@127.0.0.1:{port}/{database}?sslmode=disable"
        ))
    }

    /// Waits for the client to leave, and shuts down.
    pub(super) async fn stop(&self) {
        let running = self.take();
        let stopped = tokio::task::spawn_blocking(move || drop(running)).await;
        if let Err(error) = stopped {
            tracing::warn!(%error, "the embedded database did not shut down in order");
        }
    }

    fn take(&self) -> Option<Running> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(holder) = running.as_ref().and_then(|running| running.holder.as_ref()) {
            holder.leave();
        }
        running
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Shutting down waits for the client, whose task may need this very thread.
        if let Some(running) = self.take() {
            std::thread::spawn(move || drop(running));
        }
    }
}

/// Where the database listens.
#[cfg_attr(not(feature = "embedded"), allow(dead_code))]
enum Endpoint {
    /// `.s.PGSQL.5432` in this folder.
    #[cfg(unix)]
    Socket(PathBuf),
    Port(u16),
}

impl Endpoint {
    /// A socket beside the database where its path is short enough for one, else in a folder of our own.
    #[cfg(unix)]
    fn socket(dir: Option<&Path>) -> Result<(Self, Option<PrivateFolder>)> {
        // sockaddr_un holds 104 bytes on macOS, 108 on Linux.
        let fits = |folder: &Path| folder.join(SOCKET).as_os_str().len() < 100;
        if let Some(folder) = dir.and_then(Path::parent).filter(|folder| fits(folder)) {
            return Ok((Self::Socket(folder.to_owned()), None));
        }
        let folder = PrivateFolder::new()?;
        if fits(&folder.0) {
            return Ok((Self::Socket(folder.0.clone()), Some(folder)));
        }
        Ok((Self::Port(0), None))
    }

    #[cfg(not(unix))]
    fn socket(_dir: Option<&Path>) -> Result<(Self, Option<PrivateFolder>)> {
        Ok((Self::Port(0), None))
    }
}

#[cfg(unix)]
const SOCKET: &str = ".s.PGSQL.5432";

/// A folder that only this user may enter, gone on drop.
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    #[cfg(unix)]
    fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("pipeline-{:016x}", rand::random::<u64>()));
        // Fails where the name exists, so that nobody can lay it out for us.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::batch(format!("no folder can be made at {}", path.display())).cause(error))?;
        Ok(Self(path))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes `.pipeline`, readable by this user only and ignored by git, and the database's folder in it.
fn make_private(dir: &Path) -> Result<()> {
    let failed = |path: &Path, error| {
        Error::batch(format!(
            "the embedded database's folder {} can't be made",
            path.display()
        ))
        .cause(error)
    };
    let parent = dir.parent().unwrap_or(dir);
    if !parent.exists() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(parent).map_err(|error| failed(parent, error))?;
        let ignore = parent.join(".gitignore");
        std::fs::write(&ignore, "*\n").map_err(|error| failed(&ignore, error))?;
    }
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))
}

#[cfg(feature = "embedded")]
mod engine {
    //! The one place that knows pglite-oxide.

    use std::path::Path;
    use std::time::{Duration, Instant};

    use pglite_oxide::PgliteServer;
    use tokio_postgres::Config;

    use super::Endpoint;
    use crate::error::{Error, Result};

    /// How long the engine's own lock of the folder is waited for after ours is free.
    const PATIENCE: Duration = Duration::from_secs(3);
    const USER: &str = "postgres";
    /// The database that pglite-oxide serves by default and keeps its catalog in.
    const DATABASE: &str = "template1";

    /// The server's thread; joined on drop.
    pub(super) struct Engine {
        _server: PgliteServer,
    }

    impl Engine {
        pub(super) fn start(dir: Option<&Path>, endpoint: &Endpoint) -> Result<(Self, Config)> {
            let deadline = Instant::now() + PATIENCE;
            let server = loop {
                let builder = PgliteServer::builder().username(USER).database(DATABASE);
                let builder = match dir {
                    Some(dir) => builder.path(dir),
                    None => builder.temporary().relaxed_durability(true),
                };
                let builder = match endpoint {
                    #[cfg(unix)]
                    Endpoint::Socket(folder) => builder.unix(folder.join(super::SOCKET)),
                    Endpoint::Port(port) => builder.tcp(([127, 0, 0, 1], *port).into()),
                };
                match builder.start() {
                    Ok(server) => break server,
                    Err(error) if format!("{error:#}").contains("already in use") && Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    Err(error) => {
                        return Err(Error::unreachable("the embedded database did not start")
                            .cause(format!("{error:#}"))
                            .hint("name a PostgreSQL server by --database-url or DATABASE_URL instead"));
                    }
                }
            };
            let mut config = Config::new();
            config.user(USER).dbname(DATABASE).application_name("pipeline");
            match (endpoint, server.tcp_addr()) {
                #[cfg(unix)]
                (Endpoint::Socket(folder), _) => {
                    config.host_path(folder).port(5432);
                }
                (_, Some(address)) => {
                    config.host(address.ip().to_string()).port(address.port());
                }
                (Endpoint::Port(_), None) => {}
            }
            Ok((Self { _server: server }, config))
        }
    }
}

#[cfg(not(feature = "embedded"))]
mod no_engine {
    use std::path::Path;

    use tokio_postgres::Config;

    use super::Endpoint;
    use crate::error::{Error, Result};

    /// Never made: this build has no embedded database.
    pub(super) enum Engine {}

    impl Engine {
        pub(super) fn start(_dir: Option<&Path>, _endpoint: &Endpoint) -> Result<(Self, Config)> {
            Err(
                Error::project("no database is named, and this build has no embedded one")
                    .hint("name a PostgreSQL server by --database-url or DATABASE_URL"),
            )
        }
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::super::{Database, Warehouse};

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_outlive_the_process_that_wrote_them() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join(".pipeline").join("warehouse");
        let open = || Warehouse::open(Database::Embedded { dir: dir.clone() }, 8);
        let first = open().await.unwrap();
        assert_eq!(first.connections(), 1);
        first
            .acquire()
            .await
            .unwrap()
            .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
            .await
            .unwrap();
        let refused = open().await.err().unwrap();
        assert!(
            refused
                .message
                .starts_with("the embedded database is in use by `pipeline"),
            "{refused}"
        );
        first.close().await;
        let second = open().await.unwrap();
        let row = second
            .acquire()
            .await
            .unwrap()
            .query_one("SELECT a FROM t", &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i32>(0), 7);
        drop(second);
        // Dropped without closing, on a live runtime: the folder is free again in a moment.
        let third = open().await.unwrap();
        assert!(
            third.describe().ends_with(".pipeline/warehouse"),
            "{}",
            third.describe()
        );
        assert_eq!(
            std::fs::read_to_string(root.path().join(".pipeline/.gitignore")).unwrap(),
            "*\n"
        );
    }
}
