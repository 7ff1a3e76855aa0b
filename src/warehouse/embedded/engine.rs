//! The only file that knows pglite-oxide, the PostgreSQL that runs in this process.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pglite_oxide::PgliteServer;
use tokio_postgres::Config;

use super::socket::{Endpoint, SOCKET};
use crate::error::{Error, Result};

/// How long to wait for the engine's own lock of the folder. The engine may free it a moment after the folder lock is
/// free.
const PATIENCE: Duration = Duration::from_secs(3);
const USER: &str = "postgres";
const DATABASE: &str = "postgres";

/// The server's thread. It is joined on drop.
pub(super) struct Engine {
    _server: PgliteServer,
}

impl Engine {
    pub(super) fn start(dir: Option<&Path>, endpoint: &Endpoint) -> Result<(Self, Config)> {
        #[cfg(unix)]
        if let Some(folder) = cache(|name| std::env::var_os(name).map(PathBuf::from)) {
            close(&folder);
        }
        let deadline = Instant::now() + PATIENCE;
        let server = loop {
            let builder = PgliteServer::builder().username(USER).database(DATABASE);
            let builder = match dir {
                Some(dir) => builder.path(dir),
                None => builder.temporary().relaxed_durability(true),
            };
            let builder = match endpoint {
                #[cfg(unix)]
                Endpoint::Socket(folder) => builder.unix(folder.join(SOCKET)),
                Endpoint::Port => builder.tcp(([127, 0, 0, 1], 0).into()),
            };
            match builder.start() {
                Ok(server) => break server,
                Err(error) => {
                    let failure = EngineFailure(error.into());
                    if !failure.is_busy() || Instant::now() >= deadline {
                        return Err(Error::unreachable("the embedded database did not start")
                            .cause(failure.to_string())
                            .hint("name a PostgreSQL server by --database-url or DATABASE_URL instead"));
                    }
                    std::thread::sleep(Duration::from_millis(50));
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

/// The folder in which pglite-oxide keeps its program in machine code, which the next run executes (its source,
/// `pglite/aot.rs`, `cache_path`; the crate directories, `ProjectDirs::cache_dir`, on Linux).
#[cfg(unix)]
fn cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let given = variable("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
    let folder = given.or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(folder.join("pglite-oxide"))
}

/// Lets nobody else write there, whatever the umask says. One that can't be closed belongs to somebody else, who decides.
#[cfg(unix)]
fn close(folder: &Path) {
    use std::fs::{DirBuilder, Permissions, metadata, set_permissions};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    let closed = match metadata(folder) {
        Ok(found) if found.permissions().mode() & 0o022 == 0 => Ok(()),
        Ok(_) => set_permissions(folder, Permissions::from_mode(0o700)),
        Err(_) => DirBuilder::new().recursive(true).mode(0o700).create(folder),
    };
    if let Err(error) = closed {
        tracing::debug!(%error, "the folder of the embedded database's program can't be closed");
    }
}

/// An error of the engine. Its text names all causes.
#[derive(Debug)]
struct EngineFailure(Box<dyn StdError + Send + Sync>);

impl EngineFailure {
    fn chain(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let first: &(dyn StdError + 'static) = &*self.0;
        std::iter::successors(Some(first), |error| (**error).source())
    }

    /// Whether another engine still holds the folder. pglite-oxide (0.5.1) gives its errors no kind, so only the text
    /// tells a busy folder from a broken one (its source, `pglite/base.rs`, `RootLock::acquire`). A test compares it.
    fn is_busy(&self) -> bool {
        self.chain()
            .any(|error| error.to_string().starts_with("PGlite root is already in use:"))
    }
}

impl fmt::Display for EngineFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.chain().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { ": " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn nobody_else_writes_the_program_that_runs() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let folder = cache(|name| (name == "HOME").then(|| home.path().to_owned())).unwrap();
        assert_eq!(folder, home.path().join(".cache/pglite-oxide"));
        let other = cache(|name| (name != "HOME").then(|| "/c".into())).unwrap();
        assert_eq!(other, Path::new("/c/pglite-oxide"));
        let mode = || std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
        let set = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        close(&folder);
        assert_eq!(mode(), 0o700);
        for (before, after) in [(0o755, 0o755), (0o777, 0o700), (0o775, 0o700)] {
            set(before);
            close(&folder);
            assert_eq!(mode(), after);
        }
    }

    fn failure(dir: &Path) -> EngineFailure {
        let started = PgliteServer::builder().path(dir).start();
        EngineFailure(started.err().unwrap().into())
    }

    #[test]
    fn a_folder_that_is_held_is_told_from_a_broken_one() {
        let root = tempfile::tempdir().unwrap();
        let held = root.path().join("held");
        std::fs::create_dir(&held).unwrap();
        let lock = File::create(held.join(".pglite-oxide.lock")).unwrap();
        lock.lock().unwrap();
        let busy = failure(&held);
        assert!(busy.is_busy(), "{busy}");
        let no_folder = root.path().join("file");
        File::create(&no_folder).unwrap();
        let broken = failure(&no_folder);
        assert!(!broken.is_busy(), "{broken}");
    }
}
