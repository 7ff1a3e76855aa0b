//! The table `pipeline.views`: a record of what `pipeline views` made. Only recorded objects are replaced or dropped.

use tokio_postgres::Client;
use tokio_postgres::types::{Oid, Type};

use super::file::Definition;
use crate::error::{Error, Result};
use crate::model::ViewKind;
use crate::warehouse::sql::{db_error, sqlstate};

/// One object that this program made.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub kind: ViewKind,
    pub name: String,
    /// The object as DROP names it.
    pub object: String,
    pub fingerprint: String,
    /// `None` where a user has dropped it since.
    pub oid: Option<Oid>,
    /// A function that looks its tables up where its caller looks; see [`super::apply`].
    pub lacks_path: bool,
}

/// The word for a kind in the table.
pub(super) fn word(kind: ViewKind) -> &'static str {
    match kind {
        ViewKind::Function => "function",
        ViewKind::View => "view",
        ViewKind::Materialized => "materialized",
    }
}

pub(super) fn kind(word: &str) -> Option<ViewKind> {
    [ViewKind::Function, ViewKind::View, ViewKind::Materialized]
        .into_iter()
        .find(|kind| self::word(*kind) == word)
}

const READ: &str = "
SELECT v.kind, v.name, v.object, v.fingerprint, coalesce(c.oid, p.oid),
       p.oid IS NOT NULL AND p.prosqlbody IS NULL
       AND NOT EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s LIKE 'search\\_path=%')
FROM pipeline.views v
LEFT JOIN pg_catalog.pg_class c ON c.relname = v.name AND c.relnamespace = 'public'::regnamespace
    AND c.relkind = CASE v.kind WHEN 'view' THEN 'v' WHEN 'materialized' THEN 'm' END::\"char\"
LEFT JOIN pg_catalog.pg_proc p ON v.kind = 'function' AND p.proname = v.name
    AND p.pronamespace = 'public'::regnamespace
    AND v.object = pg_catalog.format('public.%I(%s)', p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid))
ORDER BY v.name, v.kind";

/// All entries, each with the present state of its object.
pub(super) async fn read(client: &Client) -> Result<Vec<Entry>> {
    let rows = client
        .query_typed(READ, &[])
        .await
        .map_err(|error| match sqlstate(&error) {
            Some("42P01" | "3F000") => {
                Error::project("the database has no table pipeline.views yet").hint("run `pipeline migrate` first")
            }
            _ => db_error("the list of views can't be read", &error),
        })?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            Some(Entry {
                kind: kind(row.get(0))?,
                name: row.get(1),
                object: row.get(2),
                fingerprint: row.get(3),
                oid: row.get(4),
                lacks_path: row.get(5),
            })
        })
        .collect())
}

/// Those of the given names that are taken in `public`. The flag tells functions from relations.
pub(super) async fn taken(client: &Client, names: &[&str]) -> Result<Vec<(bool, String)>> {
    let sql = "SELECT false, relname::text FROM pg_catalog.pg_class
               WHERE relnamespace = 'public'::regnamespace AND relname = ANY ($1)
               UNION SELECT true, proname::text FROM pg_catalog.pg_proc
               WHERE pronamespace = 'public'::regnamespace AND proname = ANY ($1)";
    let rows = client.query_typed(sql, &[(&names, Type::TEXT_ARRAY)]).await;
    let rows = rows.map_err(|error| db_error("the names in use can't be read", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The tables and views of `public`, without partitions.
pub(super) async fn relations(client: &Client) -> Result<Vec<String>> {
    let sql = "SELECT relname::text FROM pg_catalog.pg_class WHERE relnamespace = 'public'::regnamespace
               AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition ORDER BY relname";
    let rows = client.query_typed(sql, &[]).await;
    let rows = rows.map_err(|error| db_error("the tables can't be listed", &error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

pub(super) async fn put(client: &Client, definition: &Definition<'_>, object: &str) -> Result<()> {
    let sql = "INSERT INTO pipeline.views (kind, name, object, fingerprint) VALUES ($1, $2, $3, $4)
               ON CONFLICT (kind, name) DO UPDATE
               SET object = excluded.object, fingerprint = excluded.fingerprint, applied_at = clock_timestamp()";
    let kind = word(definition.view.kind);
    let parameters = [(&kind as _, Type::TEXT), (&definition.view.name as _, Type::TEXT)];
    let parameters = [
        &parameters[..],
        &[(&object as _, Type::TEXT), (&definition.fingerprint as _, Type::TEXT)],
    ]
    .concat();
    let done = client.query_typed(sql, &parameters).await;
    done.map(drop)
        .map_err(|error| db_error("the list of views can't be written", &error))
}

pub(super) async fn remove(client: &Client, kind: ViewKind, name: &str) -> Result<()> {
    let kind = word(kind);
    let sql = "DELETE FROM pipeline.views WHERE kind = $1 AND name = $2";
    let done = client
        .query_typed(sql, &[(&kind, Type::TEXT), (&name, Type::TEXT)])
        .await;
    done.map(drop)
        .map_err(|error| db_error("the list of views can't be written", &error))
}
