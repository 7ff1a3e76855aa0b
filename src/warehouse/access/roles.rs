//! The database's roles: an owner that can't log in, a loader that is a member of the owner, and a reader for BI
//! tools. One script makes them. It is run here, or printed for an administrator to run, and it can be repeated. It
//! contains no password.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{detours, script, strangers};
use crate::error::{Code, Error, Result};
use crate::warehouse::connect::Warehouse;
use crate::warehouse::sql::{PATH, db_error, sqlstate};

pub use super::grants::{apply, is_used};
pub use super::names::Names;
pub use super::rights::{Access, File, Mentions, Table, View};
pub use super::superuser::refuse_superuser;

/// The script for psql, as a superuser: the statements of [`make`], in the same order.
pub fn print(names: &Names, access: &Access) -> String {
    let head = "-- Written by `pipeline roles --print`. Run by psql as a superuser, in the project's database, without -1.\n\
                \\set ON_ERROR_STOP on\n";
    let head = if access.stale.is_some() {
        head.to_owned()
    } else {
        format!(
            "{head}-- The project promises masks. Under which masks the batches were loaded, this script can't know:\n\
             -- the loader's next `pipeline views` grants readers what they may see.\n"
        )
    };
    let statements: Vec<String> = script::statements(names, access)
        .into_iter()
        .map(|statement| format!("{statement};\n"))
        .collect();
    format!("{head}{}", statements.join("\n"))
}

/// Makes the roles, gives the owner the existing objects, and gives the reader its grants. After an error, the steps
/// done so far stay; running it again continues with the rest.
pub async fn make(warehouse: &Warehouse, names: &Names, access: &Access) -> Result<()> {
    if warehouse.is_embedded() {
        return Err(Error::project(
            "the embedded database has no use for roles: whoever may open its folder may do all",
        )
        .code(Code::RolesInvalid)
        .hint("name a server with --database-url or DATABASE_URL; --print shows the SQL without one"));
    }
    let connection = warehouse.acquire().await?;
    let client: &Client = &connection;
    let failed = |error: tokio_postgres::Error| explain(&error);
    client
        .batch_execute(&format!("SET ROLE NONE; SET {PATH}"))
        .await
        .map_err(failed)?;
    strangers::check(client, access).await?;
    refuse_unfit(client, names).await?;
    for statement in script::statements(names, access) {
        client.batch_execute(&statement).await.map_err(failed)?;
    }
    check_owner(client, names).await?;
    // Where the grants are still to be given, they are checked then.
    if access.stale.is_none() {
        return Ok(());
    }
    detours::check(client, access).await
}

const REMEDY: &str = "let a superuser run the SQL that `pipeline roles --print` prints, with psql in this database";

/// Refuses roles with which the script would fail half-way, or with which a reader could read everything.
async fn refuse_unfit(client: &Client, names: &Names) -> Result<()> {
    let failed = |error: tokio_postgres::Error| db_error("the database's roles can't be read", &error);
    let sql =
        "SELECT session_user::text, u.rolsuper OR (u.rolcreaterole AND pg_catalog.pg_has_role(d.datdba, 'USAGE')),
               EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND (rolcanlogin OR rolsuper)),
               EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $2 AND rolsuper),
               EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner
                       WHERE n.nspname = 'pipeline_check' AND o.rolname <> $3),
               EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $3 AND (rolcanlogin OR rolsuper))
               FROM pg_catalog.pg_roles u, pg_catalog.pg_database d
               WHERE u.rolname = session_user AND d.datname = current_database()";
    let parameters = [
        (&names.owner as _, Type::TEXT),
        (&names.reader as _, Type::TEXT),
        (&names.checker as _, Type::TEXT),
    ];
    let row = client.query_typed_one(sql, &parameters).await.map_err(failed)?;
    if !row.get::<_, bool>(1) {
        return Err(Error::project(format!(
            "the user {} may not make the roles: it takes a superuser, or CREATEROLE and the ownership of the database",
            row.get::<_, String>(0)
        ))
        .code(Code::RolesInvalid)
        .hint(REMEDY));
    }
    if row.get(2) {
        return Err(Error::project(format!("the role {} is there and can log in", names.owner))
            .code(Code::RolesInvalid).hint("the owner never logs in, its members assume it: choose another with --owner, or ALTER ROLE ... NOLOGIN"));
    }
    if row.get(3) {
        return Err(Error::project(format!(
            "the role {} is a superuser, who reads everything",
            names.reader
        ))
        .code(Code::RolesInvalid)
        .hint("choose another with --reader"));
    }
    if row.get(4) {
        return Err(Error::project(format!(
            "the schema pipeline_check belongs to another role than {}",
            names.checker
        ))
        .code(Code::RolesInvalid)
        .hint("name the role that owns it with --checker; if the schema is not of this program, drop it"));
    }
    if row.get(5) {
        return Err(Error::project(format!(
            "the role {} is there and can log in, or is a superuser",
            names.checker
        ))
        .code(Code::RolesInvalid)
        .hint("the checks of sql/checks run with its rights alone: choose another with --checker"));
    }
    Ok(())
}

/// Checks the owner's rights, since GRANT only warns where the right to grant is missing.
async fn check_owner(client: &Client, names: &Names) -> Result<()> {
    let failed = |error: tokio_postgres::Error| db_error("the owner's rights can't be read", &error);
    let sql = "SELECT pg_catalog.has_schema_privilege($1, 'public', 'CREATE') AND
               pg_catalog.has_database_privilege($1, current_database(), 'CREATE')";
    let row = client.query_typed_one(sql, &[(&names.owner as _, Type::TEXT)]).await;
    if row.map_err(failed)?.get(0) {
        return Ok(());
    }
    Err(Error::batch(format!(
        "{} may not make tables in the schema public, and this user may not let it",
        names.owner
    ))
    .code(Code::RolesInvalid)
    .hint(REMEDY))
}

fn explain(error: &tokio_postgres::Error) -> Error {
    let built = db_error("the roles can't be made", error);
    match sqlstate(error) {
        Some("42501") => built.hint(REMEDY),
        Some("55P03") => built.hint(
            "somebody reads or loads a table that is handed to its new owner: run it again when the database is quiet",
        ),
        _ => built,
    }
}
