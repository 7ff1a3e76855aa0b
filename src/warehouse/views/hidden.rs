//! Which tables a view may not read. A view reads with its owner's rights, so a view of the quarantine would show
//! readers what they may not see. A view of a partition would keep the next run from replacing that partition.

use tokio_postgres::Client;
use tokio_postgres::types::{Oid, Type};

use crate::error::Result;
use crate::warehouse::sql::{PARTITIONS, db_error};

const SQL: &str = "
SELECT DISTINCT r.ev_class, pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_catalog.pg_class c ON d.refclassid = 'pg_catalog.pg_class'::regclass AND c.oid = d.refobjid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_class = ANY($1) AND (n.nspname = $2 OR (n.nspname, c.relname) = ('pipeline', 'quarantine'))
ORDER BY 2";

/// Those of the given views that read a forbidden table, each with the table's name.
pub(super) async fn read_by(client: &Client, views: &[Oid]) -> Result<Vec<(Oid, String)>> {
    let rows = client
        .query_typed(SQL, &[(&views, Type::OID_ARRAY), (&PARTITIONS, Type::TEXT)])
        .await;
    let rows = rows.map_err(|error| db_error("what the views read can't be looked up", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
