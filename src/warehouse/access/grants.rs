//! Brings the readers' rights to what the project says. Readers get grants on entity tables and views. Where the
//! batch's date is hidden, they instead get views without that column, in a separate schema. The owner or a member of
//! the owner role runs this, after every step that can add a table or a view. Where all rights are right already, it
//! locks nothing and writes nothing.

use tokio_postgres::Client;

use super::rights::{Access, View, text_array, values};
use super::{definitions, detours, strangers};
use crate::error::Result;
use crate::model::Batch;
use crate::warehouse::sql::{CHECKER, PATH, db_error, literal, sqlstate};

/// The key of the advisory lock under which grants are changed ("access" in ASCII). Two sessions that change grants
/// at once would fail with "tuple concurrently updated".
const LOCK: i64 = 0x6163_6365_7373;

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
    strangers::check(client, access).await?;
    // One message is one transaction, so the path ends with it.
    let sql = format!("SET LOCAL {PATH}; {}", statement(access));
    if let Err(error) = client.batch_execute(&sql).await {
        let built = db_error("the readers' rights can't be brought to what the project says", &error);
        return Err(match sqlstate(&error) {
            Some("42P01") => built.hint("run `pipeline migrate` first"),
            Some("42501") => built
                .hint("run as a member of the role that owns the tables, or let a superuser repeat `pipeline roles`"),
            _ => built,
        });
    }
    detours::check(client, access).await
}

/// One DO block. It changes only what differs.
pub(super) fn statement(access: &Access) -> String {
    let names = text_array(access.tables.iter().map(|table| table.name.as_str()));
    let (views, files) = (views(access), files(access));
    let (hides, filters, wanted) = (access.through_views(), access.filters(), wanted(access));
    let (hidden, owed) = (hidden(access), text_array(access.owed.iter().map(String::as_str)));
    let (unknown, functions, checker) = (definitions::unknown(access), functions(access), checker(access, &names));
    let doubtful = unless_doubtful(access);
    let left = text_array(access.left.iter().map(String::as_str));
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
{doubtful}{hidden}    FOR item IN
        SELECT pg_catalog.format('DROP VIEW pipeline_reading.%I', c.relname)
        FROM pg_catalog.pg_class c LEFT JOIN {wanted} w (name, columns) ON w.name = c.relname
        WHERE c.relnamespace = 'pipeline_reading'::regnamespace AND c.relkind = 'v' AND (w.columns IS DISTINCT FROM
            ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
            OR {filters} <> ('security_barrier=true' = ANY (coalesce(c.reloptions, '{{}}')))
            OR EXISTS ({}))
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
        WITH unknown (name) AS ({unknown}),
        object (oid, may, doubtful, owed) AS (
            SELECT c.oid, c.relname = ANY ({names}) AND NOT {hides}, false, false
            FROM pg_catalog.pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'p'
                AND (c.relname = ANY ({names}) OR c.relname = ANY ({left}) OR ({hides} AND c.relowner = current_user::regrole))
            UNION ALL
            -- What is told of a view's file holds once the database has it, and all that it stands on.
            SELECT c.oid, w.name IS NOT NULL AND (w.exposed AND NOT {filters} OR NOT EXISTS (
                SELECT FROM pg_catalog.unnest(w.stands_on) s (name) JOIN unknown u ON u.name = s.name)),
            {hides} AND EXISTS (SELECT FROM pg_catalog.unnest(w.stands_on) s (name) WHERE NOT EXISTS (
                    SELECT FROM pipeline.views x JOIN {files} f (kind, name, fingerprint)
                        ON f.kind = x.kind AND f.name = x.name AND f.fingerprint = x.fingerprint
                    WHERE x.name = s.name)), coalesce(w.stands_on && {owed}, false)
            FROM pipeline.views v JOIN pg_catalog.pg_class c ON c.relname = v.name
                AND c.relnamespace = 'public'::regnamespace
                AND c.relkind = CASE v.kind WHEN 'view' THEN 'v' WHEN 'materialized' THEN 'm' END::\"char\"
            LEFT JOIN {views} w (name, stands_on, exposed) ON w.name = v.name
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
{functions}{checker}END $pipeline$",
        definitions::other(access)
    )
}

/// The body of a view that leaves hidden batches out. The barrier keeps a reader's own condition from seeing the rows
/// of those: its error would show their values. OFFSET 0 keeps even a condition above that PostgreSQL holds to be safe, such
/// as `name = 'x'`: EXPLAIN ANALYZE counts the rows that pass it.
const FILTERED: &str = "WITH (security_barrier) AS SELECT %s FROM public.%I t WHERE NOT EXISTS (SELECT FROM \
                        pipeline.hidden_batches h WHERE h.source = t.source AND h.batch_date = t.batch_date) OFFSET 0";

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

/// A function with its owner's rights reads what its caller may not. Where readers use views instead of the tables, they
/// get it only if it is exposed.
fn functions(access: &Access) -> String {
    format!(
        "    FOR item IN
        WITH own (oid, may) AS (
            SELECT p.oid, v.name = ANY ({}) FROM pipeline.views v
            JOIN pg_catalog.pg_proc p ON p.proname = v.name AND v.kind = 'function'
                AND p.pronamespace = 'public'::regnamespace
            WHERE {} AND p.prosecdef
        ), reader (oid, name) AS (
            SELECT g.oid, pg_catalog.quote_ident(g.rolname)
            FROM pipeline.readers r JOIN pg_catalog.pg_roles g ON g.rolname = r.name
        )
        SELECT pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM %s', o.oid::regprocedure, g.name)
        FROM own o JOIN pg_catalog.pg_proc p ON p.oid = o.oid
        CROSS JOIN (SELECT * FROM reader UNION ALL SELECT 0::oid, 'PUBLIC') g (oid, name)
        WHERE NOT o.may AND EXISTS (
            SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) x
            WHERE x.grantee = g.oid)
        UNION ALL
        SELECT pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %s', o.oid::regprocedure, r.name)
        FROM own o CROSS JOIN reader r
        WHERE o.may AND NOT pg_catalog.has_function_privilege(r.oid, o.oid, 'EXECUTE')
    LOOP EXECUTE item; END LOOP;
",
        text_array(access.exposed.iter().map(String::as_str)),
        access.through_views()
    )
}

/// The checks of `sql/checks` run with the rights of a role of their own ([`super::sandbox`]). It reads the views, but those
/// over what readers may not see of batches, and nothing of the schema `pipeline`. Of the entity tables it reads what a
/// check's transaction lets it (`src/warehouse/load/live_rows.rs`).
fn checker(access: &Access, names: &str) -> String {
    let list = |names: &[String]| text_array(names.iter().map(String::as_str));
    format!(
        "    FOR item IN
        SELECT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, k.rolname)
        FROM {CHECKER} k (oid, rolname), pg_catalog.pg_namespace n
        WHERE n.nspname = 'pipeline_partitions' AND NOT pg_catalog.has_schema_privilege(k.oid, n.oid, 'USAGE')
        UNION ALL
        SELECT pg_catalog.format('GRANT SELECT ON public.%I TO %I', c.relname, k.rolname)
        FROM {CHECKER} k (oid, rolname), pg_catalog.pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND NOT pg_catalog.has_table_privilege(k.oid, c.oid, 'SELECT')
            AND c.relkind IN ('v', 'm') AND c.relname <> ALL ({closed} || {owed})
            AND EXISTS (SELECT FROM pipeline.views v WHERE v.name = c.relname)
        UNION ALL
        SELECT pg_catalog.format('REVOKE SELECT ON public.%I FROM %I', c.relname, k.rolname)
        FROM {CHECKER} k (oid, rolname), pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) x
        WHERE c.relnamespace = 'public'::regnamespace AND x.grantee = k.oid AND x.privilege_type = 'SELECT'
            AND (c.relkind = 'p' AND c.relname = ANY ({names})
                OR c.relkind IN ('v', 'm') AND c.relname = ANY ({closed}))
    LOOP EXECUTE item; END LOOP;
",
        closed = list(&access.closed),
        owed = list(&access.owed),
    )
}

/// Ends the block where no database was asked, and this one has batches that hold what readers may not see: shifted
/// dates, or the batch's date in a column that would be shown. The next command that asks it grants the rights.
fn unless_doubtful(access: &Access) -> String {
    if access.asked {
        return String::new();
    }
    let hidden = access.tables.iter().map(|table| {
        let columns = text_array(table.hidden.iter().map(String::as_str));
        format!("({}, {columns})", literal(&table.name))
    });
    let hidden = values(&hidden.collect::<Vec<_>>(), "NULL::text, NULL::text[]");
    let doubtful = if access.hides {
        format!(
            "coalesce(pg_catalog.to_jsonb(m) ->> 'batch_date_in', '') <> 'no' AND NOT EXISTS (
            SELECT FROM {hidden} h (name, columns) WHERE h.name = m.entity AND m.column_name = ANY (h.columns))"
        )
    } else {
        "m.fields @> '[{\"mask\": \"date_shift\"}]'".to_owned()
    };
    format!(
        "    IF pg_catalog.to_regclass('pipeline.masks') IS NOT NULL THEN
        IF EXISTS (SELECT FROM pipeline.masks m WHERE {doubtful}) THEN
            RAISE WARNING 'batches hold dates that this script does not know of: `pipeline views` gives readers their rights';
            RETURN;
        END IF;
    END IF;
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
        // Of a table whose columns are all hidden, nothing is left.
        .filter(|table| !table.columns.is_empty())
        .map(|table| {
            let columns = text_array(table.columns.iter().map(String::as_str));
            format!("({}, {columns})", literal(&table.name))
        })
        .collect();
    if rows.is_empty() {
        return values(&[], "NULL::text, NULL::text[]");
    }
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
        format!("({}, {stands_on}, {})", literal(&view.name), view.exposed)
    };
    values(
        &access.views.iter().map(row).collect::<Vec<_>>(),
        "NULL::text, NULL::text[], NULL::boolean",
    )
}

fn files(access: &Access) -> String {
    let row = |file: &super::rights::File| {
        let parts = [file.kind, &file.name, &file.fingerprint].map(literal);
        format!("({})", parts.join(", "))
    };
    values(
        &access.files.iter().map(row).collect::<Vec<_>>(),
        "NULL::text, NULL::text, NULL::text",
    )
}
