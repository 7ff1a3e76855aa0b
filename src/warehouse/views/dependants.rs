//! Finds what depends on a view or a function, directly or through other objects. The source is `pg_depend`, which
//! knows views, functions with a parsed body, and everything that uses a view's row type.

use tokio_postgres::Client;
use tokio_postgres::types::{Oid, Type};

use super::registry;
use crate::error::Result;
use crate::model::ViewKind;
use crate::warehouse::sql::db_error;

/// One object that depends on another.
#[derive(Debug)]
pub(super) struct Dependant {
    /// PostgreSQL's description for a message, such as `view reports.monthly`.
    pub description: String,
    /// Kind and name, where it is a view or function of `public` and so may be one that this program made.
    pub ours: Option<(ViewKind, String)>,
    pub oid: Oid,
}

// Triggers and rules on a view count, too: they are automatic dependants, so DROP would remove them without a word.
const SQL: &str = "
WITH RECURSIVE found (classid, objid, depth) AS (
    SELECT $1::text::regclass::oid, $2::oid, 0
    UNION
    SELECT next.classid, next.objid, found.depth + 1
    FROM found CROSS JOIN LATERAL (
        SELECT CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::regclass::oid END,
               coalesce(r.ev_class, d.objid)
        FROM pg_catalog.pg_depend d
        LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
        WHERE d.deptype = 'n' AND (
            (d.refclassid = found.classid AND d.refobjid = found.objid)
            OR (found.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_type'::regclass
                AND d.refobjid IN (SELECT unnest(ARRAY[t.oid, t.typarray]) FROM pg_catalog.pg_type t
                                   WHERE t.typrelid = found.objid)))
        UNION ALL
        SELECT 'pg_catalog.pg_trigger'::regclass, t.oid FROM pg_catalog.pg_trigger t
        WHERE found.classid = 'pg_catalog.pg_class'::regclass AND t.tgrelid = found.objid AND NOT t.tgisinternal
        UNION ALL
        SELECT 'pg_catalog.pg_rewrite'::regclass, r.oid FROM pg_catalog.pg_rewrite r
        WHERE found.classid = 'pg_catalog.pg_class'::regclass AND r.ev_class = found.objid AND r.rulename <> '_RETURN'
    ) next (classid, objid)
    WHERE (next.classid, next.objid) <> (found.classid, found.objid) AND found.depth < 50
)
SELECT pg_catalog.pg_describe_object(f.classid, f.objid, 0),
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized' ELSE CASE WHEN p.oid IS NOT NULL THEN 'function' END END,
       coalesce(c.relname, p.proname)::text, f.objid
FROM found f
LEFT JOIN pg_catalog.pg_class c ON f.classid = 'pg_catalog.pg_class'::regclass AND c.oid = f.objid
    AND c.relnamespace = 'public'::regnamespace
LEFT JOIN pg_catalog.pg_proc p ON f.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = f.objid
    AND p.pronamespace = 'public'::regnamespace
WHERE f.depth > 0
GROUP BY f.classid, f.objid, c.relkind, c.relname, p.oid, p.proname
ORDER BY max(f.depth) DESC, 1";

/// All objects that depend on one, the farthest first. They can be dropped in this order.
pub(super) async fn of(client: &Client, kind: ViewKind, oid: Oid) -> Result<Vec<Dependant>> {
    let class = if kind == ViewKind::Function {
        "pg_catalog.pg_proc"
    } else {
        "pg_catalog.pg_class"
    };
    let rows = client
        .query_typed(SQL, &[(&class, Type::TEXT), (&oid, Type::OID)])
        .await;
    let rows = rows.map_err(|error| db_error("what depends on a view can't be looked up", &error))?;
    Ok(rows
        .iter()
        .map(|row| {
            let kind = row.get::<_, Option<&str>>(1).and_then(registry::kind);
            Dependant {
                description: row.get(0),
                ours: kind.zip(row.get::<_, Option<String>>(2)),
                oid: row.get(3),
            }
        })
        .collect())
}
