//! Which tables a view may not read, and which functions it may not call. A view reads with its owner's rights, so a view of the quarantine would show
//! readers what they may not see. A view of a partition would keep the next run from replacing that partition.

use tokio_postgres::Client;
use tokio_postgres::types::{Oid, Type};

use crate::error::Result;
use crate::warehouse::sql::{PARTITIONS, db_error};

/// PostgreSQL's functions that read or write the server's files (PostgreSQL manual, "Generic File Access Functions" and
/// "Server-Side Large Object Functions").
const FILE_FUNCTIONS: &[&str] = &[
    "pg_read_file",
    "pg_read_binary_file",
    "pg_stat_file",
    "pg_ls_dir",
    "pg_ls_logdir",
    "pg_ls_waldir",
    "pg_ls_summariesdir",
    "pg_ls_archive_statusdir",
    "pg_ls_tmpdir",
    "pg_ls_logicalmapdir",
    "pg_ls_logicalsnapdir",
    "pg_ls_replslotdir",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_show_all_file_settings",
    "lo_import",
    "lo_export",
];

const SQL: &str = "
SELECT DISTINCT r.ev_class, pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_catalog.pg_class c ON d.refclassid = 'pg_catalog.pg_class'::regclass AND c.oid = d.refobjid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_class = ANY($1) AND (n.nspname = $2 OR (n.nspname, c.relname) = ('pipeline', 'quarantine'))
ORDER BY 2";

// PostgreSQL records no dependency on its own functions, so the stored query is searched for their numbers. The body of a
// function that is kept as text is searched for their names.
const CALLS: &str = "
WITH file (oid, name) AS (
    SELECT oid, proname::text FROM pg_catalog.pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ($2)
)
SELECT r.ev_class, f.name FROM pg_catalog.pg_rewrite r, file f
WHERE r.ev_class = ANY ($1) AND r.ev_action::text ~ pg_catalog.concat(':funcid ', f.oid, ' ')
UNION
SELECT p.oid, f.name FROM pg_catalog.pg_proc p, file f
WHERE p.oid = ANY ($1) AND (p.prosrc ~* pg_catalog.concat('\\m', f.name, '\\M')
    OR p.prosqlbody::text ~ pg_catalog.concat(':funcid ', f.oid, ' '))
ORDER BY 2";

/// Those of the given views and functions that call a function which reads or writes the server's files, each with that
/// function's name.
pub(super) async fn read_files(client: &Client, views: &[Oid]) -> Result<Vec<(Oid, String)>> {
    let parameters = [(&views as _, Type::OID_ARRAY), (&FILE_FUNCTIONS as _, Type::TEXT_ARRAY)];
    let rows = client.query_typed(CALLS, &parameters).await;
    let rows = rows.map_err(|error| db_error("what the views call can't be looked up", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Those of the given views that read a forbidden table, each with the table's name.
pub(super) async fn read_by(client: &Client, views: &[Oid]) -> Result<Vec<(Oid, String)>> {
    let rows = client
        .query_typed(SQL, &[(&views, Type::OID_ARRAY), (&PARTITIONS, Type::TEXT)])
        .await;
    let rows = rows.map_err(|error| db_error("what the views read can't be looked up", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
