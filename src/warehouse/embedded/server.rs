//! A running embedded database. It takes one connection at a time and one process per folder, and listens on a socket
//! that only this user can reach (only `serve` opens a port).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::engine::Engine;
use super::folder_lock::FolderLock;
use super::socket::{Endpoint, PrivateFolder};
use crate::error::{Error, Result};
use crate::workspace::{private_folder, refuse_links};

/// A running embedded database, shut down on drop.
pub struct Embedded {
    running: Mutex<Option<Running>>,
    config: Config,
    name: String,
}

/// What must live as long as the database. Fields drop in this order, so the lock is freed last.
struct Running {
    _engine: Engine,
    _folder: Option<PrivateFolder>,
    lock: Option<FolderLock>,
}

impl Embedded {
    /// Starts the database of a folder. Without a folder, the data is deleted when the database is dropped.
    pub async fn start(dir: Option<PathBuf>) -> Result<Self> {
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(dir.as_deref())).await;
        started.map_err(|error| Error::unreachable("the embedded database did not start").cause(error))?
    }

    fn start_blocking(dir: Option<&Path>) -> Result<Self> {
        let lock = match dir {
            None => None,
            Some(dir) => {
                make_private(dir)?;
                Some(FolderLock::take(dir)?)
            }
        };
        let (endpoint, folder) = Endpoint::choose(dir)?;
        let (engine, config) = Engine::start(dir, &endpoint)?;
        let running = Running {
            _engine: engine,
            _folder: folder,
            lock,
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

    pub fn config(&self) -> Config {
        self.config.clone()
    }

    pub fn describe(&self) -> &str {
        &self.name
    }

    /// The user and the database that a client names.
    pub(super) fn user_and_database(&self) -> (&str, &str) {
        let (user, database) = (self.config.get_user(), self.config.get_dbname());
        (user.unwrap_or_default(), database.unwrap_or_default())
    }

    /// A raw connection, for a client that speaks the protocol itself.
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
    pub async fn stop(&self) {
        let running = self.take();
        let stopped = tokio::task::spawn_blocking(move || drop(running)).await;
        if let Err(error) = stopped {
            tracing::warn!(%error, "the embedded database did not shut down in order");
        }
    }

    fn take(&self) -> Option<Running> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lock) = running.as_ref().and_then(|running| running.lock.as_ref()) {
            lock.leave();
        }
        running
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Shutting down waits for the client, whose task may run on this thread, so another thread does it.
        if let Some(running) = self.take() {
            std::thread::spawn(move || drop(running));
        }
    }
}

/// A connection to the database.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

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
    refuse_links(parent)?;
    private_folder(parent).map_err(|error| failed(parent, error))?;
    let ignore = parent.join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, "*\n").map_err(|error| failed(&ignore, error))?;
    }
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))
}
