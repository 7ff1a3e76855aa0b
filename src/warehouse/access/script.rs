//! The SQL that makes the roles and gives the project's objects to the owner. Each statement checks before it
//! changes, so a second run changes nothing. No statement contains a password.

use super::names::Names;
use super::rights::{self, Access};
use super::{grants, sandbox, strangers};
use crate::warehouse::sql::{PATH, ident, literal};

/// Settings that keep rows out of the server's log (docs, "SECURITY"). Only a superuser may set them.
const QUIET: &[(&str, &str)] = &[
    ("log_min_messages", "fatal"),
    ("log_error_verbosity", "terse"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
];

/// The statements in order, to be sent one at a time: partitions change their owner in portions, each with its own
/// COMMIT.
pub(super) fn statements(names: &Names, access: &Access) -> Vec<String> {
    let owner = ident(&names.owner);
    let mut statements = vec![
        format!("SET {PATH}"),
        "SET client_min_messages = warning".to_owned(),
        "SET lock_timeout = '30s'".to_owned(),
        strangers::statement(access),
        roles(names),
        rights(names),
        hand_over(names, access),
        hand_over_partitions(names),
        settings(names),
    ];
    statements.extend(sandbox::statements(names));
    statements.extend([
        format!("SET ROLE {owner}"),
        "CREATE TABLE IF NOT EXISTS pipeline.readers (name text PRIMARY KEY)".to_owned(),
        format!(
            "INSERT INTO pipeline.readers VALUES ({}) ON CONFLICT DO NOTHING",
            literal(&names.reader)
        ),
    ]);
    // Under which masks the batches were loaded is not known without the database. The loader's next command knows.
    if access.stale.is_some() {
        statements.push(grants::statement(access));
    }
    statements.push("RESET ROLE".to_owned());
    statements
}

fn block(declare: &str, body: &str) -> String {
    format!("DO $pipeline$\n{declare}BEGIN\n{body}END $pipeline$")
}

fn roles(names: &Names) -> String {
    let one = |name: &str, login: &str| {
        format!(
            "    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) THEN\n        \
             CREATE ROLE {} {login};\n    END IF;\n",
            literal(name),
            ident(name)
        )
    };
    let (owner, loader) = (literal(&names.owner), literal(&names.loader));
    let membership = format!(
        "    IF NOT pg_catalog.pg_has_role({loader}, {owner}, 'MEMBER') THEN\n        GRANT {} TO {};\n    END IF;\n    \
         -- Who hands something over must be a member of the new owner.\n    \
         IF NOT pg_catalog.pg_has_role({owner}, 'USAGE') THEN\n        GRANT {} TO CURRENT_USER;\n    END IF;\n    \
         IF NOT pg_catalog.pg_has_role({checker}, 'USAGE') THEN\n        GRANT {} TO CURRENT_USER;\n    END IF;\n",
        ident(&names.owner),
        ident(&names.loader),
        ident(&names.owner),
        ident(&names.checker),
        checker = literal(&names.checker),
    );
    let all = [
        one(&names.owner, "NOLOGIN"),
        one(&names.loader, "LOGIN"),
        one(&names.reader, "LOGIN"),
        one(&names.checker, "NOLOGIN"),
        membership,
    ];
    block("", &all.concat())
}

fn rights(names: &Names) -> String {
    let (owner, loader, reader) = (ident(&names.owner), ident(&names.loader), ident(&names.reader));
    let checker = ident(&names.checker);
    block(
        "",
        &format!(
            "    EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO {loader}, {reader}', pg_catalog.current_database());\n    \
             EXECUTE pg_catalog.format('GRANT CREATE ON DATABASE %I TO {owner}', pg_catalog.current_database());\n    \
             GRANT USAGE, CREATE ON SCHEMA public TO {owner};\n    \
             GRANT USAGE ON SCHEMA public TO {reader}, {checker};\n"
        ),
    )
}

/// Makes the schemas, and changes the owner of everything but the partitions, in one transaction: schemas, entity tables,
/// the program's own tables, views, functions.
///
/// The first time, that is what superusers, this user and the owner of the schema have made. Later, the owner role may
/// have written the list of views, and somebody else the contract: then only what its members have made is handed over, and
/// nothing of others.
fn hand_over(names: &Names, access: &Access) -> String {
    let (owner, reader) = (ident(&names.owner), ident(&names.reader));
    let role = literal(&owner);
    let tables = rights::text_array(access.tables.iter().map(|table| table.name.as_str()));
    let member =
        |column: &str| format!("NOT o.rolsuper AND pg_catalog.pg_has_role({column}, {role}::regrole, 'MEMBER')");
    // In a database of an older version, partitions are in another schema until it is migrated.
    let declare = format!(
        "DECLARE\n    item text;\n    partitions text := CASE WHEN \
         pg_catalog.to_regnamespace('pipeline_leaves') IS NULL THEN 'pipeline_partitions' \
         ELSE 'pipeline_leaves' END;\n    \
         had oid := (SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'pipeline');\n    \
         is_first boolean := NOT EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.oid = had AND ({}));\n",
        member("o.oid")
    );
    // Members count each time; who else does, counts the first time.
    let may = |column: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.oid = {column} AND ({} OR is_first AND \
             (o.rolsuper OR o.oid = had OR o.rolname = session_user)))",
            member("o.oid")
        )
    };
    let (of_table, of_function) = (may("c.relowner"), may("p.proowner"));
    let body = format!(
        "    FOREACH item IN ARRAY ARRAY['pipeline', partitions, 'pipeline_reading'] LOOP\n        \
         IF pg_catalog.to_regnamespace(item) IS NULL THEN\n            \
         EXECUTE pg_catalog.format('CREATE SCHEMA %I AUTHORIZATION {owner}', item);\n        \
         ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = item AND nspowner = {role}::regrole) THEN\n            \
         EXECUTE pg_catalog.format('ALTER SCHEMA %I OWNER TO {owner}', item);\n        \
         END IF;\n    END LOOP;\n    \
         GRANT USAGE ON SCHEMA pipeline_reading TO {reader};\n    \
         EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA pipeline, %I FROM {reader}', partitions);\n    \
         FOR item IN\n        \
         SELECT pg_catalog.format('ALTER TABLE %I.%I OWNER TO {owner}', n.nspname, c.relname)\n        \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n        \
         WHERE c.relowner <> {role}::regrole AND (\n            \
         (n.nspname IN ('pipeline', 'pipeline_reading') AND c.relkind IN ('r', 'p', 'v', 'm'))\n            \
         OR (n.nspname = 'public' AND c.relkind = 'p' AND c.relname = ANY ({tables}) AND {of_table}))\n    \
         LOOP\n        EXECUTE item;\n    END LOOP;\n    \
         IF pg_catalog.to_regclass('pipeline.views') IS NOT NULL THEN\n        \
         FOR item IN\n            \
         SELECT pg_catalog.format('ALTER TABLE public.%I OWNER TO {owner}', c.relname)\n            \
         FROM pipeline.views v JOIN pg_catalog.pg_class c ON c.relname = v.name\n                \
         AND c.relnamespace = 'public'::regnamespace\n                \
         AND c.relkind = CASE v.kind WHEN 'view' THEN 'v' WHEN 'materialized' THEN 'm' END::\"char\"\n            \
         WHERE c.relowner <> {role}::regrole AND {of_table}\n            \
         UNION ALL\n            \
         SELECT pg_catalog.format('ALTER FUNCTION %s OWNER TO {owner}', p.oid::regprocedure)\n            \
         FROM pipeline.views v JOIN pg_catalog.pg_proc p ON p.proname = v.name\n                \
         AND p.pronamespace = 'public'::regnamespace AND v.kind = 'function'\n                \
         -- `pipeline views` writes the types of the schema public without it.\n                \
         AND pg_catalog.replace(v.object, 'public.', '') = pg_catalog.replace(pg_catalog.format('public.%I(%s)',\n                \
         p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)), 'public.', '')\n            \
         WHERE p.proowner <> {role}::regrole AND {of_function}\n        \
         LOOP\n            EXECUTE item;\n        END LOOP;\n    END IF;\n"
    );
    block(&declare, &body)
}

/// Changes the owner of the partitions. Each takes an ACCESS EXCLUSIVE lock on its partition. One transaction changes
/// a hundred at most, because the server limits the number of locks.
fn hand_over_partitions(names: &Names) -> String {
    let owner = ident(&names.owner);
    let body = format!(
        "    FOR item IN\n        \
         SELECT pg_catalog.format('ALTER TABLE %I.%I OWNER TO {owner}', n.nspname, c.relname)\n        \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n        \
         WHERE n.nspname IN ('pipeline_leaves', 'pipeline_partitions') AND c.relkind IN ('r', 'p')\n            \
         AND c.relowner <> {}::regrole\n    \
         LOOP\n        EXECUTE item;\n        done := done + 1;\n        \
         IF done % 100 = 0 THEN\n            COMMIT;\n        END IF;\n    END LOOP;\n",
        literal(&owner)
    );
    block("DECLARE item text; done int := 0;\n", &body)
}

fn settings(names: &Names) -> String {
    let loader = ident(&names.loader);
    let quiet: Vec<String> = QUIET
        .iter()
        .map(|(name, value)| format!("        ALTER ROLE {loader} SET {name} = {};\n", literal(value)))
        .collect();
    let quiet = quiet.concat();
    let body = format!(
        "    EXECUTE pg_catalog.format('ALTER ROLE {} IN DATABASE %I SET search_path = pipeline_reading, public', \
         pg_catalog.current_database());\n    \
         -- The server's log then quotes no row that the loader sends.\n    \
         IF pg_catalog.current_setting('is_superuser') = 'on' THEN\n{quiet}    END IF;\n",
        ident(&names.reader)
    );
    block("", &body)
}
