//! Looks for what a reader can see in spite of the grants made here: by a grant to PUBLIC or to another role of the
//! reader, by a function with its owner's rights, by a view that a migration made.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::rights::Access;
use crate::error::{Code, Error, Result};
use crate::warehouse::sql::db_error;

/// Objects with the remedy's kind: `grant`, or `code` for what reads with its owner's rights. Partitions need no check,
/// since reading them takes a right on their schema.
const SQL: &str = "
WITH reader (oid, name) AS (
    SELECT g.oid, g.rolname FROM pipeline.readers r JOIN pg_catalog.pg_roles g ON g.rolname = r.name
), owner (oid) AS (
    SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'pipeline'
)
SELECT r.name::text, 'grant', pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM reader r CROSS JOIN pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname = 'pipeline' AND c.relkind = 'r' AND (c.relname = 'quarantine' OR $1)
       OR $1 AND n.nspname = 'public' AND (
           c.relkind = 'p' AND c.relname = ANY ($2)
           OR c.relkind IN ('v', 'm') AND c.relname <> ALL ($3)
              AND EXISTS (SELECT FROM pipeline.views v WHERE v.name = c.relname)))
    AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
    AND pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT')
UNION ALL
-- What the owner has made beside that: views and tables of migrations.
SELECT r.name::text, 'code', pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM reader r CROSS JOIN pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN owner o ON o.oid = c.relowner
WHERE $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND n.nspname <> 'pipeline'
    AND NOT (n.nspname = 'pipeline_reading' AND c.relkind = 'v' AND c.relname = ANY ($2))
    AND NOT (n.nspname = 'public' AND (c.relname = ANY ($2)
        OR EXISTS (SELECT FROM pipeline.views v WHERE v.name = c.relname)))
    AND pg_catalog.format('%s.%s', n.nspname, c.relname) <> ALL ($4)
    AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
    AND pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT')
UNION ALL
SELECT r.name::text, 'code', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
    pg_catalog.pg_get_function_identity_arguments(p.oid))
FROM reader r CROSS JOIN pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN owner o ON o.oid = p.proowner
WHERE $1 AND p.prosecdef AND p.proname <> ALL ($4) AND pg_catalog.format('%s.%s', n.nspname, p.proname) <> ALL ($4)
    AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
    AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
ORDER BY 1, 2, 3 LIMIT 5";

/// Fails with what a reader can see and should not.
pub(super) async fn check(client: &Client, access: &Access) -> Result<()> {
    let there = "SELECT pg_catalog.to_regclass('pipeline.views') IS NOT NULL";
    let failed = |error: tokio_postgres::Error| db_error("the readers' rights can't be looked up", &error);
    if !client
        .query_typed_one(there, &[])
        .await
        .map_err(failed)?
        .get::<_, bool>(0)
    {
        return Ok(());
    }
    let closes = access.through_views();
    let names: Vec<&str> = access.tables.iter().map(|table| table.name.as_str()).collect();
    let views: Vec<&str> = access.views.iter().map(|view| view.name.as_str()).collect();
    let parameters = [
        (&closes as _, Type::BOOL),
        (&names as _, Type::TEXT_ARRAY),
        (&views as _, Type::TEXT_ARRAY),
        (&access.exposed as _, Type::TEXT_ARRAY),
    ];
    let rows = client.query_typed(SQL, &parameters).await.map_err(failed)?;
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let key = |row: &Row| (row.get::<_, String>(0), row.get::<_, String>(1));
    let (reader, kind) = key(first);
    let same = rows.iter().filter(|row| key(row) == key(first));
    let seen: Vec<&str> = same.map(|row| row.get(2)).collect();
    Err(if kind == "grant" {
        Error::batch(format!(
            "{reader} can read {}, which is not for readers",
            seen.join(", ")
        ))
        .code(Code::ReadersSeeTooMuch)
        .hint("a grant to PUBLIC, or to a role that it is a member of, gives it that: take it back with REVOKE")
    } else {
        Error::batch(format!(
            "{reader} can use {}, which may show {}",
            seen.join(", "),
            if access.hides {
                "the batch's date"
            } else {
                "batches that were loaded under other masks"
            }
        ))
        .code(Code::ReadersSeeTooMuch).cause("it reads with the rights of its owner, and no plan tells what it shows")
        .hint("take the right back with REVOKE, or name it in pipeline.yaml: `expose: [{view: schema.name, reason: ...}]`")
    })
}
