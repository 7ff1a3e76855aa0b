//! The names of the schemas and of the role that checks run as. `pipeline`, which holds the program's own state, is written out in every statement.

/// Holds the entity tables, and the views and functions of `sql/`.
pub const ENTITIES: &str = "public";
/// Holds the staging tables, the batch partitions that they become, and the source partitions above those.
pub const PARTITIONS: &str = "pipeline_partitions";
/// Holds views of the entity tables without the batch's date. It comes first in a reader's `search_path`. It is empty
/// where nothing is hidden.
pub const READING: &str = "pipeline_reading";

/// The names that a statement of this program resolves: those of PostgreSQL alone. By another path, an operator or a
/// function that somebody made could stand in for one of PostgreSQL.
pub const PATH: &str = "search_path = pg_catalog, pg_temp";

/// The names that the SQL of a project resolves, while it runs: migrations, views, functions, checks and queries.
pub const PROJECT_PATH: &str = "search_path = public, pg_temp";

/// The role with whose rights checks run, as a subquery: its oid and name, or no row where `pipeline roles` has not made it.
/// It must not be the owner of the tables, nor a superuser, nor a member of either.
pub const CHECKER: &str = "(SELECT k.oid, k.rolname FROM pg_catalog.pg_proc p
            JOIN pg_catalog.pg_roles k ON k.oid = p.proowner AND NOT k.rolcanlogin
            WHERE p.oid = pg_catalog.to_regprocedure('pipeline_check.rows_of(text)') AND p.prosecdef
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE (r.rolsuper OR r.oid = (
                    SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'pipeline'))
                    AND pg_catalog.pg_has_role(k.oid, r.oid, 'MEMBER')))";
