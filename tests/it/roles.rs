//! Tests of the database's roles. The loader can do everything that a run needs. The reader sees tables and views and
//! nothing else, even after tables or views change.
use std::process::Command;

use postgres::{Client, NoTls};

use crate::harness::{self, DATE, Database, Project, Small, rows, server};

/// The roles of one test. Roles belong to the whole server, so each test uses its own names.
pub struct Roles {
    pub owner: String,
    pub loader: String,
    pub reader: String,
    pub checker: String,
}

impl Roles {
    pub fn of(database: &Database) -> Self {
        let name = |what: &str| format!("{what}_{}", database.name);
        Self {
            owner: name("owner"),
            loader: name("loader"),
            reader: name("reader"),
            checker: name("checker"),
        }
    }

    pub fn args(&self) -> Vec<&str> {
        vec![
            "roles",
            "--owner",
            &self.owner,
            "--loader",
            &self.loader,
            "--reader",
            &self.reader,
            "--checker",
            &self.checker,
        ]
    }

    /// Loads the first day of a `Small` project, makes the roles, and goes on as the loader.
    pub fn after_a_load(database: &Database, project: Project) -> (Project, Self) {
        project.run(&["views"]).code(0);
        project.run_clinic().code(0);
        let roles = Self::of(database);
        project.run(&roles.args()).code(0);
        let project = project.env("DATABASE_URL", &url(database, &roles.loader));
        (project, roles)
    }
}

pub fn url(database: &Database, user: &str) -> String {
    database.url().replace("postgres@", &format!("{user}@"))
}

pub fn client(database: &Database, user: &str) -> Client {
    Client::connect(&url(database, user), NoTls).unwrap()
}

/// The server's message for a statement that is not allowed.
pub fn refusal(client: &mut Client, sql: &str) -> String {
    let error = client.simple_query(sql).expect_err(sql);
    error
        .as_db_error()
        .unwrap_or_else(|| panic!("{sql}: {error}"))
        .message()
        .to_owned()
}

/// The owners, rights and settings of everything that the program made, as one text.
fn state(database: &Database) -> Vec<String> {
    database.rows(
        "select 'schema', nspname::text, nspowner::regrole::text, nspacl::text, '' from pg_namespace
             where nspname like 'pipeline%' or nspname = 'public'
         union all select 'relation', oid::regclass::text, relowner::regrole::text, relacl::text, relkind::text
             from pg_class where relnamespace in (select oid from pg_namespace where nspname like 'pipeline%' or nspname = 'public')
             and relkind in ('r', 'p', 'v', 'm')
         union all select 'function', oid::regprocedure::text, proowner::regrole::text, proacl::text, ''
             from pg_proc where pronamespace = 'public'::regnamespace
         union all select 'setting', setrole::regrole::text, setconfig::text, '', '' from pg_db_role_setting
             where setdatabase = (select oid from pg_database where datname = current_database())
         union all select 'database', datacl::text, '', '', '' from pg_database where datname = current_database()
         union all select 'reader', name, '', '', '' from pipeline.readers
         union all select 'view', attrelid::regclass::text, string_agg(attname, ' ' order by attnum), '', '' from pg_attribute
             where attnum > 0 and attrelid in (select oid from pg_class where relnamespace = 'pipeline_reading'::regnamespace)
             group by attrelid
         order by 1, 2, 3",
    )
}

fn psql(database: &Database, script: &str, project: &Project) -> std::process::Output {
    project.write("roles.sql", script);
    let mut command = Command::new(harness::psql());
    command
        .args(["-X", "-q", "-d", &database.url(), "-f"])
        .arg(project.path("roles.sql"));
    command.output().unwrap()
}

/// The small project with two views, on a database that another user has migrated and loaded.
fn loaded() -> (Database, Project, Roles) {
    let (database, project) = Small::new().on_server();
    let project = project
        .json(r#"[{"id": "a", "n": 1}, {"id": "b", "n": 2}]"#)
        .file("sql/views/doubled.sql", "select item_id, n * 2 as doubled from items\n")
        .file(
            "sql/materialized/total.sql",
            "-- unique: total\nselect sum(n) as total from items\n",
        )
        .file(
            "sql/functions/least_n.sql",
            "create function least_n() returns bigint language sql stable as $$ select min(n) from items $$\n",
        );
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    let roles = Roles::of(&database);
    (database, project, roles)
}

#[test]
fn the_loader_does_the_whole_job_and_the_reader_sees_it_and_nothing_else() {
    let (database, project, roles) = loaded();
    let leaf = database.value("select relname from pg_class where relname ~ '^items_r[0-9]+$'");
    let made = project.run(&roles.args()).code(0).output_lacks("password '");
    assert!(
        made.stdout
            .contains(&format!("{}: reads items, doubled, total", roles.reader)),
        "{}",
        made.stdout
    );
    assert!(
        made.stderr.contains(&format!("\\password {}", roles.reader)),
        "{}",
        made.stderr
    );

    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    let mut reader = client(&database, &roles.reader);
    let all =
        "select (select sum(n) from items), (select sum(doubled) from doubled), (select total from total), least_n()";
    assert_eq!(rows(&mut reader, all), ["3|6|3|1"]);
    for (sql, said) in [
        (
            "select * from pipeline.quarantine",
            "permission denied for schema pipeline",
        ),
        ("select * from pipeline.runs", "permission denied for schema pipeline"),
        (
            "select * from pipeline.readers",
            "permission denied for schema pipeline",
        ),
        (
            &format!("select * from pipeline_partitions.{leaf}"),
            "permission denied for schema pipeline_partitions",
        ),
        ("delete from items", "permission denied for table items"),
        (
            "create table public.mine (a int)",
            "permission denied for schema public",
        ),
        (
            "create view pipeline_reading.mine as select 1",
            "permission denied for schema pipeline_reading",
        ),
    ] {
        assert_eq!(refusal(&mut reader, sql), said, "{sql}");
    }

    // A swap while the reader is connected. The loader makes the new partition, in a table that it took over.
    let project = project.json(r#"[{"id": "c", "n": 40}]"#);
    project.run_clinic().code(0);
    assert_eq!(rows(&mut reader, all), ["40|80|40|40"]);
    // A second day and a third view. One view gets other columns and one is made again.
    let project = project
        .file("in/2023-05-02.json", r#"[{"id": "d", "n": 2}]"#)
        .file("sql/views/halved.sql", "select n / 2 as halved from items\n");
    project.load("clinic", "2023-05-02");
    project.write("sql/views/doubled.sql", "select 2 * n as doubled from items\n");
    project.write("sql/materialized/total.sql", "select sum(n) + 1 as total from items\n");
    project
        .run(&["views"])
        .code(0)
        .stdout_contains("recreated view doubled");
    assert_eq!(rows(&mut reader, all), ["42|84|43|2"]);
    assert_eq!(rows(&mut reader, "select sum(halved) from halved"), ["21"]);
    project
        .run(&["drop", "--source", "clinic", "--date", DATE, "--yes"])
        .code(0);
    assert_eq!(rows(&mut reader, all), ["2|4|3|2"]);

    // Everything that a run made belongs to the owner, so every member of the owner role can replace it.
    let others = format!(
        "select oid::regclass from pg_class where relkind in ('r', 'p', 'v', 'm') and relowner <> '{}'::regrole
         and relnamespace in (select oid from pg_namespace where nspname like 'pipeline%' or nspname = 'public')",
        roles.owner
    );
    assert_eq!(database.rows(&others), [""; 0]);
    let project = project.env("DATABASE_URL", &database.url());
    project
        .run(&["run", "--as-superuser", "--source", "clinic", "--date", "2023-05-02"])
        .code(0);
    assert_eq!(
        database.rows(&others),
        [""; 0],
        "nor does a superuser's run leave tables of its own"
    );
    assert_eq!(rows(&mut reader, all), ["2|4|3|2"]);
}

#[test]
fn a_table_that_a_later_migration_makes_is_for_the_reader_too() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.edit(
        "pipeline.yaml",
        "entities:\n",
        "entities:\n  extras:\n    columns:\n      extra_id: {type: text}\n",
    );
    project.write("sql/clinic/extras.sql", "select id as extra_id from source\n");
    project.run(&["migration", "new", "extras"]).code(0);
    project.run(&["migrate"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select count(*) from extras"), ["0"]);
    project.run_clinic().code(0);
    assert_eq!(rows(&mut reader, "select count(*) from extras"), ["2"]);
}

#[test]
fn roles_come_before_the_first_migration_too_and_a_loader_makes_all() {
    let database = Database::fresh();
    let roles = Roles::of(&database);
    let project = Small::new().project().on(&database).json(r#"{"id": "a", "n": 1}"#);
    project.run(&roles.args()).code(0);
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.run(&["migrate"]).code(0);
    project.run_clinic().code(0);
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select n from items"),
        ["1"]
    );
}

#[test]
fn a_second_run_changes_nothing_and_psql_makes_the_same() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let made = state(&database);
    assert!(made.len() > 12, "{made:?}");
    project.run(&roles.args()).code(0);
    assert_eq!(state(&database), made);

    let script = project.run(&[&roles.args()[..], &["--print"]].concat()).code(0).stdout;
    let done = psql(&database, &script, &project);
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    assert_eq!(state(&database), made);

    // The same on a new database with the same content, where psql alone has made the roles.
    let (other, other_project, _) = loaded();
    let script = other_project
        .run(&[&Roles::of(&other).args()[..], &["--print"]].concat())
        .code(0)
        .stdout;
    let done = psql(&other, &script, &other_project);
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    let run_ids = regex::Regex::new(r"_r\d+\b").unwrap();
    let alike = |database: &Database| -> Vec<String> {
        let text = state(database).join("\n").replace(&database.name, "[database]");
        run_ids
            .replace_all(&text, "_r[run]")
            .lines()
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(alike(&other), alike(&database));
}

#[test]
fn printing_needs_no_database_and_shows_no_secret() {
    let project = Small::new()
        .project()
        .env("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d");
    let printed = project
        .run(&["roles", "--print"])
        .code(0)
        .output_lacks("hunter2")
        .output_lacks("PASSWORD");
    for name in ["pipeline_owner", "pipeline_loader", "pipeline_reader"] {
        assert!(
            printed.stdout.contains(&format!("CREATE ROLE \"{name}\"")),
            "{}",
            printed.stdout
        );
    }
}

#[test]
fn who_may_not_make_roles_is_told_what_to_do() {
    let (database, project, roles) = loaded();
    let plain = format!("plain_{}", database.name);
    let creator = format!("creator_{}", database.name);
    database.execute(&format!(
        "create role {plain} login; create role {creator} login createrole"
    ));
    for user in [&plain, &creator] {
        let project_of_user = project
            .command(&roles.args())
            .env("DATABASE_URL", url(&database, user))
            .output()
            .unwrap();
        let said = String::from_utf8(project_of_user.stderr).unwrap();
        assert_eq!(project_of_user.status.code(), Some(2), "{said}");
        assert_eq!(
            said,
            format!(
                "error: the user {user} may not make the roles: it takes a superuser, or CREATEROLE and the ownership of \
                 the database\nhint: let a superuser run the SQL that `pipeline roles --print` prints, with psql in this \
                 database\n"
            )
        );
    }
    let made = format!("select count(*) from pg_roles where rolname = '{}'", roles.owner);
    assert_eq!(database.value(&made), "0");

    // A user who owns the database and the tables, and may create roles, can do everything.
    database.execute(&format!("alter database {} owner to {creator}", database.name));
    database.execute(&format!(
        "alter schema pipeline owner to {creator}; alter schema pipeline_partitions owner to {creator};
         do $$ declare item text; begin for item in select oid::regclass from pg_class where relkind in ('r', 'p', 'v', 'm')
         and relnamespace in (select oid from pg_namespace where nspname like 'pipeline%' or nspname = 'public')
         loop execute format('alter table %s owner to {creator}', item); end loop; end $$;
         alter function least_n() owner to {creator}"
    ));
    let project = project.env("DATABASE_URL", &url(&database, &creator));
    project.run(&roles.args()).code(0);
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select sum(n) from items"),
        ["3"]
    );
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.run_clinic().code(0);
}

#[test]
fn names_and_databases_that_can_not_be_are_refused() {
    let (database, project, roles) = loaded();
    let said = |args: &[&str]| {
        let outcome = project.run(&[&["roles"], args].concat()).code(2);
        outcome.stderr.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(said(&["--reader", "pg_all"]), "error: a role can't have this name");
    assert_eq!(said(&["--reader", "a\"b"]), "error: a role can't have this name");
    assert_eq!(
        said(&["--reader", "x", "--loader", "x"]),
        "error: owner, loader, reader and checker must be four roles"
    );
    assert_eq!(
        said(&[
            "--owner",
            &roles.owner,
            "--loader",
            &roles.loader,
            "--reader",
            "postgres"
        ]),
        "error: the role postgres is a superuser, who reads everything"
    );
    assert_eq!(
        said(&["--owner", "postgres"]),
        "error: the role postgres is there and can log in"
    );
    drop(database);
    Small::new()
        .project()
        .run(&["roles"])
        .code(2)
        .stderr_contains("the embedded database has no use for roles")
        .stderr_contains("--database-url");
}

#[test]
fn what_a_reader_gets_by_way_of_everybody_is_told() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    database.execute(
        "grant usage on schema pipeline to public; grant select on pipeline.runs, pipeline.quarantine to public",
    );
    project
        .run(&roles.args())
        .code(1)
        .stderr_contains(&format!(
            "{} can read pipeline.quarantine, which is not for readers",
            roles.reader
        ))
        .stderr_contains("REVOKE");
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.run_clinic().code(1).stderr_contains("pipeline.quarantine");
}

#[test]
fn the_server_logs_no_row_of_the_loader() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let mut loader = client(&database, &roles.loader);
    assert_eq!(rows(&mut loader, "show log_error_verbosity"), ["terse"]);
    let _ = loader.simple_query(
        "create temp table t (a text primary key); insert into t values ('zq-loader-canary'), ('zq-loader-canary')",
    );
    let log = server().log();
    assert!(!log.contains("Key (a)=(zq-loader-canary)"), "DETAIL is in the log");
}

/// SET ROLE is no boundary: the project's SQL could leave the role in a superuser's session.
#[test]
fn a_superuser_does_not_run_the_project_once_there_are_roles() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let run = ["run", "--source", "clinic", "--date", DATE];
    let all: [&[&str]; 6] = [
        &run,
        &["views"],
        &["migrate"],
        &["query", "select 1"],
        &["drop", "--source", "clinic", "--date", DATE, "--yes"],
        &["status"],
    ];
    for command in all {
        project
            .run(command)
            .code(2)
            .stderr_contains("postgres has the rights of a superuser")
            .stderr_contains("--as-superuser");
    }
    // Who may become a superuser, or reads the server's files, is none the less one.
    for right in ["postgres", "pg_read_server_files"] {
        let user = format!("with_{right}_{}", database.name);
        database.execute(&format!(
            "create role {user} login; grant {right}, {} to {user}",
            roles.owner
        ));
        project
            .run(&["views", "--database-url", &url(&database, &user)])
            .code(2)
            .stderr_contains("the rights of a superuser");
        database.execute(&format!("drop owned by {user}; drop role {user}"));
    }
    project.run(&[&run[..], &["--as-superuser"]].concat()).code(0);
    // The owner can't hide that there are roles.
    let mut loader = client(&database, &roles.loader);
    loader
        .batch_execute(&format!(
            "set role {}; alter table pipeline.readers rename to others",
            roles.owner
        ))
        .unwrap();
    project
        .run(&["views"])
        .code(2)
        .stderr_contains("the rights of a superuser");
    loader
        .batch_execute("alter table pipeline.others rename to readers")
        .unwrap();
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.run(&run).code(0);
}

/// The owner may make operators and functions in `public`. `pipeline roles` must not resolve them.
#[test]
fn nothing_that_the_owner_makes_runs_as_the_superuser_who_repeats_the_command() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let loader = &roles.loader;
    let mut client = client(&database, loader);
    let evil = format!(
        "begin execute 'alter role {loader} superuser'; return false; exception when others then return false; end"
    );
    client
        .batch_execute(&format!(
            "set role {owner};
             create function differ(oid, regrole) returns boolean language plpgsql as $$ {evil} $$;
             create operator <> (function = differ, leftarg = oid, rightarg = regrole);
             create function same(name, text) returns boolean language plpgsql as $$ {evil} $$;
             create operator = (function = same, leftarg = name, rightarg = text);
             create function current_setting(varchar) returns text language plpgsql as $$ begin execute 'alter role {loader} superuser'; return ''; end $$",
            owner = roles.owner
        ))
        .unwrap();
    let is_superuser = format!("select rolsuper from pg_roles where rolname = '{loader}'");
    project.run(&roles.args()).code(0);
    assert_eq!(database.value(&is_superuser), "f");
    let script = project.run(&[&roles.args()[..], &["--print"]].concat()).code(0).stdout;
    let done = psql(&database, &script, &project);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(database.value(&is_superuser), "f");

    // A trigger on a table of the program would run in the superuser's session, which has assumed the owner.
    client
        .batch_execute(&format!(
            "create function climb() returns trigger language plpgsql as $$ begin
                 perform set_config('role', 'none', false); execute 'alter role {loader} superuser'; return new; end $$;
             create trigger climb before insert on pipeline.readers for each row execute function climb()"
        ))
        .unwrap();
    project
        .run(&roles.args())
        .code(1)
        .stderr_contains("the trigger climb on pipeline.readers")
        .stderr_contains("climb()");
    let done = psql(&database, &script, &project);
    assert!(!done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("the trigger climb on pipeline.readers"));
    assert_eq!(database.value(&is_superuser), "f");
    let project = project.env("DATABASE_URL", &url(&database, loader));
    project
        .run_clinic()
        .code(1)
        .stderr_contains("the trigger climb on pipeline.readers");
}

/// A column of a type that the owner makes calls code of the owner's: a domain checks a value when it is written, a cast
/// converts one when it is read.
#[test]
fn a_type_on_a_table_of_the_program_runs_nothing_as_the_superuser() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let script = project.run(&[&roles.args()[..], &["--print"]].concat()).code(0).stdout;
    let (owner, loader, reader) = (&roles.owner, &roles.loader, &roles.reader);
    let climb = format!(
        "begin begin execute 'reset role'; execute 'alter role {loader} superuser';
             exception when others then null; end;"
    );
    let domain = format!(
        "set role {owner};
         create function climb(t text) returns boolean language plpgsql as $$ {climb} return true; end $$;
         create domain pipeline.checked as text check (public.climb(value));
         alter table pipeline.readers alter name type pipeline.checked"
    );
    let cast = format!(
        "set role {owner};
         create type label as enum ('{reader}');
         alter table pipeline.readers alter name type public.label using name::text::public.label;
         create function climb(l public.label) returns text language plpgsql as $$ {climb} return ''; end $$;
         create cast (public.label as text) with function public.climb(public.label) as implicit"
    );
    let is_superuser = format!("select rolsuper from pg_roles where rolname = '{loader}'");
    for (change, type_name) in [(domain, "pipeline.checked"), (cast, "public.label")] {
        client(&database, loader).batch_execute(&change).unwrap();
        let named = format!("the column name of pipeline.readers, of the type {type_name}");
        project.run(&roles.args()).code(1).stderr_contains(&named);
        assert_eq!(database.value(&is_superuser), "f", "{type_name}");
        let done = psql(&database, &script, &project);
        assert!(String::from_utf8_lossy(&done.stderr).contains(&named), "{done:?}");
        assert_eq!(database.value(&is_superuser), "f", "{type_name}");
        client(&database, loader)
            .batch_execute(&format!(
                "set role {owner}; alter table pipeline.readers alter name type text using name::text"
            ))
            .unwrap();
    }
}

/// The owner role writes the list of views, and whoever edits the project names entities. Neither makes a superuser who
/// repeats the command give away what others have.
#[test]
fn nothing_of_others_is_handed_over_later() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let other = format!("other_{}", database.name);
    database.execute(&format!(
        "create role {other}; grant create on schema public to {other}; set role {other};
         create table wages (who text); insert into wages values ('Canary');
         create materialized view paid as select * from wages;
         create function pay() returns text language sql security definer as 'select who from wages';
         create table parted (a text) partition by list (a);
         reset role;
         create materialized view kept as select * from wages"
    ));
    client(&database, &roles.loader)
        .batch_execute(&format!(
            "set role {};
             insert into pipeline.views (kind, name, object, fingerprint) values
             ('materialized', 'paid', 'public.paid', ''), ('materialized', 'kept', 'public.kept', ''),
             ('function', 'pay', 'public.pay()', '')",
            roles.owner
        ))
        .unwrap();
    let yaml = project.read("pipeline.yaml");
    project.write("pipeline.yaml", format!("{yaml}  parted:\n    columns: {{a: text}}\n"));
    project.run(&roles.args());
    let owners =
        "select c.relname, c.relowner::regrole::text from pg_class c where c.relname in ('paid', 'kept', 'parted')
         union all select proname, proowner::regrole::text from pg_proc where proname = 'pay' order by 1";
    assert_eq!(
        database.rows(owners),
        [
            "kept|postgres".to_owned(),
            format!("paid|{other}"),
            format!("parted|{other}"),
            format!("pay|{other}")
        ]
    );
    database.execute(&format!(
        "drop materialized view kept; drop owned by {other} cascade; drop role {other}"
    ));
}

#[test]
fn code_of_others_on_an_entity_table_stops_the_load() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let other = format!("other_{}", database.name);
    database.execute(&format!(
        "create role {other}; grant create on schema public to {other};
         set role {other};
         create function look() returns trigger language plpgsql as $$ begin return new; end $$;
         reset role;
         create trigger look after insert on items for each row execute function look()"
    ));
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project
        .run_clinic()
        .code(1)
        .stderr_contains(&format!("the trigger look on public.items (public.look() of {other})"));
    database.execute("drop trigger look on items; drop function look()");
    project.run_clinic().code(0);
    // It would stand in for PostgreSQL's own function wherever a statement resolves names of `public`.
    database.execute(&format!(
        "set role {other}; create function concat(text, text) returns text language sql as $$ select '' $$; reset role"
    ));
    project
        .run_clinic()
        .code(1)
        .stderr_contains(&format!("the function public.concat(text,text) of {other}"));
    database.execute(&format!("drop owned by {other}; drop role {other}"));
}

/// A check sees the staged rows and what readers see, and nothing else.
#[test]
fn a_check_has_no_more_rights_than_a_reader() {
    let (database, project, roles) = loaded();
    project.run(&roles.args()).code(0);
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    let check = |sql: &str| {
        project.write("sql/checks/one.sql", sql);
        project.run_clinic()
    };
    check("select item_id from items where n > 2\n").code(0);
    check("select i.item_id from items i join public.items p using (item_id) cross join total where p.n > 2\n").code(0);
    check("select item_id from items where n > 1\n")
        .code(1)
        .stderr_contains("it selects 1 rows of the batch");
    for sql in [
        "select 1 from pipeline.runs",
        "select 1 from pipeline.quarantine",
        "select item_id from items where set_config('role', 'none', false) is null",
        &format!(
            "select item_id from items where set_config('role', '{}', false) is null",
            roles.owner
        ),
        &format!(
            "select item_id from items where set_config('role', '{}', false) is null",
            roles.loader
        ),
        "select item_id from items where set_config('session_authorization', 'postgres', false) is null",
        "select item_id from items where query_to_xml('delete from public.items', true, true, '') is null",
        "select item_id from items where query_to_xml('select 1 from pipeline.runs', true, true, '') is null",
    ] {
        let outcome = check(&format!("{sql}\n"));
        assert_ne!(outcome.exit(), Some(0), "{sql}");
        assert!(
            outcome.stderr.contains("the check sql/checks/one.sql can't be made"),
            "{sql}: {}",
            outcome.stderr
        );
    }
    assert_eq!(database.count("items"), 2);
    // The right to the staged rows has ended with the check.
    let held = format!(
        "select count(*) from pg_class where relnamespace = 'pipeline_partitions'::regnamespace
         and relkind in ('r', 'p') and has_table_privilege('{}', oid, 'select')",
        roles.checker
    );
    check("select item_id from items where n > 2\n").code(0);
    assert_eq!(database.value(&held), "0");

    // Roles of an older version have no role for checks.
    database.execute("drop schema pipeline_check cascade");
    project
        .run_clinic()
        .code(2)
        .stderr_contains("let a superuser repeat `pipeline roles`");
}
