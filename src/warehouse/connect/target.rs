//! The hosts of a server in the order in which they are tried: names, addresses, sockets and ports.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::conninfo::Params;
use super::passfile::Secret;
use crate::error::{Error, Result};

const DEFAULT_PORT: u16 = 5432;
/// The folders in which common distributions put the server's socket.
const SOCKET_FOLDERS: &[&str] = &["/var/run/postgresql", "/tmp"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// The certificate is checked for `name`. The connection goes to `address`, where it is given.
    Tcp { name: String, address: Option<IpAddr> },
    /// The folder of the socket.
    Socket(PathBuf),
}

/// One host of the list.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub host: Host,
    pub port: u16,
    pub password: Option<Secret>,
}

impl Host {
    /// Whether it is on this machine.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Tcp {
                address: Some(address), ..
            } => address.is_loopback(),
            Self::Tcp { name, address: None } => {
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// The host as a password file names it: a socket in its usual folder is `localhost`.
    pub(super) fn in_passfile(&self) -> String {
        let usual = |folder: &Path| SOCKET_FOLDERS.iter().any(|usual| folder.as_os_str() == *usual);
        match self {
            Self::Tcp { name, .. } => name.clone(),
            Self::Socket(folder) if usual(folder) => "localhost".to_owned(),
            Self::Socket(folder) => folder.display().to_string(),
        }
    }
}

/// The hosts that the parameters name, or the local one. Passwords are looked up later.
pub(super) fn targets(params: &Params) -> Result<Vec<Target>> {
    let list = |keyword: &str| -> Vec<String> {
        params
            .get(keyword)
            .map(|text| text.split(',').map(|part| part.trim().to_owned()).collect())
            .unwrap_or_default()
    };
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = names.len().max(addresses.len()).max(1);
    let fits = |length: usize| length == 0 || length == count;
    if !fits(names.len()) || !fits(addresses.len()) || !(fits(ports.len()) || ports.len() == 1) {
        return Err(
            Error::project("the database connection names different numbers of hosts, addresses and ports")
                .hint("give one port, or as many ports as hosts"),
        );
    }
    (0..count)
        .map(|index| {
            let port = match ports
                .get(index)
                .or_else(|| ports.first())
                .filter(|port| !port.is_empty())
            {
                None => DEFAULT_PORT,
                Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                    Error::project("the port of the database connection is no number from 1 to 65535")
                })?,
            };
            let name = names.get(index).map_or("", String::as_str);
            let address = addresses.get(index).map_or("", String::as_str);
            Ok(Target {
                host: host(name, address, port)?,
                port,
                password: None,
            })
        })
        .collect()
}

fn host(name: &str, address: &str, port: u16) -> Result<Host> {
    let parsed = if address.is_empty() {
        None
    } else {
        Some(address.parse::<IpAddr>().map_err(|_| {
            Error::project("hostaddr of the database connection is no IP address").hint("a name goes into host")
        })?)
    };
    Ok(match (name, parsed) {
        ("", Some(address)) => Host::Tcp {
            name: address.to_string(),
            address: Some(address),
        },
        ("", None) => default_host(port),
        (name, address) if !name.starts_with('/') => Host::Tcp {
            name: name.to_owned(),
            address,
        },
        (_, _) if cfg!(not(unix)) => {
            return Err(Error::project(
                "the database's host is a socket, which this platform has not",
            ));
        }
        (folder, _) => Host::Socket(PathBuf::from(folder)),
    })
}

/// The default host, as in libpq: the local socket, or the loopback address where there is no socket.
fn default_host(port: u16) -> Host {
    let socket = SOCKET_FOLDERS
        .iter()
        .map(PathBuf::from)
        .find(|dir| dir.join(format!(".s.PGSQL.{port}")).exists());
    match socket {
        Some(folder) if cfg!(unix) => Host::Socket(folder),
        _ => Host::Tcp {
            name: "localhost".to_owned(),
            address: None,
        },
    }
}
