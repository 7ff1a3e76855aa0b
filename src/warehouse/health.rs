//! Facts about a server for `pipeline doctor`: rights, settings, leftovers. It reads the catalog and changes nothing.

use chrono::{DateTime, Utc};
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, Row};

use crate::error::Result;
use crate::warehouse::sql::{ENTITIES, PARTITIONS, db_error};

/// What a server and this user's session on it are like.
#[derive(Debug, Clone)]
pub struct Health {
    /// Such as `15.18`.
    pub version: String,
    pub user: String,
    /// Whether the session is encrypted. `None`: the user may not see it.
    pub encrypted: Option<bool>,
    pub clock: DateTime<Utc>,
    /// The database's size, in bytes.
    pub bytes: i64,
    pub in_recovery: bool,
    pub read_only: bool,
    pub fsync: bool,
    pub max_connections: i64,
    /// Sessions that are open now, this one included.
    pub connections: i64,
    pub max_locks_per_transaction: i64,
    /// In bytes.
    pub maintenance_work_mem: i64,
    /// In bytes.
    pub max_wal_size: i64,
    /// What the user lacks, in words.
    pub lacks: Vec<String>,
    /// Batch partitions of all entities.
    pub partitions: i64,
    /// Staging tables of runs that have ended.
    pub leftovers: i64,
    /// Runs that the history shows as running since more than a day.
    pub old_runs: i64,
}

/// Asks the server.
pub async fn health(client: &Client, entities: &[String]) -> Result<Health> {
    let failed = |error: tokio_postgres::Error| db_error("the server's settings can't be read", &error);
    let sql = "SELECT current_setting('server_version'), current_user::text, \
               (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), clock_timestamp(), \
               pg_database_size(current_database()), pg_is_in_recovery(), \
               current_setting('default_transaction_read_only') = 'on', current_setting('fsync') = 'on', \
               current_setting('max_connections')::int8, (SELECT count(*) FROM pg_stat_activity), \
               current_setting('max_locks_per_transaction')::int8, \
               pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes(current_setting('max_wal_size')), \
               (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' \
               AND relispartition), EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'pipeline' AND c.relname = 'runs' AND has_schema_privilege(n.oid, 'USAGE') \
               AND has_table_privilege(c.oid, 'SELECT'))";
    let row = client
        .query_typed(sql, &[(&PARTITIONS, Type::TEXT)])
        .await
        .map_err(failed)?;
    let Some(row) = row.first() else {
        return Err(crate::error::Error::internal());
    };
    let mut health = read(row).map_err(failed)?;
    health.lacks = lacks(client, entities).await.map_err(failed)?;
    if get(row, 14).map_err(failed)? {
        let (leftovers, old_runs) = history(client).await.map_err(failed)?;
        (health.leftovers, health.old_runs) = (leftovers, old_runs);
    }
    Ok(health)
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> std::result::Result<T, tokio_postgres::Error> {
    row.try_get(at)
}

fn read(row: &Row) -> std::result::Result<Health, tokio_postgres::Error> {
    Ok(Health {
        version: get(row, 0)?,
        user: get(row, 1)?,
        encrypted: get(row, 2)?,
        clock: get(row, 3)?,
        bytes: get(row, 4)?,
        in_recovery: get(row, 5)?,
        read_only: get(row, 6)?,
        fsync: get(row, 7)?,
        max_connections: get(row, 8)?,
        connections: get(row, 9)?,
        max_locks_per_transaction: get(row, 10)?,
        maintenance_work_mem: get(row, 11)?,
        max_wal_size: get(row, 12)?,
        lacks: Vec::new(),
        partitions: get(row, 13)?,
        leftovers: 0,
        old_runs: 0,
    })
}

/// The rights that a run needs and the user lacks. A schema that does not exist must be made, which takes the right to
/// make schemas.
async fn lacks(client: &Client, entities: &[String]) -> std::result::Result<Vec<String>, tokio_postgres::Error> {
    let sql = "SELECT CASE WHEN to_regnamespace(name) IS NULL THEN \
               CASE WHEN has_database_privilege(current_database(), 'CREATE') THEN NULL \
               ELSE 'the right to create the schema ' || name END \
               WHEN NOT has_schema_privilege(name, 'USAGE') THEN 'USAGE on the schema ' || name \
               WHEN name = $2 AND NOT has_schema_privilege(name, 'CREATE') THEN 'CREATE on the schema ' || name END \
               FROM unnest($1::text[]) AS name \
               UNION ALL SELECT 'membership in the role ' || pg_get_userbyid(relowner) || ', which owns ' || relname \
               FROM pg_class WHERE relname = ANY($3::text[]) AND relnamespace = to_regnamespace($4) AND relkind = 'p' \
               AND NOT pg_has_role(relowner, 'USAGE')";
    let schemas = [ENTITIES, "pipeline", PARTITIONS].map(str::to_owned).to_vec();
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
        (&schemas, Type::TEXT_ARRAY),
        (&PARTITIONS, Type::TEXT),
        (&entities, Type::TEXT_ARRAY),
        (&ENTITIES, Type::TEXT),
    ];
    let rows = client.query_typed(sql, &parameters).await?;
    let found: std::result::Result<Vec<Option<String>>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    Ok(found?.into_iter().flatten().collect())
}

/// The staging tables of runs that have ended, and the runs that seem to go on for more than a day.
async fn history(client: &Client) -> std::result::Result<(i64, i64), tokio_postgres::Error> {
    let sql = "SELECT (SELECT count(*) FROM pg_class c WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' \
               AND NOT relispartition AND NOT EXISTS (SELECT FROM pipeline.runs r WHERE r.status = 'running' \
               AND r.run_id = substring(c.relname FROM '_r([0-9]{1,18})$')::int8)), \
               (SELECT count(*) FROM pipeline.runs WHERE status = 'running' \
               AND started_at < clock_timestamp() - interval '1 day')";
    let rows = client.query_typed(sql, &[(&PARTITIONS, Type::TEXT)]).await?;
    match rows.first() {
        Some(row) => Ok((row.try_get(0)?, row.try_get(1)?)),
        None => Ok((0, 0)),
    }
}
