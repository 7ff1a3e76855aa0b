//! Compares the views that the database has with what their plans tell. A plan is made from the text of a file, and
//! PostgreSQL may read that text otherwise: a function or an operator that somebody made may stand in for a built-in one,
//! a name may be written in code. PostgreSQL knows what it has read.

use super::rights::{Access, Mentions, text_array, values};
use crate::warehouse::sql::literal;

/// A SELECT with rows where a view of `pipeline_reading`, `c`, is not what this program makes: a migration has put another
/// view in its place. `w` has the wanted columns.
pub(super) fn other(access: &Access) -> &'static str {
    if access.filters() { NOT_FILTERED } else { OTHER }
}

/// Rows where the view has another text than one that leaves batches out. Such a view reads columns that it does not show,
/// so what it reads does not tell. PostgreSQL writes the columns with `t.` before version 16.
const NOT_FILTERED: &str = "
                SELECT FROM (VALUES (1)) one (n)
                WHERE EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
                    OR pg_catalog.regexp_replace(pg_catalog.pg_get_viewdef(c.oid), '\\s+', ' ', 'g') <> ALL (ARRAY(
                        SELECT pg_catalog.concat(' SELECT ',
                            (SELECT pg_catalog.string_agg(pg_catalog.concat(q.prefix, pg_catalog.quote_ident(u.x)), ', ' ORDER BY u.n)
                             FROM pg_catalog.unnest(w.columns) WITH ORDINALITY u (x, n)),
                            pg_catalog.format(' FROM public.%I t', c.relname),
                            ' WHERE (NOT (EXISTS ( SELECT FROM pipeline.hidden_batches h',
                            ' WHERE ((h.source = t.source) AND (h.batch_date = t.batch_date))))) OFFSET 0;')
                        FROM (VALUES ('t.'), ('')) q (prefix)))";

/// Rows where the view reads more than the wanted columns of its table.
const OTHER: &str = "
                SELECT FROM pg_catalog.pg_rewrite r
                JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
                    AND d.deptype = 'n'
                LEFT JOIN pg_catalog.pg_class t ON d.refclassid = 'pg_catalog.pg_class'::regclass
                    AND t.oid = d.refobjid AND t.oid <> c.oid
                LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
                WHERE r.ev_class = c.oid AND (r.rulename <> '_RETURN'
                    OR d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
                        AND d.refobjid >= 16384
                    OR t.oid IS NOT NULL AND NOT (t.relnamespace = 'public'::regnamespace AND t.relname = c.relname)
                    OR a.attname IS NOT NULL AND a.attname <> ALL (w.columns))";

/// A SELECT of the names of views that hold what their plan does not know: a function or an operator that is not
/// PostgreSQL's own, a table that is no entity and no view of the project, a column that PostgreSQL adds to every table, a
/// hidden column that the plan does not name.
pub(super) fn unknown(access: &Access) -> String {
    if !access.through_views() {
        return "SELECT NULL::text WHERE false".to_owned();
    }
    let names = text_array(access.tables.iter().map(|table| table.name.as_str()));
    let hidden: Vec<String> = access
        .tables
        .iter()
        .map(|table| {
            let columns = text_array(table.hidden.iter().map(String::as_str));
            format!("({}, {columns})", literal(&table.name))
        })
        .collect();
    let hidden = values(&hidden, "NULL::text, NULL::text[]");
    let mention = |one: &Mentions| {
        let columns = text_array(one.columns.iter().map(String::as_str));
        format!("({}, {columns})", literal(&one.view))
    };
    let mentions = values(
        &access.mentions.iter().map(mention).collect::<Vec<_>>(),
        "NULL::text, NULL::text[]",
    );
    // 16384 is the first oid of a user's object.
    format!(
        "SELECT v.name FROM pipeline.views v
            JOIN pg_catalog.pg_class c ON c.relname = v.name AND c.relnamespace = 'public'::regnamespace
                AND c.relkind IN ('v', 'm')
            JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
                AND d.deptype = 'n'
            LEFT JOIN pg_catalog.pg_class t ON d.refclassid = 'pg_catalog.pg_class'::regclass AND t.oid = d.refobjid
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
            WHERE r.rulename <> '_RETURN'
            OR d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
                AND d.refobjid >= 16384
            OR t.oid IS NOT NULL AND NOT (t.relnamespace = 'public'::regnamespace AND (
                t.relkind = 'p' AND t.relname = ANY ({names})
                OR t.relkind IN ('v', 'm') AND EXISTS (SELECT FROM pipeline.views x WHERE x.name = t.relname)))
            OR a.attnum < 0
            OR EXISTS (SELECT FROM {hidden} h (name, columns) WHERE h.name = t.relname AND a.attname = ANY (h.columns))
                AND NOT EXISTS (SELECT FROM {mentions} m (name, columns) WHERE m.name = v.name
                    AND pg_catalog.concat(t.relname, '.', a.attname) = ANY (m.columns))"
    )
}
