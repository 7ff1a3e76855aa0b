//! Refuses to work as a superuser once roles exist. The SQL of a project runs in the session of whoever loads. A session
//! that has assumed the owner role can leave it: SET ROLE is no boundary.

use crate::error::{Code, Error, Result};
use crate::warehouse::connect::Warehouse;
use crate::warehouse::sql::db_error;

/// Before version 16, CREATEROLE gives everything but the name.
const SQL: &str = "SELECT session_user::text, EXISTS (SELECT FROM pg_catalog.pg_roles r
        WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') AND (r.rolsuper
            OR r.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')))
    OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = session_user AND r.rolcreaterole
        AND pg_catalog.current_setting('server_version_num')::int < 160000),
    -- The owner can drop the first, and not the second.
    EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = 'readers'
            AND relnamespace = pg_catalog.to_regnamespace('pipeline'))
    OR pg_catalog.to_regnamespace('pipeline_check') IS NOT NULL";

/// Fails where roles exist and the session's user is a superuser, may become one, or reads the server's files.
pub async fn refuse_superuser(warehouse: &Warehouse) -> Result<()> {
    if warehouse.is_embedded() {
        return Ok(());
    }
    let connection = warehouse.acquire().await?;
    let row = connection.query_typed_one(SQL, &[]).await;
    let row = row.map_err(|error| db_error("the user's rights can't be looked up", &error))?;
    if !row.get::<_, bool>(1) || !row.get::<_, bool>(2) {
        return Ok(());
    }
    Err(Error::project(format!(
        "{} has the rights of a superuser, and `pipeline roles` has made roles in this database",
        row.get::<_, &str>(0)
    ))
    .code(Code::SuperuserRefused)
    .cause("the project's SQL would run in its session, and could use its rights")
    .hint("connect as the loader role; --as-superuser does it all the same"))
}
