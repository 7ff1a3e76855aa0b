//! One connection: the hosts in turn, the protection that `sslmode` asks for, and the settings that every session of
//! ours has. Notices are dropped unread, since one may quote a value.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rand::seq::SliceRandom;
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode as Negotiation, SslNegotiation};
use tokio_postgres::tls::{NoTls, TlsStream};
use tokio_postgres::{Client, Config, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{describe, sqlstate};
use super::server::{Server, SslMode};
use super::sql::ident;
use super::target::{Host, Target};
use super::tls;
use crate::error::{Error, Result};

/// The oldest server that is served: its releases still get fixes.
const OLDEST: u32 = 14;

/// What every session of ours has, so that results and locks do not depend on how a role or a server is set up.
const SETTINGS: &[(&str, &str)] = &[
    ("client_min_messages", "warning"),
    ("search_path", "public"),
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    // A long COPY or index build is no runaway, and a connection that holds a lease idles by design.
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    // Whoever waits for a lock makes others wait behind it.
    ("lock_timeout", "30s"),
];

/// What is set where the role may: the server's log should hold no value of a row, and a process that was killed
/// should not hold its locks until its statement ends.
const WISHES: &[(&str, &str)] = &[
    ("log_error_verbosity", "terse"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
    ("client_connection_check_interval", "2s"),
];

/// A setting of our own, in which a session tells which wishes came true.
const GRANTED: &str = "pipeline.granted";

/// A role that can't log in and owns the schema `pipeline` is there to be assumed (`pipeline roles` makes it): what its
/// members make is then its own, whoever of them made it. Whoever is no member stays who he is.
const ASSUME_OWNER: &str = "PERFORM pg_catalog.set_config('role', r.rolname, false) \
    FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner \
    WHERE n.nspname = 'pipeline' AND NOT r.rolcanlogin AND pg_catalog.pg_has_role(r.oid, 'MEMBER')";

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes connections to one database.
pub(super) struct Dialer {
    routes: Vec<Route>,
    shuffle: bool,
    /// Attempts after the first.
    retries: u32,
    /// Without secrets, for messages.
    name: String,
    user: String,
    /// Nobody named an sslmode, so that verify-full came by itself for hosts elsewhere.
    strict_by_default: bool,
    setup: String,
    setup_plain: String,
    version: OnceLock<String>,
}

struct Route {
    config: Config,
    mode: SslMode,
    tls: Option<MakeRustlsConnect>,
    /// What the first session was granted, as statements: for the server a tenth of the work of asking again.
    granted: OnceLock<String>,
}

impl Dialer {
    /// Reads the certificates; connects to nothing yet.
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

    /// To the embedded database, which listens for this process alone.
    pub(super) fn to_embedded(config: Config, name: String) -> Self {
        let route = Route {
            config,
            mode: SslMode::Disable,
            tls: None,
            granted: OnceLock::new(),
        };
        Self {
            routes: vec![route],
            // It serves one session at a time, and resets whoever comes while it still ends the one before, as after a
            // COPY that was broken off.
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
        }
    }

    /// host:port/database; no secret.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A session with our settings.
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
        // Every database has a route; without one, tokio-postgres names what is missing.
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
                // What was granted once may have been taken back.
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
            // Without PL/pgSQL there is no way to ask for what may be refused.
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
        let (client, version) = open(&config, tls).await?;
        if let Some(version) = version {
            let _ = self.version.set(version);
        }
        Ok(client)
    }

    /// Refuses a server that is too old; asks nothing of it, since it told its version on connecting.
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

    /// Why there is no connection, and what to do about it.
    pub(super) fn explain(&self, error: &tokio_postgres::Error) -> Error {
        let text = error.to_string();
        let cause = describe(error);
        let refused = text == "authentication error" || text == "invalid configuration";
        match sqlstate(error) {
            Some("3D000") => Error::unreachable(format!("there is no such database: {}", self.name))
                .hint("create it (createdb), or name another"),
            Some("28000" | "28P01") => self.refused(&cause),
            _ if refused => self.refused(&cause),
            _ if text == "error performing TLS handshake" => {
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
            .cause(cause)
            .hint("check PGUSER and PGPASSWORD (or ~/.pgpass), and the server's pg_hba.conf")
    }
}

/// As deadpool asks for a connection; the configuration it hands over is a placeholder.
pub(super) struct PoolDialer(pub Arc<Dialer>);

impl deadpool_postgres::Connect for PoolDialer {
    fn connect(
        &self,
        _config: &Config,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>>
    {
        Box::pin(async {
            let client = self.0.dial().await?;
            // The pool aborts the task it is given when the client goes; ours must live on to say goodbye.
            Ok((client, tokio::spawn(async {})))
        })
    }
}

/// A connection and the server's version.
async fn open(
    config: &Config,
    tls: Option<MakeRustlsConnect>,
) -> Result<(Client, Option<String>), tokio_postgres::Error> {
    match tls {
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            let version = connection.parameter("server_version").map(str::to_owned);
            drive(connection);
            Ok((client, version))
        }
        Some(tls) => {
            let (client, connection) = config.connect(tls).await?;
            let version = connection.parameter("server_version").map(str::to_owned);
            drive(connection);
            Ok((client, version))
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

/// Whether a server that refused with or without encryption may accept the other.
fn other_way(error: &tokio_postgres::Error) -> bool {
    sqlstate(error) == Some("28000") || error.to_string() == "error performing TLS handshake"
}

fn config(server: &Server, target: &Target) -> Config {
    let mut config = Config::new();
    config
        .user(&server.user)
        .dbname(&server.database)
        .application_name(&server.application_name)
        .port(target.port)
        .target_session_attrs(server.session)
        .channel_binding(server.channel_binding)
        .keepalives(server.keepalives.on)
        .keepalives_idle(server.keepalives.idle)
        .keepalives_interval(server.keepalives.interval)
        .keepalives_retries(server.keepalives.count);
    match &target.host {
        Host::Tcp { name, address } => {
            config.host(name);
            if let Some(address) = address {
                config.hostaddr(*address);
            }
        }
        Host::Socket(folder) => {
            socket_host(&mut config, folder);
        }
    }
    if let Some(password) = &target.password {
        config.password(password.reveal());
    }
    if let Some(options) = &server.options {
        config.options(options);
    }
    if let Some(timeout) = server.connect_timeout {
        config.connect_timeout(timeout);
    }
    if let Some(timeout) = server.keepalives.user_timeout {
        config.tcp_user_timeout(timeout);
    }
    if server.tls.direct {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    config
}

#[cfg(unix)]
pub(super) fn socket_host(config: &mut Config, folder: &Path) {
    config.host_path(folder);
}

#[cfg(not(unix))]
pub(super) fn socket_host(config: &mut Config, folder: &Path) {
    config.host(folder.display().to_string());
}

/// The statements for all settings; what the user's PGOPTIONS name stays theirs. With wishes, the last one tells which of
/// them came true.
fn setup(options: Option<&str>, wishes: bool) -> String {
    let ours = |name: &str| !options.is_some_and(|options| options.to_ascii_lowercase().contains(name));
    let mut sql = String::new();
    for (name, value) in SETTINGS.iter().filter(|(name, _)| ours(name)) {
        let _ = write!(sql, "{}; ", set(name, value));
    }
    if wishes {
        // A setting that has the wished value already need not be one that may be set.
        sql.push_str("DO $pipeline$ DECLARE granted text := ''; BEGIN ");
        for (name, value) in WISHES {
            let _ = write!(
                sql,
                "BEGIN {}; granted := granted || ' {name}'; EXCEPTION WHEN OTHERS THEN NULL; END; ",
                set(name, value)
            );
        }
        let _ = write!(
            sql,
            "BEGIN PERFORM pg_catalog.set_config('{GRANTED}', granted, false); EXCEPTION WHEN OTHERS THEN NULL; END; "
        );
        // Last: the wishes are for whoever has logged in.
        if ours("role") {
            let _ = write!(sql, "BEGIN {ASSUME_OWNER}; EXCEPTION WHEN OTHERS THEN NULL; END; ");
        }
        let role = if ours("role") {
            "pg_catalog.current_setting('role', true)"
        } else {
            "'none'"
        };
        let _ = write!(
            sql,
            "END $pipeline$; SELECT pg_catalog.current_setting('{GRANTED}', true), {role}"
        );
    }
    sql
}

/// The wishes that came true, as statements in the order of [`setup`].
fn granted(said: &[SimpleQueryMessage]) -> String {
    let mut sql = String::new();
    let row = said.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let Some(row) = row else { return sql };
    let names: Vec<&str> = row.get(0).unwrap_or_default().split_whitespace().collect();
    for (name, value) in WISHES.iter().filter(|(name, _)| names.contains(name)) {
        let _ = write!(sql, "{}; ", set(name, value));
    }
    if let Some(role) = row.get(1).filter(|role| *role != "none") {
        let _ = write!(sql, "SET ROLE {}", ident(role));
    }
    sql
}

fn set(name: &str, value: &str) -> String {
    format!("SET {name} = '{value}'")
}
