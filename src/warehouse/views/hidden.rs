//! What a view may not read. Whoever may read a view reads with its owner's rights: over the quarantine it would show
//! readers what they have no right to, and over a partition it would keep the next run from swapping that out.

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

/// Of these views those that read such a table, and its name.
pub(super) async fn read_by(client: &Client, views: &[Oid]) -> Result<Vec<(Oid, String)>> {
    let rows = client
        .query_typed(SQL, &[(&views, Type::OID_ARRAY), (&PARTITIONS, Type::TEXT)])
        .await;
    let rows = rows.map_err(|error| db_error("what the views read can't be looked up", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
