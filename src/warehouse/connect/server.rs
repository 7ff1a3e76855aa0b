//! A server to connect to: hosts, user, database and protection. It is made from keywords and values, which are
//! checked here, and connects to nothing.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, TargetSessionAttrs};

use super::conninfo::Params;
use super::environment::{Environment, home};
use super::passfile::{PassFile, Secret, default_path};
use super::protection::{self, SslMode, TlsSettings};
use super::target::{Host, Target, targets};
use super::values::{number, one_of, seconds};
use crate::error::{Error, Result};

/// libpq waits without limit. A scheduled pipeline should report soon that its server can't be reached.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may leave unacknowledged what was sent to it. The system's default is about a quarter of an hour. A
/// server that is busy and reads nothing for a while is not given up so soon.
const UNACKNOWLEDGED: Duration = Duration::from_mins(5);

/// A PostgreSQL server and how to reach it.
#[derive(Debug, Clone)]
pub struct Server {
    pub(super) targets: Vec<Target>,
    pub(super) shuffle: bool,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) tls: TlsSettings,
    pub(super) application_name: String,
    pub(super) options: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) keepalives: Keepalives,
    pub(super) session: TargetSessionAttrs,
    pub(super) channel_binding: ChannelBinding,
}

#[derive(Debug, Clone)]
pub(super) struct Keepalives {
    pub on: bool,
    pub idle: Duration,
    pub interval: Duration,
    pub count: u32,
    pub user_timeout: Option<Duration>,
}

impl Server {
    /// Whether all of its hosts are on this machine.
    pub fn is_local(&self) -> bool {
        self.targets.iter().all(|target| target.host.is_local())
    }

    pub(super) fn new(params: &Params, environment: Environment<'_>) -> Result<Self> {
        let user = match params.get("user") {
            Some(user) => user.to_owned(),
            None => whoami::username().map_err(|_| {
                Error::project("the database's user is not named").hint("name it: PGUSER, or user@ in the URL")
            })?,
        };
        let database = params.get("dbname").unwrap_or(&user).to_owned();
        refuse_what_differs(params)?;
        let mut server = Self {
            targets: targets(params)?,
            shuffle: one_of(
                params,
                "load_balance_hosts",
                &[("disable", false), ("random", true)],
                false,
            )?,
            tls: protection::read(params, environment)?,
            application_name: params
                .get("application_name")
                .or_else(|| params.get("fallback_application_name"))
                .unwrap_or("pipeline")
                .to_owned(),
            options: params.get("options").map(str::to_owned),
            connect_timeout: match seconds(params, "connect_timeout")? {
                Some(Duration::ZERO) => None,
                given => Some(given.unwrap_or(DEFAULT_CONNECT_TIMEOUT)),
            },
            keepalives: keepalives(params)?,
            session: one_of(
                params,
                "target_session_attrs",
                &[
                    ("any", TargetSessionAttrs::Any),
                    ("read-write", TargetSessionAttrs::ReadWrite),
                    ("primary", TargetSessionAttrs::ReadWrite),
                    ("read-only", TargetSessionAttrs::ReadOnly),
                ],
                TargetSessionAttrs::Any,
            )?,
            channel_binding: one_of(
                params,
                "channel_binding",
                &[
                    ("disable", ChannelBinding::Disable),
                    ("prefer", ChannelBinding::Prefer),
                    ("require", ChannelBinding::Require),
                ],
                ChannelBinding::Prefer,
            )?,
            user,
            database,
        };
        server.add_passwords(params, environment);
        Ok(server)
    }

    /// `host:port/database`, hosts separated by commas; without user and secrets.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (index, target) in self.targets.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = match &target.host {
                Host::Tcp { name, .. } if name.contains(':') => write!(text, "{comma}[{name}]:{}", target.port),
                Host::Tcp { name, .. } => write!(text, "{comma}{name}:{}", target.port),
                Host::Socket(folder) => write!(text, "{comma}{}:{}", folder.display(), target.port),
            };
        }
        text.push('/');
        text.push_str(&self.database);
        text
    }

    /// The sslmode for `target`. Where none was given, a host on another machine must prove its identity.
    pub(super) fn mode(&self, target: &Target) -> SslMode {
        match (&target.host, self.tls.mode) {
            // PostgreSQL has no TLS over a socket.
            (Host::Socket(_), _) => SslMode::Disable,
            (_, Some(SslMode::Require)) if self.tls.root.is_some() => SslMode::VerifyCa,
            (_, Some(mode)) => mode,
            (host, None) if host.is_local() => SslMode::Prefer,
            (_, None) => SslMode::VerifyFull,
        }
    }

    fn add_passwords(&mut self, params: &Params, environment: Environment<'_>) {
        let given = params.get("password").map(Secret::new);
        let path = params
            .get("passfile")
            .map(PathBuf::from)
            .or_else(|| default_path(home(environment)));
        let file = match (&given, path) {
            (None, Some(path)) => PassFile::read(&path),
            _ => None,
        };
        for target in &mut self.targets {
            let host = target.host.in_passfile();
            target.password = given.clone().or_else(|| {
                file.as_ref()
                    .and_then(|file| file.find(&host, target.port, &self.database, &self.user))
            });
        }
    }
}

/// Refuses values of known keywords that ask for something this program does not do.
fn refuse_what_differs(params: &Params) -> Result<()> {
    one_of(params, "gssencmode", &[("disable", ()), ("prefer", ())], ())?;
    one_of(
        params,
        "client_encoding",
        &[("auto", ()), ("UTF8", ()), ("utf8", ()), ("UTF-8", ()), ("utf-8", ())],
        (),
    )
}

fn keepalives(params: &Params) -> Result<Keepalives> {
    let positive = |given: Option<Duration>, default| given.filter(|given| !given.is_zero()).unwrap_or(default);
    Ok(Keepalives {
        on: number::<u32>(params, "keepalives")?.unwrap_or(1) != 0,
        // The system's default of two hours would leave a run waiting very long for a server that is gone.
        idle: positive(seconds(params, "keepalives_idle")?, Duration::from_mins(1)),
        interval: positive(seconds(params, "keepalives_interval")?, Duration::from_secs(10)),
        count: number(params, "keepalives_count")?
            .filter(|count| *count > 0)
            .unwrap_or(6),
        // Keepalives are not sent while something waits to be acknowledged. Linux also takes this time in place of their
        // count. A zero leaves it to the system, as for libpq.
        user_timeout: match number(params, "tcp_user_timeout")? {
            Some(0) => None,
            given => Some(given.map_or(UNACKNOWLEDGED, Duration::from_millis)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Result<Server> {
        Server::new(&Params::parse(text, "test").unwrap(), &|_| None)
    }

    fn modes(text: &str) -> Vec<SslMode> {
        let server = server(text).unwrap();
        server.targets.iter().map(|target| server.mode(target)).collect()
    }

    fn message(text: &str) -> String {
        server(text).err().map(|error| error.message).unwrap_or_default()
    }

    #[test]
    fn a_host_elsewhere_must_prove_itself_unless_less_is_asked_for() {
        use SslMode::{Allow, Disable, Prefer, Require, VerifyCa, VerifyFull};
        assert_eq!(modes("postgres://u@db.example/d"), [VerifyFull]);
        assert_eq!(modes("postgres://u@10.0.0.1/d"), [VerifyFull]);
        assert_eq!(
            modes("postgres://u@localhost,127.0.0.9,[::1],db/d"),
            [Prefer, Prefer, Prefer, VerifyFull]
        );
        assert_eq!(modes("host=localhost hostaddr=10.0.0.1 user=u"), [VerifyFull]);
        assert_eq!(modes("host=/run/pg user=u sslmode=verify-full"), [Disable]);
        assert_eq!(modes("postgres://u@db.example/d?sslmode=allow"), [Allow]);
        assert_eq!(modes("postgres://u@db.example/d?sslmode=require"), [Require]);
        assert_eq!(
            modes("postgres://u@db.example/d?sslmode=require&sslrootcert=/ca.crt"),
            [VerifyCa]
        );
        assert_eq!(modes("postgres://u@localhost/d?sslrootcert=system"), [VerifyFull]);
    }

    #[test]
    fn what_is_wrong_is_said_without_its_value() {
        assert_eq!(
            message("host=h user=u sslmode=full"),
            "sslmode of the database connection is not known"
        );
        assert_eq!(
            message("host=h user=u sslmode=require sslrootcert=system"),
            "sslrootcert=system goes with sslmode=verify-full only"
        );
        assert_eq!(
            message("host=h user=u port=0"),
            "the port of the database connection is no number from 1 to 65535"
        );
        assert_eq!(
            message("host=a,b user=u port=1,2,3"),
            "the database connection names different numbers of hosts, addresses and ports"
        );
        assert_eq!(
            message("hostaddr=db user=u"),
            "hostaddr of the database connection is no IP address"
        );
        assert_eq!(
            message("host=h user=u gssencmode=require"),
            "`gssencmode` of the database connection has a value that is not supported"
        );
    }

    #[test]
    fn defaults_are_for_unattended_runs_and_can_be_changed() {
        let server = server("host=h user=u").unwrap();
        assert_eq!(
            (server.database.as_str(), server.application_name.as_str()),
            ("u", "pipeline")
        );
        assert_eq!(server.connect_timeout, Some(DEFAULT_CONNECT_TIMEOUT));
        assert_eq!(server.keepalives.user_timeout, Some(UNACKNOWLEDGED));
        let server = self::server("host=h user=u tcp_user_timeout=1500").unwrap();
        assert_eq!(server.keepalives.user_timeout, Some(Duration::from_millis(1500)));
        let server = self::server("host=h user=u tcp_user_timeout=0").unwrap();
        assert_eq!(server.keepalives.user_timeout, None);
        let server = self::server("host=h user=u connect_timeout=0 application_name=x keepalives=0").unwrap();
        assert_eq!((server.connect_timeout, server.application_name.as_str()), (None, "x"));
        assert!(!server.keepalives.on);
    }

    #[test]
    fn the_password_file_is_searched_for_each_host() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        std::fs::write(&path, "a:1:d:u:first\n*:2:*:*:second\n").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let text = format!("host=a,b,c port=1,2,3 user=u dbname=d passfile={}", path.display());
        let server = self::server(&text).unwrap();
        let found: Vec<_> = server
            .targets
            .iter()
            .map(|t| t.password.as_ref().map(Secret::reveal))
            .collect();
        assert_eq!(found, [Some("first"), Some("second"), None]);
        let server = self::server(&format!("{text} password=given")).unwrap();
        assert!(
            server
                .targets
                .iter()
                .all(|t| t.password.as_ref().map(Secret::reveal) == Some("given"))
        );
    }
}
