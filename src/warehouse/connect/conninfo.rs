//! Reads connection strings, the environment and service files as libpq does (PostgreSQL manual, "Database Connection
//! Control Functions", "Environment Variables", "The Connection Service File"). It returns keywords and values and
//! connects to nothing. Its errors quote no value, since any value may hold the password.

use std::collections::BTreeMap;

use super::environment::{Environment, variable};
use super::{service, url};
use crate::error::{Error, Result};

/// The keywords that are supported, each with its environment variable.
const KEYWORDS: &[(&str, &str)] = &[
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("client_encoding", "PGCLIENTENCODING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("fallback_application_name", ""),
    ("gssencmode", "PGGSSENCMODE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("keepalives", ""),
    ("keepalives_count", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("service", "PGSERVICE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("tcp_user_timeout", ""),
    ("user", "PGUSER"),
];

/// Keywords of libpq that ask for protection or for another kind of connection, and are not supported. They are
/// refused, because ignoring them would give less protection than the user asked for.
const REFUSED: &[(&str, &str)] = &[
    ("gssdelegation", ""),
    ("gsslib", ""),
    ("krbsrvname", ""),
    ("max_protocol_version", ""),
    ("min_protocol_version", ""),
    ("replication", ""),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("requiressl", ""),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslcompression", ""),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslpassword", ""),
    ("sslsni", "PGSSLSNI"),
];

/// Keywords and their values. An empty value counts as not given, as in libpq.
#[derive(Default, Clone, PartialEq, Eq)]
pub(super) struct Params(BTreeMap<&'static str, String>);

impl Params {
    /// Reads a `postgres://` URL or a keyword/value string; `origin` names it in errors.
    pub(super) fn parse(text: &str, origin: &str) -> Result<Self> {
        let mut params = Self::default();
        let rest = text
            .strip_prefix("postgresql://")
            .or_else(|| text.strip_prefix("postgres://"));
        match rest {
            Some(rest) => {
                for (keyword, value) in url::read(rest, origin)? {
                    params.set(&keyword, value, origin)?;
                }
            }
            None if text.contains('=') => params.read_keywords(text, origin)?,
            None => {
                return Err(
                    Error::project(format!("{origin} is neither a URL nor a keyword/value string"))
                        .hint("write postgres://user@host:5432/database, or host=... dbname=... user=..."),
                );
            }
        }
        Ok(params)
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&str> {
        self.0
            .get(keyword)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Adds settings that are not given yet, from the service file and then from the environment.
    pub(super) fn complete(mut self, environment: Environment<'_>) -> Result<Self> {
        let service = self
            .get("service")
            .map(str::to_owned)
            .or_else(|| variable(environment, "PGSERVICE"));
        if let Some(service) = service {
            self.read_service(&service, environment)?;
        }
        for (keyword, name) in REFUSED.iter().filter(|(_, name)| !name.is_empty()) {
            if variable(environment, name).is_some() {
                return Err(refused(keyword, &format!("the environment variable {name}")));
            }
        }
        // Where the user has named a host, an address from the environment must not replace it.
        let host_named = self.get("host").is_some();
        for (keyword, name) in KEYWORDS.iter().filter(|(_, name)| !name.is_empty()) {
            if self.get(keyword).is_some() || (*keyword == "hostaddr" && host_named) {
                continue;
            }
            if let Some(value) = variable(environment, name) {
                self.0.insert(keyword, value);
            }
        }
        Ok(self)
    }

    fn set(&mut self, keyword: &str, value: String, origin: &str) -> Result<()> {
        if let Some((known, _)) = KEYWORDS.iter().find(|(known, _)| *known == keyword) {
            self.0.insert(known, value);
            return Ok(());
        }
        if REFUSED.iter().any(|(known, _)| *known == keyword) {
            return Err(refused(keyword, origin));
        }
        let names = KEYWORDS.iter().map(|(known, _)| *known);
        let near = names.max_by(|a, b| strsim::jaro(a, keyword).total_cmp(&strsim::jaro(b, keyword)));
        // A part of a password may stand where a keyword is expected, so only what looks like a keyword is quoted.
        let shown = if keyword.len() <= 40 && keyword.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            format!("`{keyword}` in {origin} is no connection parameter")
        } else {
            format!("{origin} has a parameter that is not known")
        };
        let error = Error::project(shown);
        Err(match near {
            Some(near) if strsim::jaro(near, keyword) > 0.75 => error.hint(format!("did you mean `{near}`?")),
            _ => error.hint("the parameters are libpq's: host, port, dbname, user, sslmode, ..."),
        })
    }

    fn read_keywords(&mut self, text: &str, origin: &str) -> Result<()> {
        let mut chars = text.chars().peekable();
        loop {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            if chars.peek().is_none() {
                return Ok(());
            }
            let mut keyword = String::new();
            while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_whitespace()) {
                keyword.push(c);
            }
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            if chars.next() != Some('=') {
                return Err(
                    Error::project(format!("{origin} lacks a `=` after one of its keywords"))
                        .hint("quote a value that has spaces: password='two words'"),
                );
            }
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            let value = read_value(&mut chars)
                .ok_or_else(|| Error::project(format!("{origin} has a quoted value without its closing quote")))?;
            self.set(&keyword, value, origin)?;
        }
    }

    fn read_service(&mut self, service: &str, environment: Environment<'_>) -> Result<()> {
        let mut found = Self::default();
        for setting in service::find(service, environment)? {
            found.set(&setting.keyword, setting.value, &setting.origin)?;
        }
        for (keyword, value) in found.0 {
            if self.get(keyword).is_none() {
                self.0.insert(keyword, value);
            }
        }
        Ok(())
    }
}

fn refused(keyword: &str, origin: &str) -> Error {
    Error::project(format!("`{keyword}` in {origin} is not supported"))
        .hint("leave it out; TLS is always 1.2 or newer, and sslmode, sslrootcert, sslcert and sslkey are acted on")
}

fn read_value(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let quoted = chars.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match chars.next() {
            None => return (!quoted).then_some(value),
            Some('\'') if quoted => return Some(value),
            Some(c) if !quoted && c.is_whitespace() => return Some(value),
            Some('\\') => value.extend(chars.next()),
            Some(c) => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(&'static str, String)> {
        Params::parse(text, "--database-url").unwrap().0.into_iter().collect()
    }

    fn message(text: &str) -> String {
        Params::parse(text, "--database-url")
            .err()
            .map(|error| error.message)
            .unwrap_or_default()
    }

    #[test]
    fn a_url_gives_each_of_its_parts() {
        assert_eq!(
            parsed("postgres://ann:p%40ss%2Fw@db.example:6432/clinic?sslmode=verify-ca&application_name=a%20b"),
            [
                ("application_name", "a b".to_owned()),
                ("dbname", "clinic".to_owned()),
                ("host", "db.example".to_owned()),
                ("password", "p@ss/w".to_owned()),
                ("port", "6432".to_owned()),
                ("sslmode", "verify-ca".to_owned()),
                ("user", "ann".to_owned()),
            ]
        );
        assert_eq!(parsed("postgresql://"), []);
        assert_eq!(parsed("postgresql:///db"), [("dbname", "db".to_owned())]);
        assert_eq!(parsed("postgresql://%2Frun%2Fpg/db")[1], ("host", "/run/pg".to_owned()));
        assert_eq!(
            parsed("postgresql:///db?host=/run/pg&port=5")[1],
            ("host", "/run/pg".to_owned())
        );
        assert_eq!(parsed("postgresql://[::1]:7/db")[1], ("host", "::1".to_owned()));
        assert_eq!(
            parsed("postgresql://a:1,b,c:3/db")[1..],
            [("host", "a,b,c".to_owned()), ("port", "1,,3".to_owned())]
        );
        assert_eq!(
            parsed("postgresql://h/db?ssl=true")[2],
            ("sslmode", "require".to_owned())
        );
    }

    #[test]
    fn keywords_are_quoted_and_escaped_as_in_libpq() {
        assert_eq!(
            parsed(r"host = localhost  password='it\'s \\ two' user=a\ b dbname="),
            [
                ("dbname", String::new()),
                ("host", "localhost".to_owned()),
                ("password", r"it's \ two".to_owned()),
                ("user", "a b".to_owned()),
            ]
        );
    }

    #[test]
    fn errors_quote_no_value() {
        assert_eq!(
            message("mydb"),
            "--database-url is neither a URL nor a keyword/value string"
        );
        assert_eq!(
            message("postgres://u:hunter2%zz@h"),
            "--database-url has a broken percent-encoding in its password"
        );
        assert_eq!(
            message("host=h password=hunter2 pass word"),
            "--database-url lacks a `=` after one of its keywords"
        );
        assert_eq!(
            message("password='hunter2"),
            "--database-url has a quoted value without its closing quote"
        );
        assert_eq!(
            message("password=two hunter2=x"),
            "--database-url has a parameter that is not known"
        );
        assert_eq!(message("hots=x"), "`hots` in --database-url is no connection parameter");
        assert_eq!(message("sslcrl=x"), "`sslcrl` in --database-url is not supported");
        assert_eq!(
            message("postgres://[::1/db"),
            "--database-url has a `[` without its `]` in the host"
        );
    }

    #[test]
    fn what_is_named_wins_over_the_service_and_that_over_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("services");
        std::fs::write(
            &file,
            "# comment\n[other]\nhost=no\n\n[clinic]\nhost=svc\nport=7\n\n[third]\nhost=no\n",
        )
        .unwrap();
        let environment = |name: &str| match name {
            "PGSERVICE" => Some("clinic".to_owned()),
            "PGSERVICEFILE" => Some(file.display().to_string()),
            "PGPORT" => Some("9".to_owned()),
            "PGUSER" => Some("ann".to_owned()),
            "PGPASSWORD" => Some(String::new()),
            _ => None,
        };
        let params = Params::parse("port=8", "test").unwrap().complete(&environment).unwrap();
        assert_eq!((params.get("host"), params.get("port")), (Some("svc"), Some("8")));
        assert_eq!((params.get("user"), params.get("password")), (Some("ann"), None));
        let error = Params::parse("service=nope", "test")
            .unwrap()
            .complete(&environment)
            .err()
            .unwrap();
        assert_eq!(error.message, "the service `nope` is in no service file");
    }

    #[test]
    fn an_address_of_the_environment_does_not_redirect_a_named_host() {
        let environment = |name: &str| (name == "PGHOSTADDR").then(|| "10.0.0.1".to_owned());
        let params = Params::parse("host=db.example", "test")
            .unwrap()
            .complete(&environment)
            .unwrap();
        assert_eq!(params.get("hostaddr"), None);
        assert_eq!(
            Params::default().complete(&environment).unwrap().get("hostaddr"),
            Some("10.0.0.1")
        );
    }

    #[test]
    fn a_raw_delimiter_in_a_password_is_refused_and_nothing_is_shown() {
        for url in [
            "postgresql://postgres:1234/Hunter2x@host:5432/x",
            "postgres://u:P@ssHunter2x!23@host:5432/x",
            "postgres://u:12?Hunter2x@host/x",
            "postgres://u:12?hunter=Hunter2x@host/x",
            "postgres://u:12/Hunter2x/y@host/x",
            "postgres://u:12?/Hunter2x=@host/x",
        ] {
            let error = Params::parse(url, "DATABASE_URL").err().unwrap();
            assert_eq!(
                error.message, "DATABASE_URL has a `@`, `/` or `?` where none can be",
                "{url}"
            );
            assert!(!format!("{error:?}").to_lowercase().contains("hunter"), "{url}");
            assert!(error.hint.unwrap().contains("percent-encode"));
        }
        for url in [
            "postgres://u:P%40ss%2F%3F@host/x",
            "postgres://host/x?user=me@azure",
            "postgres:///x?host=/run/pg",
        ] {
            assert!(Params::parse(url, "DATABASE_URL").is_ok(), "{url}");
        }
    }

    #[test]
    fn protection_that_can_not_be_given_is_refused() {
        let environment = |name: &str| (name == "PGREQUIREAUTH").then(|| "scram-sha-256".to_owned());
        let error = Params::default().complete(&environment).err().unwrap();
        assert_eq!(
            error.message,
            "`require_auth` in the environment variable PGREQUIREAUTH is not supported"
        );
    }
}
