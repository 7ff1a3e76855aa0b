//! Opens one connection: tries the hosts in turn, with the protection that `sslmode` asks for. Notices from the
//! server are dropped unread, since one may quote a value.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rand::seq::SliceRandom;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode as Negotiation;
use tokio_postgres::tls::{NoTls, TlsStream};
use tokio_postgres::{Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::config;
use super::protection::SslMode;
use super::server::Server;
use super::session::{granted, setup};
use super::tls;
use crate::error::{Code, Error, Result};
use crate::warehouse::sql::{ClientFailure, client_failure, describe, sqlstate};

/// The oldest major version of PostgreSQL that is supported. It is the oldest that still gets fixes.
const OLDEST: u32 = 14;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes connections to one database.
pub(super) struct Dialer {
    routes: Vec<Route>,
    shuffle: bool,
    /// Attempts after the first one.
    retries: u32,
    /// The database's name for messages, without secrets.
    name: String,
    user: String,
    /// No sslmode was given, so verify-full applies to hosts on other machines.
    strict_by_default: bool,
    setup: String,
    setup_plain: String,
    version: OnceLock<String>,
    encoding: OnceLock<String>,
}

struct Route {
    config: Config,
    mode: SslMode,
    tls: Option<MakeRustlsConnect>,
    /// The statements for the settings that the first session was allowed to set; see [`super::session`].
    granted: OnceLock<String>,
}

impl Dialer {
    /// Makes a dialer for a server. It reads the certificates but connects to nothing yet.
    pub(super) fn to_server(server: &Server) -> Result<Self> {
        let routes = server
            .targets
            .iter()
            .map(|target| {
                let mode = server.mode(target);
                let tls = match mode {
                    SslMode::Disable => None,
                    mode => Some(MakeRustlsConnect::new(tls::client_config(mode, &server.tls)?)),
                };
                Ok(Route {
                    config: config(server, target),
                    mode,
                    tls,
                    granted: OnceLock::new(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            routes,
            shuffle: server.shuffle,
            strict_by_default: server.tls.mode.is_none(),
            user: server.user.clone(),
            ..Self::new(server.describe(), server.options.as_deref())
        })
    }

    /// Makes a dialer for the embedded database, which serves this process only.
    pub(super) fn to_embedded(config: Config, name: String) -> Self {
        let route = Route {
            config,
            mode: SslMode::Disable,
            tls: None,
            granted: OnceLock::new(),
        };
        Self {
            routes: vec![route],
            // The embedded database serves one session at a time. It resets a new connection while it is still ending
            // the last session, as after a COPY that was broken off.
            retries: 40,
            ..Self::new(name, None)
        }
    }

    fn new(name: String, options: Option<&str>) -> Self {
        Self {
            routes: Vec::new(),
            shuffle: false,
            retries: 0,
            name,
            user: String::new(),
            strict_by_default: false,
            setup: setup(options, true),
            setup_plain: setup(options, false),
            version: OnceLock::new(),
            encoding: OnceLock::new(),
        }
    }

    /// `host:port/database`, without secrets.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Opens a session with this program's settings.
    pub(super) async fn dial(&self) -> Result<Client, tokio_postgres::Error> {
        for _ in 0..self.retries {
            match self.dial_once().await {
                Err(error) if error.code().is_none() => tokio::time::sleep(PAUSE).await,
                dialled => return dialled,
            }
        }
        self.dial_once().await
    }

    async fn dial_once(&self) -> Result<Client, tokio_postgres::Error> {
        let mut order: Vec<&Route> = self.routes.iter().collect();
        if self.shuffle {
            order.shuffle(&mut rand::rng());
        }
        let mut last = None;
        for route in order {
            match self.dial_route(route).await {
                Ok(client) => return Ok(client),
                Err(error) => last = Some(error),
            }
        }
        // Every database has a route. Without one, tokio-postgres names what is missing.
        match last {
            Some(error) => Err(error),
            None => open(&Config::new(), None).await.map(|(client, _)| client),
        }
    }

    async fn dial_route(&self, route: &Route) -> Result<Client, tokio_postgres::Error> {
        let plain = route.mode <= SslMode::Allow;
        let opened = match self.attempt(route, !plain).await {
            Err(error) if matches!(route.mode, SslMode::Allow | SslMode::Prefer) && other_way(&error) => {
                self.attempt(route, plain).await.map_err(|_| error)
            }
            opened => opened,
        };
        let client = opened?;
        self.set_up(&client, &route.granted).await?;
        Ok(client)
    }

    async fn set_up(&self, client: &Client, known: &OnceLock<String>) -> Result<(), tokio_postgres::Error> {
        if let Some(granted) = known.get() {
            match client.batch_execute(granted).await {
                // A right that the first session had may have been revoked since.
                Err(error) if !error.is_closed() => {}
                done => return done,
            }
        }
        match client.simple_query(&self.setup).await {
            Ok(said) => {
                let _ = known.set(format!("{}{}", self.setup_plain, granted(&said)));
                Ok(())
            }
            Err(error) if error.is_closed() => Err(error),
            // Without PL/pgSQL, there is no way to try a setting that may be refused.
            Err(_) => client.batch_execute(&self.setup_plain).await,
        }
    }

    async fn attempt(&self, route: &Route, encrypted: bool) -> Result<Client, tokio_postgres::Error> {
        let mut config = route.config.clone();
        let tls = route.tls.clone().filter(|_| encrypted);
        config.ssl_mode(match (tls.is_some(), route.mode) {
            (false, _) => Negotiation::Disable,
            (true, SslMode::Prefer) => Negotiation::Prefer,
            (true, _) => Negotiation::Require,
        });
        let (client, told) = open(&config, tls).await?;
        if let Some(version) = told.version {
            let _ = self.version.set(version);
        }
        if let Some(encoding) = told.encoding {
            let _ = self.encoding.set(encoding);
        }
        Ok(client)
    }

    /// Refuses a server that is too old. It sends nothing: the server told its version on connecting.
    pub(super) fn check_version(&self) -> Result<()> {
        let Some(version) = self.version.get() else {
            return Ok(());
        };
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        match digits.parse::<u32>() {
            Ok(major) if major < OLDEST => Err(Error::unreachable(format!(
                "the database at {} is PostgreSQL {version}",
                self.name
            ))
            .hint(format!("PostgreSQL {OLDEST} or newer is needed"))),
            _ => Ok(()),
        }
    }

    /// Refuses a database that can't hold every text, which the server told on connecting, too.
    pub(super) fn check_encoding(&self) -> Result<()> {
        match self.encoding.get() {
            Some(encoding) if encoding != "UTF8" => Err(Error::project(format!(
                "the database {} has the encoding {encoding}, and UTF8 is needed",
                self.name
            ))
            .hint("make another: CREATE DATABASE ... ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0")),
            _ => Ok(()),
        }
    }

    /// Why there is no connection, and what to do about it.
    pub(super) fn explain(&self, error: &tokio_postgres::Error) -> Error {
        let cause = describe(error);
        match sqlstate(error) {
            Some("3D000") => Error::unreachable(format!("there is no such database: {}", self.name))
                .hint("create it (createdb), or name another"),
            Some("28000" | "28P01") => self.refused(&cause),
            _ if client_failure(error) == ClientFailure::Login => self.refused(&cause),
            _ if client_failure(error) == ClientFailure::Tls => {
                Error::unreachable(format!("no encrypted connection to the database at {}", self.name))
                    .cause(cause)
                    .hint(if self.strict_by_default {
                        "a host other than this machine must prove who it is (sslmode=verify-full); name its \
                         authority with sslrootcert=/path/ca.crt, or ask for less: sslmode=require encrypts without \
                         checking, sslmode=disable does not encrypt"
                    } else {
                        "check sslmode, sslrootcert, and that the certificate is for this host's name"
                    })
            }
            _ => Error::unreachable(format!("can't reach the database at {}", self.name))
                .cause(cause)
                .hint("check that the server runs and listens there, and the host and port given"),
        }
    }

    fn refused(&self, cause: &str) -> Error {
        Error::unreachable(format!("the database at {} refuses the user {}", self.name, self.user))
            .code(Code::DatabaseRefused)
            .cause(cause)
            .hint("check PGUSER and PGPASSWORD (or ~/.pgpass), and the server's pg_hba.conf")
    }
}

/// Opens connections for deadpool, whose own configuration is only a placeholder.
pub(super) struct PoolDialer(pub Arc<Dialer>);

impl deadpool_postgres::Connect for PoolDialer {
    fn connect(
        &self,
        _config: &Config,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>>
    {
        Box::pin(async {
            let client = self.0.dial().await?;
            // The pool aborts its task when the client is dropped. The real task must outlive that to end the session
            // properly.
            Ok((client, tokio::spawn(async {})))
        })
    }
}

/// What a server says of itself when a session begins.
struct Told {
    version: Option<String>,
    encoding: Option<String>,
}

fn told<S, T>(connection: &tokio_postgres::Connection<S, T>) -> Told
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: TlsStream + Unpin,
{
    let parameter = |name| connection.parameter(name).map(str::to_owned);
    Told {
        version: parameter("server_version"),
        encoding: parameter("server_encoding"),
    }
}

/// A connection and what the server says of itself.
async fn open(config: &Config, tls: Option<MakeRustlsConnect>) -> Result<(Client, Told), tokio_postgres::Error> {
    match tls {
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            let told = told(&connection);
            drive(connection);
            Ok((client, told))
        }
        Some(tls) => {
            let (client, connection) = config.connect(tls).await?;
            let told = told(&connection);
            drive(connection);
            Ok((client, told))
        }
    }
}

fn drive<T>(mut connection: tokio_postgres::Connection<Socket, T>)
where
    T: TlsStream + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let Err(error) = message {
                tracing::debug!(error = describe(&error), "a database connection ended");
                break;
            }
        }
    });
}

/// Whether a server that refused an encrypted connection may accept a plain one, or the other way round.
fn other_way(error: &tokio_postgres::Error) -> bool {
    sqlstate(error) == Some("28000") || client_failure(error) == ClientFailure::Tls
}
