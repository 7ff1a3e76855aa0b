//! Decides which database is used: the one named on the command line or in the environment, else the project's
//! embedded one. It connects to nothing.

use std::path::{Path, PathBuf};

use super::conninfo::Params;
use super::environment::{Environment, variable};
use super::server::Server;
use crate::error::Result;

/// The variables by which libpq's users name a server. PGUSER, PGPORT and the like do not count: they describe how to
/// reach a server, not that there is one.
const NAMING: &[&str] = &["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"];

/// A database that holds, or will hold, the entity tables.
#[derive(Debug, Clone)]
pub enum Database {
    /// A PostgreSQL server.
    Server(Box<Server>),
    /// The embedded PostgreSQL, stored in this folder.
    Embedded { dir: PathBuf },
    /// An embedded PostgreSQL whose data is deleted when it is closed.
    Memory,
}

impl Database {
    /// Returns the database named by `--database-url`, `DATABASE_URL`, or PGHOST/PGHOSTADDR/PGSERVICE/PGDATABASE, in
    /// that order. Otherwise it is the embedded one in `<root>/.pipeline/warehouse`.
    pub fn choose(flag: Option<&str>, root: &Path) -> Result<Self> {
        Self::choose_from(flag, root, &|name| std::env::var(name).ok())
    }

    /// Whether the text of `--database-url` holds a password. Everybody on the machine can read the arguments of a process.
    pub fn holds_password(flag: &str) -> bool {
        Params::parse(flag, "--database-url")
            .is_ok_and(|params| params.get("password").is_some_and(|word| !word.is_empty()))
    }

    pub fn choose_from(flag: Option<&str>, root: &Path, environment: Environment<'_>) -> Result<Self> {
        let named = flag.map(|flag| (flag.to_owned(), "--database-url"));
        let named = named.or_else(|| variable(environment, "DATABASE_URL").map(|url| (url, "DATABASE_URL")));
        let params = match named {
            Some((text, origin)) => Params::parse(&text, origin)?,
            None if NAMING.iter().any(|name| variable(environment, name).is_some()) => Params::default(),
            None => {
                return Ok(Self::Embedded {
                    dir: root.join(".pipeline").join("warehouse"),
                });
            }
        };
        let server = Server::new(&params.complete(environment)?, environment)?;
        Ok(Self::Server(Box::new(server)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(flag: Option<&str>, environment: &[(&str, &str)]) -> String {
        let pairs: Vec<(String, String)> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let lookup = move |name: &str| {
            pairs
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        match Database::choose_from(flag, Path::new("/p"), &lookup).unwrap() {
            Database::Server(server) => server.describe(),
            Database::Embedded { dir } => dir.display().to_string(),
            Database::Memory => "memory".to_owned(),
        }
    }

    #[test]
    fn the_order_is_flag_then_url_then_libpq_then_embedded() {
        let all = [
            ("DATABASE_URL", "postgres://u@b/d"),
            ("PGHOST", "c"),
            ("PGUSER", "v"),
            ("PGDATABASE", "e"),
        ];
        assert_eq!(chosen(Some("postgres://u@a:1/d"), &all), "a:1/d");
        assert_eq!(chosen(None, &all), "b:5432/d");
        assert_eq!(chosen(None, &all[1..]), "c:5432/e");
        assert_eq!(
            chosen(None, &[("PGHOSTADDR", "10.1.2.3"), ("PGDATABASE", "e")]),
            "10.1.2.3:5432/e"
        );
        assert_eq!(
            chosen(None, &[("DATABASE_URL", ""), ("PGUSER", "v"), ("PGPORT", "7")]),
            "/p/.pipeline/warehouse"
        );
    }

    #[test]
    fn a_password_in_the_flag_is_noticed() {
        for held in ["postgres://u:x@h/d", "host=h password=x", "postgres://h/d?password=x"] {
            assert!(Database::holds_password(held), "{held}");
        }
        for clean in ["postgres://u@h/d", "host=h user=u", "postgres://u:@h/d", "nonsense"] {
            assert!(!Database::holds_password(clean), "{clean}");
        }
    }

    #[test]
    fn no_debug_output_shows_the_password() {
        let url = "postgres://u:hunter2@a/d";
        let database = Database::choose_from(Some(url), Path::new("/p"), &|_| None).unwrap();
        assert!(!format!("{database:?}").contains("hunter2"));
    }
}
