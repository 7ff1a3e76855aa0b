//! `pipeline.suppression_list`: the persons whose records later loads leave out. It holds keyed hashes, and no value.

use chrono::{DateTime, Utc};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::error::{Error, Result};
use crate::warehouse::sql::{db_error, sqlstate};

/// What to do about entries that were made under another key.
pub const OTHER_KEY: &str = "run with that key; or erase these persons again under the present one, and take the \
     old entries off with `pipeline privacy suppression --remove-key ID`";

/// What to do about entries of a domain that no subject has any more.
pub fn other_domain(domain: &str) -> String {
    format!(
        "give the subject its domain back; or erase these persons again under the present one, and take the old entries \
         off with `pipeline privacy suppression --remove-domain {domain}`"
    )
}

/// A person on the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub domain: String,
    /// The key under which the hash was made.
    pub key_id: String,
    /// 32 hex digits.
    pub hash: String,
}

/// How many entries there are of one domain and key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    pub domain: String,
    pub key_id: String,
    pub entries: i64,
    /// When the newest was added.
    pub newest: DateTime<Utc>,
}

fn failed(error: &tokio_postgres::Error) -> Error {
    db_error("the suppression list can't be read or written", error)
}

/// The entries of these domains.
pub async fn of_domains(client: &Client, domains: &[String]) -> Result<Vec<Entry>> {
    let sql = "SELECT domain, key_id, hash FROM pipeline.suppression_list WHERE domain = ANY ($1)";
    let rows = client.query_typed(sql, &[(&domains, Type::TEXT_ARRAY)]).await;
    read(&rows.map_err(|error| failed(&error))?, |row| {
        Ok(Entry {
            domain: row.try_get(0)?,
            key_id: row.try_get(1)?,
            hash: row.try_get(2)?,
        })
    })
}

fn read<T>(rows: &[Row], one: fn(&Row) -> Result<T, tokio_postgres::Error>) -> Result<Vec<T>> {
    let all: Result<_, _> = rows.iter().map(one).collect();
    all.map_err(|error| failed(&error))
}

/// The entries by domain and key. None where the database has no list yet.
pub async fn counts(client: &Client) -> Result<Vec<Count>> {
    let sql = "SELECT domain, key_id, pg_catalog.count(*), pg_catalog.max(added_at) FROM pipeline.suppression_list \
               GROUP BY 1, 2 ORDER BY 1, 2";
    let rows = match client.query_typed(sql, &[]).await {
        Err(error) if matches!(sqlstate(&error), Some("42P01" | "3F000")) => return Ok(Vec::new()),
        rows => rows.map_err(|error| failed(&error))?,
    };
    read(&rows, |row| {
        Ok(Count {
            domain: row.try_get(0)?,
            key_id: row.try_get(1)?,
            entries: row.try_get(2)?,
            newest: row.try_get(3)?,
        })
    })
}

/// How entries are added. `$4` is how the subjects are read; those that were there before keep what they know.
pub(super) const ADD: &str = "INSERT INTO pipeline.suppression_list AS l (domain, key_id, hash, read_as) \
     SELECT e.*, $4 FROM unnest($1, $2, $3) e ON CONFLICT (domain, key_id, hash) DO UPDATE SET read_as = ( \
     SELECT pg_catalog.array_agg(DISTINCT x) FROM pg_catalog.unnest(l.read_as || excluded.read_as) x)";

/// Adds entries. Runs that begin afterwards see them. `read_as` says how the subjects of the domain are read now.
pub async fn add(client: &Client, entries: &[Entry], read_as: &[String]) -> Result<u64> {
    let [domains, keys, hashes] = columns(entries);
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&domains, Type::TEXT_ARRAY),
        (&keys, Type::TEXT_ARRAY),
        (&hashes, Type::TEXT_ARRAY),
        (&read_as, Type::TEXT_ARRAY),
    ];
    let done = client.execute_typed(ADD, &parameters).await;
    done.map_err(|error| failed(&error))
}

/// How many entries of a domain were made before a subject of it was read as it is now.
pub async fn read_otherwise(client: &Client, domain: &str, read_as: &str) -> Result<i64> {
    let sql = "SELECT pg_catalog.count(*) FROM pipeline.suppression_list \
               WHERE domain = $1 AND read_as IS NOT NULL AND NOT ($2 = ANY (read_as))";
    let row = client
        .query_typed_one(sql, &[(&domain, Type::TEXT), (&read_as, Type::TEXT)])
        .await;
    match row.and_then(|row| row.try_get(0)) {
        // The list of an older version, which `migrate` has not changed yet.
        Err(error) if matches!(sqlstate(&error), Some("42P01" | "3F000" | "42703")) => Ok(0),
        count => count.map_err(|error| failed(&error)),
    }
}

/// Takes entries off the list; returns how many were there.
pub async fn remove(client: &Client, entries: &[Entry]) -> Result<u64> {
    let sql = "DELETE FROM pipeline.suppression_list l USING unnest($1, $2, $3) e (domain, key_id, hash) \
               WHERE l.domain = e.domain AND l.key_id = e.key_id AND l.hash = e.hash";
    let [domains, keys, hashes] = columns(entries);
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (&domains, Type::TEXT_ARRAY),
        (&keys, Type::TEXT_ARRAY),
        (&hashes, Type::TEXT_ARRAY),
    ];
    let done = client.execute_typed(sql, &parameters).await;
    done.map_err(|error| failed(&error))
}

/// Takes all entries of a key off the list; returns how many there were.
pub async fn remove_key(client: &Client, key_id: &str) -> Result<u64> {
    let sql = "DELETE FROM pipeline.suppression_list WHERE key_id = $1";
    let done = client.execute_typed(sql, &[(&key_id, Type::TEXT)]).await;
    done.map_err(|error| failed(&error))
}

/// Takes all entries of a domain off the list; returns how many there were.
pub async fn remove_domain(client: &Client, domain: &str) -> Result<u64> {
    let sql = "DELETE FROM pipeline.suppression_list WHERE domain = $1";
    let done = client.execute_typed(sql, &[(&domain, Type::TEXT)]).await;
    done.map_err(|error| failed(&error))
}

fn columns(entries: &[Entry]) -> [Vec<&str>; 3] {
    let column = |of: fn(&Entry) -> &str| entries.iter().map(of).collect();
    [
        column(|entry| &entry.domain),
        column(|entry| &entry.key_id),
        column(|entry| &entry.hash),
    ]
}
