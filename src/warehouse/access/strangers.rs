//! Finds code of others that a statement of this program would run: triggers, rules, defaults, constraints, indexes,
//! policies and types of its tables, and what could stand in for PostgreSQL's own functions. On the program's own tables, which have
//! none of these, whoever wrote it would act with the rights of the role that loads, or of the superuser who runs
//! `pipeline roles`.

use tokio_postgres::Client;

use super::rights::{Access, text_array};
use crate::error::{Code, Error, Result};
use crate::warehouse::sql::{PATH, db_error};

/// A SELECT of what was found, in words. It reads the catalog alone. Code of the owner's on an entity table is the
/// project's own (a migration made it); 16384 is the first oid of a user's object. A type that somebody made runs code of
/// theirs: a domain where a value is written, a cast where one is read.
pub(super) fn found(access: &Access) -> String {
    let names = text_array(access.tables.iter().map(|table| table.name.as_str()));
    format!(
        "WITH trusted (oid) AS (
    SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'pipeline'
    UNION SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper
), target (oid, own, relkind, place) AS (
    SELECT c.oid, n.nspname = 'pipeline', c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'pipeline' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        OR n.nspname IN ('pipeline_partitions', 'pipeline_leaves') AND c.relkind IN ('r', 'p')
        OR n.nspname = 'public' AND c.relkind = 'p' AND c.relname = ANY ({names})
), code (target, what, function) AS (
    SELECT t.tgrelid, pg_catalog.format('the trigger %I', t.tgname), t.tgfoid
    FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal AND t.tgparentid = 0
    UNION ALL
    SELECT r.ev_class, pg_catalog.format('the rule %I', r.rulename), NULL::oid
    FROM pg_catalog.pg_rewrite r WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT coalesce(a.adrelid, k.conrelid, i.indrelid, p.polrelid), 'code that calls a function', d.refobjid
    FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_attrdef a ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND a.oid = d.objid
    LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_catalog.pg_index i ON d.classid = 'pg_catalog.pg_class'::regclass AND i.indexrelid = d.objid
    LEFT JOIN pg_catalog.pg_policy p ON d.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = d.objid
    WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid >= 16384
)
SELECT pg_catalog.concat(c.what, ' on ', t.place, CASE WHEN f.oid IS NOT NULL THEN pg_catalog.concat(
    ' (', f.oid::regprocedure, ' of ', pg_catalog.pg_get_userbyid(f.proowner), ')') END) AS words
FROM code c JOIN target t ON t.oid = c.target LEFT JOIN pg_catalog.pg_proc f ON f.oid = c.function
WHERE t.own OR NOT EXISTS (SELECT FROM trusted o WHERE o.oid = f.proowner)
UNION
SELECT pg_catalog.concat(t.place, ', which is no table') FROM target t WHERE t.own AND t.relkind <> 'r'
UNION
SELECT pg_catalog.format('the column %I of %s, of the type %I.%I', a.attname, t.place, n.nspname, y.typname)
FROM target t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type y ON y.oid = a.atttypid JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace
WHERE t.own AND y.oid >= 16384
UNION
SELECT pg_catalog.concat('the function ', p.oid::regprocedure, ' of ', pg_catalog.pg_get_userbyid(p.proowner))
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM trusted o WHERE o.oid = p.proowner)
    AND EXISTS (SELECT FROM pg_catalog.pg_proc s WHERE s.proname = p.proname
        AND s.pronamespace = 'pg_catalog'::regnamespace)
UNION
SELECT pg_catalog.concat('the operator ', o.oid::regoperator, ' of ', pg_catalog.pg_get_userbyid(o.oprowner))
FROM pg_catalog.pg_operator o
WHERE o.oprnamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM trusted t WHERE t.oid = o.oprowner)
ORDER BY 1 LIMIT 5"
    )
}

/// Fails with what was found. This runs before any statement that reads or writes a table of the program.
pub(super) async fn check(client: &Client, access: &Access) -> Result<()> {
    let failed = |error: tokio_postgres::Error| db_error("code of others can't be looked for", &error);
    let sql = format!("SET LOCAL {PATH}; {}", found(access));
    let said = client.simple_query(&sql).await.map_err(failed)?;
    let rows = said.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let found: Vec<&str> = rows.collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(
        Error::batch(format!("code of others would run here: {}", found.join(", ")))
            .code(Code::CodeOfOthers)
            .cause("it would have the rights of the role that loads, or of the superuser who runs `pipeline roles`")
            .hint("drop it; what belongs to the project is handed over by ALTER FUNCTION ... OWNER TO the owner role"),
    )
}

/// The same for psql: a block that fails with what was found.
pub(super) fn statement(access: &Access) -> String {
    format!(
        "DO $pipeline$\nDECLARE words text;\nBEGIN\n\
         SELECT pg_catalog.string_agg(f.words, ', ') INTO words FROM ({}) f;\n\
         IF words IS NOT NULL THEN RAISE EXCEPTION 'code of others would run here: %', words; END IF;\n\
         END $pipeline$",
        found(access)
    )
}
