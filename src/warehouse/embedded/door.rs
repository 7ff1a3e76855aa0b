//! Where `serve-db` lets clients in: a port of this machine, or a socket in a folder that only this user may enter.

use std::path::Path;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use super::server::Stream;
use crate::error::{Error, Result};
#[cfg(unix)]
use crate::workspace::private_folder;

/// What `serve-db` opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// A port of the loopback address; 0 is any free one.
    Port(u16),
    /// A socket in `.pipeline/socket`.
    Socket,
}

/// What is open.
pub(super) enum Door {
    Port(TcpListener, u16),
    #[cfg(unix)]
    Socket(UnixListener, std::path::PathBuf),
}

/// The number in a socket's name, which stands for a port.
#[cfg(unix)]
const NUMBER: u16 = 5432;

impl Door {
    pub async fn port(port: u16) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::unreachable(format!("port {port} of this machine can't be opened"))
                .cause(error)
                .hint("name another by --port; 0 takes any that is free")
        };
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self::Port(listener, port))
    }

    /// The caller holds the lock of the database, so a socket that is there is one of a dead process.
    #[cfg(unix)]
    pub fn socket(root: &Path) -> Result<Self> {
        let folder = root.join(".pipeline").join("socket");
        let failed = |error: std::io::Error| {
            Error::unreachable(format!("no socket can be opened in {}", folder.display()))
                .cause(error)
                .hint("a path of a socket may have about 100 bytes; without --socket a port is opened")
        };
        private_folder(&folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let socket = folder.join(format!(".s.PGSQL.{NUMBER}"));
        if let Err(error) = std::fs::remove_file(&socket)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(failed(error));
        }
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        Ok(Self::Socket(listener, socket))
    }

    #[cfg(not(unix))]
    pub fn socket(_root: &Path) -> Result<Self> {
        Err(Error::project("there are no sockets on this system").hint("leave --socket out: a port is opened"))
    }

    /// Whether other users of this machine can reach it.
    pub fn is_open_to_others(&self) -> bool {
        matches!(self, Self::Port(..))
    }

    /// The URL for a client.
    pub fn url(&self, (user, database): (&str, &str), password: Option<&str>) -> String {
        let password = password.map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgresql://{user}{password}@{}", self.address(database))
    }

    fn address(&self, database: &str) -> String {
        match self {
            Self::Port(_, port) => format!("127.0.0.1:{port}/{database}?sslmode=disable"),
            #[cfg(unix)]
            Self::Socket(_, socket) => {
                let folder = socket.parent().map(|folder| encoded(&folder.to_string_lossy()));
                format!("/{database}?host={}&port={NUMBER}", folder.unwrap_or_default())
            }
        }
    }

    pub async fn accept(&self) -> std::io::Result<Box<dyn Stream + Send>> {
        Ok(match self {
            Self::Port(listener, _) => Box::new(listener.accept().await?.0),
            #[cfg(unix)]
            Self::Socket(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Self::Socket(_, socket) = self {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// A path as the value of a URL's parameter.
#[cfg(unix)]
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let one = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    path.bytes().map(one).collect()
}
