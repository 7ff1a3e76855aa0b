//! Brings the readers' rights to what the project says. Readers get grants on entity tables and views. Where the
//! batch's date is hidden, they instead get views without that column, in a separate schema. The owner or a member of
//! the owner role runs this, after every step that can add a table or a view. Where all rights are right already, it
//! locks nothing and writes nothing.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::{Error, Result};
use crate::model::Batch;
use crate::warehouse::sql::{db_error, literal, sqlstate};

/// The key of the advisory lock under which grants are changed ("access" in ASCII). Two sessions that change grants
/// at once would fail with "tuple concurrently updated".
const LOCK: i64 = 0x6163_6365_7373;

/// What readers may see.
#[derive(Debug, Clone)]
pub struct Access {
    /// Whether readers read entity tables through views that leave columns out.
    pub hides: bool,
    /// Batches whose rows readers may not see, since they were loaded under other masks. `None`: no database was asked,
    /// and the project promises masks.
    pub stale: Option<Vec<Batch>>,
    /// Materialized views that still show rows from before a swap. Where the project promises masks, they are not
    /// granted before their refresh.
    pub owed: Vec<String>,
    /// All entities.
    pub tables: Vec<Table>,
    /// Views and materialized views.
    pub views: Vec<View>,
    /// Functions that may run with the rights of their owner.
    pub functions: Vec<String>,
    /// The files of views and functions in the project.
    pub files: Vec<File>,
}

/// A view that shows no hidden column, with the definition from its file.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    /// The view itself and the views and functions that it reads.
    pub stands_on: Vec<String>,
}

/// A file as it is recorded in `pipeline.views`.
#[derive(Debug, Clone)]
pub struct File {
    pub kind: &'static str,
    pub name: String,
    pub fingerprint: String,
}

/// An entity table and those of its columns that readers may see.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
}

impl Access {
    /// Whether readers read views that leave batches out.
    fn filters(&self) -> bool {
        self.stale.as_ref().is_some_and(|stale| !stale.is_empty())
    }

    /// Whether readers read views instead of the entity tables.
    fn through_views(&self) -> bool {
        self.hides || self.filters()
    }
}

/// Whether `pipeline roles` has run in this database. This needs no right on the schema `pipeline`.
pub async fn is_used(client: &Client) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = 'readers'
               AND relnamespace = pg_catalog.to_regnamespace('pipeline'))";
    let row = client.query_typed_one(sql, &[]).await;
    row.map(|row| row.get(0))
        .map_err(|error| db_error("whether there are roles can't be looked up", &error))
}

/// Brings the readers' rights to what the project says.
///
/// # Errors
/// Fails where a right can't be granted or revoked, or where a reader sees more through another role.
pub async fn apply(client: &Client, access: &Access) -> Result<()> {
    if let Err(error) = client.batch_execute(&statement(access)).await {
        let built = db_error("the readers' rights can't be brought to what the project says", &error);
        return Err(match sqlstate(&error) {
            Some("42P01") => built.hint("run `pipeline migrate` first"),
            Some("42501") => built
                .hint("run as a member of the role that owns the tables, or let a superuser repeat `pipeline roles`"),
            _ => built,
        });
    }
    check(client, access).await
}

/// `ARRAY['a', 'b']::text[]`
pub(super) fn text_array<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.map(literal).collect();
    format!("ARRAY[{}]::text[]", texts.join(", "))
}

/// One DO block. It changes only what differs.
pub(super) fn statement(access: &Access) -> String {
    let names = text_array(access.tables.iter().map(|table| table.name.as_str()));
    let (views, files) = (views(access), files(access));
    let (hides, filters, wanted) = (access.through_views(), access.filters(), wanted(access));
    let (hidden, owed) = (hidden(access), text_array(access.owed.iter().map(String::as_str)));
    let closed = closed_functions(access);
    let form = if filters {
        FILTERED
    } else {
        "AS SELECT %s FROM public.%I"
    };
    format!(
        "DO $pipeline$
DECLARE
    item text;
    -- Grants that are there were then given for definitions without the date.
    hid boolean := EXISTS (SELECT FROM pg_catalog.pg_class
        WHERE relnamespace = 'pipeline_reading'::regnamespace AND relkind = 'v');
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock({LOCK});
{hidden}    FOR item IN
        SELECT pg_catalog.format('DROP VIEW pipeline_reading.%I', c.relname)
        FROM pg_catalog.pg_class c LEFT JOIN {wanted} w (name, columns) ON w.name = c.relname
        WHERE c.relnamespace = 'pipeline_reading'::regnamespace AND c.relkind = 'v' AND (w.columns IS DISTINCT FROM
            ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
            OR {filters} <> ('security_barrier=true' = ANY (coalesce(c.reloptions, '{{}}'))))
    LOOP EXECUTE item; END LOOP;
    FOR item IN
        SELECT pg_catalog.format('CREATE VIEW pipeline_reading.%I {form}', w.name,
            (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(u.x), ', ' ORDER BY u.n)
             FROM pg_catalog.unnest(w.columns) WITH ORDINALITY u (x, n)), w.name)
        FROM {wanted} w (name, columns)
        WHERE pg_catalog.to_regclass(pg_catalog.format('pipeline_reading.%I', w.name)) IS NULL
    LOOP EXECUTE item; END LOOP;
    IF pg_catalog.to_regclass('pipeline.views') IS NULL THEN RETURN; END IF;
    FOR item IN
        WITH object (oid, may, doubtful, owed) AS (
            SELECT c.oid, c.relname = ANY ({names}) AND NOT {hides}, false, false
            FROM pg_catalog.pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'p'
                AND (c.relname = ANY ({names}) OR ({hides} AND c.relowner = current_user::regrole))
            UNION ALL
            -- What is told of a view's file holds once the database has it, and all that it stands on.
            SELECT c.oid, w.name IS NOT NULL, {hides} AND EXISTS (
                SELECT FROM pg_catalog.unnest(w.stands_on) s (name) WHERE NOT EXISTS (
                    SELECT FROM pipeline.views x JOIN {files} f (kind, name, fingerprint)
                        ON f.kind = x.kind AND f.name = x.name AND f.fingerprint = x.fingerprint
                    WHERE x.name = s.name)), coalesce(w.stands_on && {owed}, false)
            FROM pipeline.views v JOIN pg_catalog.pg_class c ON c.relname = v.name
                AND c.relnamespace = 'public'::regnamespace
                AND c.relkind = CASE v.kind WHEN 'view' THEN 'v' WHEN 'materialized' THEN 'm' END::\"char\"
            LEFT JOIN {views} w (name, stands_on) ON w.name = v.name
            UNION ALL
            SELECT c.oid, true, false, false FROM pg_catalog.pg_class c
            WHERE c.relnamespace = 'pipeline_reading'::regnamespace AND c.relkind = 'v'
        ), found (oid, nspname, relname, may, doubtful, owed, reader, whole, part) AS (
            SELECT c.oid, n.nspname, c.relname, o.may, o.doubtful, o.owed, g.rolname,
                EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) x
                        WHERE x.grantee = g.oid AND x.privilege_type = 'SELECT'),
                EXISTS (SELECT FROM pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x
                        WHERE a.attrelid = c.oid AND x.grantee = g.oid AND x.privilege_type = 'SELECT')
            FROM object o JOIN pg_catalog.pg_class c ON c.oid = o.oid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            CROSS JOIN pipeline.readers r JOIN pg_catalog.pg_roles g ON g.rolname = r.name
        )
        SELECT pg_catalog.format(
            CASE WHEN i.may AND NOT i.doubtful THEN 'GRANT SELECT ON %I.%I TO %I' ELSE 'REVOKE SELECT ON %I.%I FROM %I' END,
            i.nspname, i.relname, i.reader)
        FROM found i WHERE (i.may AND NOT i.doubtful AND NOT i.owed AND NOT i.whole)
            OR ((NOT i.may OR (i.doubtful AND (NOT hid OR {filters}))) AND (i.whole OR i.part))
    LOOP EXECUTE item; END LOOP;
{closed}END $pipeline$"
    )
}

/// The body of a view that leaves hidden batches out. The barrier keeps a reader's own condition from seeing the rows
/// of those: its error would show their values.
const FILTERED: &str = "WITH (security_barrier) AS SELECT %s FROM public.%I t WHERE NOT EXISTS (SELECT FROM \
                        pipeline.hidden_batches h WHERE h.source = t.source AND h.batch_date = t.batch_date)";

/// The statements that bring the list of hidden batches to what it should be. A view reads it, so the swap of a batch
/// shows the batch in its own transaction.
fn hidden(access: &Access) -> String {
    let row = |batch: &Batch| {
        format!(
            "({}, {}::date)",
            literal(&batch.source),
            literal(&batch.date.to_string())
        )
    };
    let rows: Vec<String> = access.stale.iter().flatten().map(row).collect();
    let stale = values(&rows, "NULL::text, NULL::date");
    format!(
        "    IF pg_catalog.to_regclass('pipeline.hidden_batches') IS NOT NULL THEN
        DELETE FROM pipeline.hidden_batches h WHERE NOT EXISTS (
            SELECT FROM {stale} s (source, batch_date) WHERE s.source = h.source AND s.batch_date = h.batch_date);
        INSERT INTO pipeline.hidden_batches SELECT s.source, s.batch_date FROM {stale} s (source, batch_date)
        ON CONFLICT DO NOTHING;
    END IF;
"
    )
}

/// The statements that keep the public from functions that show what readers may not see.
fn closed_functions(access: &Access) -> String {
    let (hides, functions) = (
        access.through_views(),
        text_array(access.functions.iter().map(String::as_str)),
    );
    format!(
        "    -- A function with its owner's rights reads what its caller may not.
    FOR item IN
        SELECT pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', p.oid::regprocedure)
        FROM pipeline.views v JOIN pg_catalog.pg_proc p ON p.proname = v.name AND v.kind = 'function'
            AND p.pronamespace = 'public'::regnamespace
        WHERE {hides} AND p.prosecdef AND NOT v.name = ANY ({functions}) AND EXISTS (
            SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) x
            WHERE x.grantee = 0)
    LOOP EXECUTE item; END LOOP;
"
    )
}

/// The views that readers use instead of the tables. Each has those of the wanted columns that exist in its table.
fn wanted(access: &Access) -> String {
    if !access.through_views() || access.tables.is_empty() {
        return values(&[], "NULL::text, NULL::text[]");
    }
    let rows: Vec<String> = access
        .tables
        .iter()
        .map(|table| {
            let columns = text_array(table.columns.iter().map(String::as_str));
            format!("({}, {columns})", literal(&table.name))
        })
        .collect();
    format!(
        "(SELECT t.name, ARRAY(
                SELECT u.x FROM pg_catalog.unnest(t.columns) WITH ORDINALITY u (x, n)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = u.x AND NOT a.attisdropped
                ORDER BY u.n)
            FROM (VALUES {}) t (name, columns)
            JOIN pg_catalog.pg_class c ON c.relname = t.name AND c.relnamespace = 'public'::regnamespace
                AND c.relkind = 'p')",
        rows.join(", ")
    )
}

fn views(access: &Access) -> String {
    let row = |view: &View| {
        let stands_on = text_array(view.stands_on.iter().map(String::as_str));
        format!("({}, {stands_on})", literal(&view.name))
    };
    values(
        &access.views.iter().map(row).collect::<Vec<_>>(),
        "NULL::text, NULL::text[]",
    )
}

fn files(access: &Access) -> String {
    let row = |file: &File| {
        let parts = [file.kind, &file.name, &file.fingerprint].map(literal);
        format!("({})", parts.join(", "))
    };
    values(
        &access.files.iter().map(row).collect::<Vec<_>>(),
        "NULL::text, NULL::text, NULL::text",
    )
}

/// `(VALUES ...)`, or `none` where there are no rows: SQL has no empty VALUES list.
fn values(rows: &[String], none: &str) -> String {
    if rows.is_empty() {
        format!("(SELECT {none} WHERE false)")
    } else {
        format!("(VALUES {})", rows.join(", "))
    }
}

/// Looks for what a reader can see in spite of the grants made here, by a grant to PUBLIC or to another role of the
/// reader: the quarantine and, where the batch's date is hidden, every object that holds it. Partitions need no
/// check, since reading them takes a right on their schema.
pub(super) async fn check(client: &Client, access: &Access) -> Result<()> {
    let sql = "
        SELECT g.rolname::text, pg_catalog.format('%I.%I', n.nspname, c.relname)
        FROM pipeline.readers r JOIN pg_catalog.pg_roles g ON g.rolname = r.name
        CROSS JOIN pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE (n.nspname = 'pipeline' AND c.relkind = 'r' AND (c.relname = 'quarantine' OR $1)
               OR $1 AND n.nspname = 'public' AND (
                   c.relkind = 'p' AND c.relname = ANY ($2)
                   OR c.relkind IN ('v', 'm') AND c.relname <> ALL ($3)
                      AND EXISTS (SELECT FROM pipeline.views v WHERE v.name = c.relname)))
        AND pg_catalog.has_schema_privilege(g.oid, n.oid, 'USAGE')
        AND pg_catalog.has_any_column_privilege(g.oid, c.oid, 'SELECT')
        ORDER BY 1, 2 LIMIT 5";
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
    let hides = access.through_views();
    let names: Vec<&str> = access.tables.iter().map(|table| table.name.as_str()).collect();
    let views: Vec<&str> = access.views.iter().map(|view| view.name.as_str()).collect();
    let parameters = [
        (&hides as _, Type::BOOL),
        (&names as _, Type::TEXT_ARRAY),
        (&views as _, Type::TEXT_ARRAY),
    ];
    let rows = client.query_typed(sql, &parameters).await.map_err(failed)?;
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let reader: String = first.get(0);
    let seen: Vec<&str> = rows
        .iter()
        .filter(|row| row.get::<_, &str>(0) == reader)
        .map(|row| row.get(1))
        .collect();
    Err(Error::batch(format!(
        "{reader} can read {}, which is not for readers",
        seen.join(", ")
    ))
    .hint("a grant to PUBLIC, or to a role that it is a member of, gives it that: take it back with REVOKE"))
}
