//! Tests of migrations and the contract. Nothing is loaded into tables that differ from pipeline.yaml.
use crate::harness::{Database, Project, Small};

fn unmigrated() -> (Database, Project) {
    let database = Database::fresh();
    let project = Small::new().project().on(&database).json(r#"[{"id": "a", "n": 1}]"#);
    (database, project)
}

#[test]
fn a_run_with_pending_migrations_is_refused() {
    let (database, project) = unmigrated();
    project
        .run_clinic()
        .code(2)
        .stderr_contains("V1__items")
        .stderr_contains("pipeline migrate");
    assert_eq!(
        database.count("pg_tables where schemaname = 'public'"),
        0,
        "a refused run should leave nothing"
    );
    project.run(&["migrate"]).code(0);
    project.run_clinic().code(0);
    project.write("migrations/V2__more.sql", "create table other (x int);\n");
    project.run_clinic().code(2).stderr_contains("V2__more");
    project.run(&["migrate"]).code(0);
    project.run_clinic().code(0);
    // The second time, there is nothing to do.
    project.run(&["migrate"]).code(0);
}

#[test]
fn a_migration_that_was_changed_after_it_ran_is_refused() {
    let (_database, project) = unmigrated();
    project.run(&["migrate"]).code(0);
    project.write(
        "migrations/V1__items.sql",
        project.read("migrations/V1__items.sql") + "-- one more line\n",
    );
    project.run(&["migrate"]).code(2).stderr_contains("V1__items");
    project.run_clinic().code(2).stderr_contains("V1__items");
}

/// What Git makes of a checkout where `core.autocrlf` is set.
#[test]
fn line_endings_change_neither_a_migration_nor_a_fingerprint() {
    let (database, project) = unmigrated();
    project.run(&["migrate"]).code(0);
    project.run_clinic().code(0);
    for file in [
        "migrations/V1__items.sql",
        "pipeline.yaml",
        "pipelines/clinic.yaml",
        "sql/clinic/items.sql",
    ] {
        project.write(file, project.read(file).replace('\n', "\r\n"));
    }
    project
        .run(&["migrate"])
        .code(0)
        .stdout_contains("no migration is pending");
    project.run_clinic().code(0);
    assert_eq!(
        database.value("select count(distinct fingerprint) from pipeline.runs"),
        "1"
    );
}

/// The first process of a container has to ask for signals, and so every command does. Ended by it, its exit code says so.
#[test]
fn a_command_that_waits_ends_at_a_signal() {
    let (database, project) = unmigrated();
    let mut holder = database.client();
    holder
        .batch_execute("select pg_advisory_lock(x'706970656c696e65'::bigint)")
        .unwrap();
    let running = project.spawn(&["migrate"]);
    crate::harness::until("it waits for the lock", || {
        database.count("pg_locks where locktype = 'advisory' and not granted") == 1
    });
    running.signal("TERM");
    let outcome = running.wait();
    assert_eq!(outcome.exit(), Some(143), "{outcome:?}");
    assert_eq!(database.count("pg_tables where schemaname = 'public'"), 0);
}

#[test]
fn every_command_that_waits_for_a_table_ends_at_a_signal() {
    let (database, project) = unmigrated();
    project.run(&["migrate"]).code(0);
    let mut holder = database.client();
    holder
        .batch_execute(
            "begin; lock table pipeline.runs, pipeline.user_migrations, pipeline.views, pipeline.quarantine, items",
        )
        .unwrap();
    for arguments in [
        &["run", "--source", "clinic", "--date", "2023-05-01"][..],
        &["drop", "--source", "clinic", "--date", "2023-05-01", "--yes"],
        &["migrate"],
        &["views"],
        &["views", "--refresh"],
        &["roles"],
        &["quarantine", "list"],
        &["status"],
        &["query", "select * from items"],
    ] {
        let mut running = project.spawn(arguments);
        crate::harness::until("it waits for a lock", || {
            running.is_over() || database.count("pg_locks where not granted") > 0
        });
        running.signal("TERM");
        let outcome = running.wait();
        assert_eq!(outcome.exit(), Some(143), "{arguments:?} {outcome:?}");
        crate::harness::until("its session has ended", || {
            database.count("pg_locks where not granted") == 0
        });
    }
}

#[test]
fn a_migration_that_fails_leaves_nothing() {
    let (database, project) = unmigrated();
    project.write(
        "migrations/V2__wrong.sql",
        "create table half (x int);\nselect * from no_such_table;\n",
    );
    project
        .run(&["migrate"])
        .code(1)
        .stderr_contains("V2__wrong")
        .stderr_contains("no_such_table");
    assert_eq!(database.count("pg_tables where tablename = 'half'"), 0);
}

#[test]
fn two_processes_migrate_at_once() {
    let (database, project) = unmigrated();
    let running: Vec<_> = (0..3).map(|_| project.spawn(&["migrate"])).collect();
    for process in running {
        process.wait().code(0);
    }
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 1);
}

#[test]
fn the_repositorys_migrations_are_what_its_contract_says() {
    let project = Project::of_repository();
    let before = std::fs::read_dir(project.path("migrations")).unwrap().count();
    project.run(&["migration", "new", "nothing"]).code(0);
    assert_eq!(
        std::fs::read_dir(project.path("migrations")).unwrap().count(),
        before,
        "there is nothing to migrate"
    );
}

#[test]
fn tables_of_every_type_are_written_from_the_contract() {
    let columns = [
        ("a", "text"),
        ("b", "varchar"),
        ("c", "varchar(7)"),
        ("d", "bool"),
        ("e", "smallint"),
        ("f", "integer"),
        ("g", "bigint"),
        ("h", "real"),
        ("i", "double precision"),
        ("j", "numeric"),
        ("k", "numeric(9)"),
        ("l", "numeric(9,2)"),
        ("m", "date"),
        ("n", "timestamp"),
        ("o", "timestamptz"),
        ("p", "jsonb"),
        ("q", "uuid"),
        ("r", "text[]"),
    ];
    let database = Database::fresh();
    let schema = "id: string";
    let nulls: Vec<String> = columns.iter().map(|(name, _)| format!("null as {name}")).collect();
    let project = Small::new()
        .columns(&columns)
        .schema(schema)
        .sql(&format!("select {} from source", nulls.join(", ")))
        .project();
    project.remove("migrations");
    let project = project.on(&database);
    let project = project.migrated();
    let types = "select string_agg(format_type(atttypid, atttypmod), ' ' order by attnum) from pg_attribute
        where attrelid = 'items'::regclass and attnum > 0 and not attisdropped";
    assert_eq!(
        database.value(types),
        "text character varying character varying(7) boolean smallint integer bigint real double precision numeric numeric(9,0) \
         numeric(9,2) date timestamp without time zone timestamp with time zone jsonb uuid text[] text date"
    );
    let project = project.json(r#"{"id": "x"}"#);
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 1);
}

#[test]
fn a_new_column_is_a_migration_and_then_loads() {
    let (database, project) = unmigrated();
    project.run(&["migrate"]).code(0);
    project.run_clinic().code(0);
    project.edit(
        "pipeline.yaml",
        "    key:",
        "      note: {type: text, description: A note}\n    key:",
    );
    project.edit("pipelines/clinic.yaml", "n: bigint", "n: bigint\n  note: string");
    project.write("sql/clinic/items.sql", "select id as item_id, n, note from source\n");
    project
        .run_clinic()
        .code(2)
        .stderr_contains("items")
        .stderr_contains("note")
        .stderr_contains("pipeline migration new");
    project.run(&["migration", "new", "note"]).code(0);
    assert!(project.read("migrations/V2__note.sql").contains("note"));
    project.run_clinic().code(2).stderr_contains("pipeline migrate");
    project.run(&["migrate"]).code(0);
    let project = project.file("in/2023-05-02.json", r#"[{"id": "b", "n": 2, "note": "new"}]"#);
    project
        .run(&["run", "--source", "clinic", "--date", "2023-05-02"])
        .code(0);
    assert_eq!(
        database.rows("select item_id, note from items order by 1"),
        ["a|", "b|new"]
    );
}

#[test]
fn a_difference_of_contract_and_catalog_names_table_and_column() {
    for (sql, parts) in [
        ("alter table items drop column n", ["items", "n"]),
        ("alter table items alter column n type numeric", ["items", "n"]),
        ("alter table items alter column n set not null", ["items", "n"]),
        ("alter table items add column extra text not null", ["items", "extra"]),
        ("alter table items drop constraint items_pkey", ["items", "primary key"]),
        ("drop table items", ["items", "items"]),
    ] {
        let (database, project) = unmigrated();
        project.run(&["migrate"]).code(0);
        database.execute(sql);
        let outcome = project.run_clinic().code(2);
        for part in parts {
            assert!(outcome.stderr.contains(part), "{sql}: {}", outcome.stderr);
        }
    }
}
