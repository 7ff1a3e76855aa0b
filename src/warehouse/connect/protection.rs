//! How a connection is protected: `sslmode` and the files that belong to it.

use std::path::PathBuf;
use std::str::FromStr;

use super::conninfo::Params;
use super::environment::{Environment, home};
use super::values::one_of;
use crate::error::{Error, Result};

/// libpq's `sslmode` (PostgreSQL manual, "SSL Support"), weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err(()),
        })
    }
}

/// The certificates, and how strictly the server's certificate is checked.
#[derive(Debug, Clone)]
pub(super) struct TlsSettings {
    /// `None` where no mode was given. It then depends on where the host is.
    pub mode: Option<SslMode>,
    /// `None` for the platform's own authorities.
    pub root: Option<PathBuf>,
    /// The client's certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The TLS handshake comes first, without asking the server (PostgreSQL 17's `sslnegotiation=direct`).
    pub direct: bool,
}

/// Reads the settings from the parameters. Where those name no file, libpq's usual places are used.
pub(super) fn read(params: &Params, environment: Environment<'_>) -> Result<TlsSettings> {
    let folder = home(environment).map(|home| home.join(".postgresql"));
    let given_or_default = |keyword: &str, file: &str| {
        let default = || {
            folder
                .as_ref()
                .map(|folder| folder.join(file))
                .filter(|path| path.exists())
        };
        params.get(keyword).map(PathBuf::from).or_else(default)
    };
    let mut mode = match params.get("sslmode") {
        None => None,
        Some(text) => Some(text.parse::<SslMode>().map_err(|()| {
            Error::project("sslmode of the database connection is not known")
                .hint("it is one of disable, allow, prefer, require, verify-ca, verify-full")
        })?),
    };
    let mut root = given_or_default("sslrootcert", "root.crt");
    if root.as_ref().is_some_and(|root| root.as_os_str() == "system") {
        root = None;
        // As in libpq: a public authority only vouches for a host's name, so the name must be checked.
        if mode.is_some_and(|mode| mode != SslMode::VerifyFull) {
            return Err(Error::project("sslrootcert=system goes with sslmode=verify-full only"));
        }
        mode = Some(SslMode::VerifyFull);
    }
    let client = match (
        given_or_default("sslcert", "postgresql.crt"),
        given_or_default("sslkey", "postgresql.key"),
    ) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(Error::project("a client certificate needs both sslcert and sslkey")),
    };
    let direct = one_of(
        params,
        "sslnegotiation",
        &[("postgres", false), ("direct", true)],
        false,
    )?;
    if direct && mode.is_some_and(|mode| mode < SslMode::Require) {
        return Err(Error::project(
            "sslnegotiation=direct needs sslmode=require or stronger",
        ));
    }
    Ok(TlsSettings {
        mode,
        root,
        client,
        direct,
    })
}
