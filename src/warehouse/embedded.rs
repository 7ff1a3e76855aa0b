//! The database of a project that names none: PostgreSQL compiled to WebAssembly, run inside this process. It takes
//! one connection at a time and one process per folder, and listens on a socket that only this user can reach
//! (`serve` alone opens a port).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::holder::{Holder, is_running};
use super::serve::Stream;
use crate::error::{Error, Result};
use crate::workspace::private_folder;

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
    /// Starts the database of a folder, or one that is gone afterwards.
    pub(super) async fn start(dir: Option<PathBuf>) -> Result<Self> {
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(dir.as_deref())).await;
        started.map_err(|error| Error::unreachable("the embedded database did not start").cause(error))?
    }

    fn start_blocking(dir: Option<&Path>) -> Result<Self> {
        let holder = match dir {
            None => None,
            Some(dir) => {
                make_private(dir)?;
                Some(Holder::take(dir)?)
            }
        };
        let (endpoint, folder) = Endpoint::choose(dir)?;
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

    /// For a client of a port that leads here; without secrets, since there are none.
    pub(super) fn url(&self, port: u16) -> String {
        let (user, database) = (self.config.get_user(), self.config.get_dbname());
        format!(
            "postgresql://{}@127.0.0.1:{port}/{}?sslmode=disable",
            user.unwrap_or_default(),
            database.unwrap_or_default()
        )
    }

    /// A bare connection, for who speaks the protocol.
    pub(super) async fn dial(&self) -> std::io::Result<Box<dyn Stream + Send>> {
        let port = self.config.get_ports().first().copied().unwrap_or_default();
        match self.config.get_hosts().first() {
            #[cfg(unix)]
            Some(Host::Unix(folder)) => Ok(Box::new(
                tokio::net::UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?,
            )),
            Some(Host::Tcp(name)) => Ok(Box::new(tokio::net::TcpStream::connect((name.as_str(), port)).await?)),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
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
    /// Any free port of the loopback address, where there is no socket.
    Port,
}

impl Endpoint {
    /// A socket beside the database where its path is short enough for one, else in a folder of our own.
    #[cfg(unix)]
    fn choose(dir: Option<&Path>) -> Result<(Self, Option<PrivateFolder>)> {
        // sockaddr_un holds 104 bytes on macOS, 108 on Linux.
        let fits = |folder: &Path| folder.join(SOCKET).as_os_str().len() < 100;
        if let Some(folder) = dir.and_then(Path::parent).filter(|folder| fits(folder)) {
            return Ok((Self::Socket(folder.to_owned()), None));
        }
        let folder = PrivateFolder::new()?;
        if fits(&folder.0) {
            return Ok((Self::Socket(folder.0.clone()), Some(folder)));
        }
        Ok((Self::Port, None))
    }

    #[cfg(not(unix))]
    fn choose(_dir: Option<&Path>) -> Result<(Self, Option<PrivateFolder>)> {
        Ok((Self::Port, None))
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
        let parent = std::env::temp_dir();
        Self::sweep(&parent);
        let path = parent.join(format!(
            "pipeline-{}-{:016x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        // Fails where the name exists, so that nobody can lay it out for us.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::batch(format!("no folder can be made at {}", path.display())).cause(error))?;
        Ok(Self(path))
    }

    /// Removes what processes that were killed have left; another user's can't be.
    #[cfg(unix)]
    fn sweep(parent: &Path) {
        let is_left = |name: &str| {
            let (process, random) = name.strip_prefix("pipeline-")?.split_once('-')?;
            let process: u32 = process.parse().ok()?;
            Some(random.len() == 16 && !is_running(process))
        };
        // A process in another container may share the folder and not be seen.
        let is_old = |entry: &std::fs::DirEntry| {
            let age = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .map(|time| time.elapsed());
            age.is_ok_and(|age| age.is_ok_and(|age| age > std::time::Duration::from_hours(24)))
        };
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().to_str().and_then(is_left) == Some(true) && is_old(&entry) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
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
    private_folder(parent).map_err(|error| failed(parent, error))?;
    let ignore = parent.join(".gitignore");
    if !ignore.exists() {
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
    const DATABASE: &str = "postgres";

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
                    Endpoint::Port => builder.tcp(([127, 0, 0, 1], 0).into()),
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
                (Endpoint::Port, None) => {}
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

    /// Not a test of its own: the process that the next one kills.
    #[tokio::test(flavor = "multi_thread")]
    async fn held_by_a_child() {
        let Ok(dir) = std::env::var("PIPELINE_TEST_HOLD") else {
            return;
        };
        let warehouse = Warehouse::open(Database::Embedded { dir: dir.into() }, 1)
            .await
            .unwrap();
        let mut connection = warehouse.acquire().await.unwrap();
        connection
            .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
            .await
            .unwrap();
        let open = connection.transaction().await.unwrap();
        open.batch_execute("INSERT INTO t SELECT generate_series(2, 1000)")
            .await
            .unwrap();
        eprintln!("held");
        tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_committed_survives_a_kill() {
        use std::io::BufRead;
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join(".pipeline").join("warehouse");
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "warehouse::embedded::tests::held_by_a_child", "--nocapture"])
            .env("PIPELINE_TEST_HOLD", &dir)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"));
        let open = || Warehouse::open(Database::Embedded { dir: dir.clone() }, 1);
        let refused = open().await.err().unwrap();
        assert!(
            refused.message.ends_with(&format!("(process {})", child.id())),
            "{refused}"
        );
        child.kill().unwrap();
        let warehouse = open().await.unwrap();
        child.wait().unwrap();
        let row = warehouse
            .acquire()
            .await
            .unwrap()
            .query_one("SELECT count(*) FROM t", &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), 1);
    }

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
