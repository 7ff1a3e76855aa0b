//! Tests of the command line: exit codes, output for machines, and messages before anything runs.
use serde_json::{Value, json};

use crate::harness::{Database, Project, RUN_TWO_DAYS, SOURCE_A, SOURCE_B, Small, batch, until};

const DAYS: [&str; 6] = ["run", "--all-sources", "--start", "20230501", "--end", "20230502"];

fn clinic() -> (Database, Project) {
    let (database, project) = Small::new().on_server();
    (database, project.json(r#"[{"id": "a", "n": 1}]"#))
}

#[test]
fn a_result_for_machines_is_one_json_document() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    for (source, words) in [("source_a", SOURCE_A), ("source_b", SOURCE_B)] {
        project.input(source, "20230501", batch(words, "x", 3));
    }
    project.input("source_a", "20230502", batch(SOURCE_A, "x", 3));
    let mut run = DAYS.to_vec();
    run.extend(["--output", "json"]);
    let outcome = project.run(&run).code(1);
    let result = outcome.json();
    let batches = result["batches"].as_array().unwrap();
    assert_eq!(batches.len(), 4, "{result}");
    let find = |source: &str, date: &str| {
        batches
            .iter()
            .find(|batch| batch["source"] == source && batch["date"] == date)
            .unwrap_or_else(|| panic!("{result}"))
    };
    let loaded = find("source_a", "2023-05-01");
    assert_eq!(loaded["status"], "loaded", "{result}");
    assert_eq!(loaded["records"], 3, "{result}");
    let failed = find("source_b", "2023-05-02");
    assert_eq!(failed["status"], "failed", "{result}");
    assert!(failed["error"].to_string().contains("20230502"), "{result}");
    assert_eq!(failed["error"]["code"], "input_missing", "{result}");
}

#[test]
fn log_lines_for_machines_are_json() {
    let (_database, project) = clinic();
    // The run warns about an undeclared field.
    let project = project.json(r#"[{"id": "a", "surplus": 1}]"#);
    let outcome = project
        .run(&[
            "run",
            "--source",
            "clinic",
            "--date",
            "20230501",
            "--log-format",
            "json",
            "-v",
        ])
        .code(0);
    let lines: Vec<Value> = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(!lines.is_empty(), "{}", outcome.stderr);
}

#[test]
fn dates_are_inclusive_and_what_they_resolve_to_is_printed() {
    let (database, project) = Small::new().on_server();
    for day in ["2023-02-27", "2023-02-28", "2023-03-01"] {
        project.write(&format!("in/{day}.json"), r#"{"id": "a"}"#);
    }
    let outcome = project
        .run(&[
            "run",
            "--source",
            "clinic",
            "--start",
            "2023-02-27",
            "--end",
            "20230301",
        ])
        .code(0);
    for day in ["2023-02-27", "2023-02-28", "2023-03-01"] {
        assert!(outcome.stderr.contains(day), "{day} in\n{}", outcome.stderr);
    }
    assert_eq!(
        database.rows("select batch_date from items order by 1"),
        ["2023-02-27", "2023-02-28", "2023-03-01"]
    );
}

#[test]
fn an_alias_and_a_repeated_source_are_one_batch() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "x", 3));
    project
        .run(&["run", "--source", "a", "--source", "source_a", "--date", "20230501"])
        .code(0);
    assert_eq!(database.count("pipeline.runs"), 1);
}

#[test]
fn fail_fast_starts_no_further_batch() {
    let (database, project) = clinic();
    let project = project.json("[").file("in/2023-05-02.json", r#"{"id": "b"}"#);
    let range = [&RUN_TWO_DAYS[..], &["--threads", "1"]].concat();
    let fast = [&range[..], &["--fail-fast"]].concat();
    project.run(&fast).code(1);
    assert_eq!(database.count("items"), 0);
    project.run(&range).code(1);
    assert_eq!(database.count("items"), 1);
}

#[test]
fn the_project_is_found_upward_or_where_it_is_said_to_be() {
    let (database, project) = clinic();
    std::fs::create_dir_all(project.path("sql/deep")).unwrap();
    let mut command = project.command(&["run", "--source", "clinic", "--date", "20230501"]);
    let output = command.current_dir(project.path("sql/deep")).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let elsewhere = Project::new().on(&database);
    let root = project.path("");
    elsewhere
        .run(&[
            "run",
            "--project",
            root.to_str().unwrap(),
            "--source",
            "clinic",
            "--date",
            "20230501",
        ])
        .code(0);
    assert_eq!(database.count("pipeline.runs where status = 'committed'"), 2);
    elsewhere
        .run(&["check"])
        .code(2)
        .stderr_contains("pipeline.yaml")
        .stderr_contains("--project");
}

#[test]
fn a_database_that_is_down_is_unreachable() {
    let (_database, project) = clinic();
    let project = project.env("DATABASE_URL", "postgres://postgres:sEcret@127.0.0.1:9/nowhere");
    for command in [
        &["run", "--source", "clinic", "--date", "20230501"][..],
        &["migrate"],
        &["status"],
        &["query", "select 1"],
    ] {
        project
            .run(command)
            .code(3)
            .stderr_contains("127.0.0.1")
            .output_lacks("sEcret");
    }
}

#[test]
fn a_database_that_does_not_exist_and_a_user_without_rights_are_said() {
    let (database, project) = clinic();
    let missing = database.url().replace(&database.name, "no_such_database");
    project
        .run(&["migrate", "--database-url", &missing])
        .code(3)
        .stderr_contains("no_such_database");
    database.execute("do $$ begin create role stranger login; exception when duplicate_object then null; end $$");
    let stranger = database.url().replace("postgres@", "stranger@");
    let outcome = project.run(&[
        "run",
        "--source",
        "clinic",
        "--date",
        "20230501",
        "--database-url",
        &stranger,
    ]);
    assert!(matches!(outcome.exit(), Some(1..=3)), "{outcome:?}");
    assert!(outcome.stderr.contains("permission denied"), "{}", outcome.stderr);
}

#[test]
fn the_flag_wins_over_the_environment() {
    let (database, project) = clinic();
    let url = database.url();
    let project = project.env("DATABASE_URL", "postgres://postgres@127.0.0.1:9/nowhere");
    project
        .run(&[
            "run",
            "--database-url",
            &url,
            "--source",
            "clinic",
            "--date",
            "20230501",
        ])
        .code(0);
    assert_eq!(database.count("items"), 1);
}

#[test]
fn libpqs_variables_name_a_server() {
    let (database, project) = clinic();
    let port = crate::harness::server().port.to_string();
    let project = Project::copy_of(&project.path(""))
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", &port)
        .env("PGUSER", "postgres")
        .env("PGDATABASE", &database.name);
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 1);
}

#[test]
fn status_tells_the_runs() {
    let (_database, project) = clinic();
    project.run_clinic().code(0);
    let project = project.json("[");
    project.run_clinic().code(1);
    project
        .run(&["status"])
        .code(0)
        .stdout_contains("clinic")
        .stdout_contains("committed")
        .stdout_contains("failed");
    let json = project.run(&["status", "--output", "json"]).code(0).json();
    assert!(json.to_string().contains("committed"), "{json}");
}

#[test]
fn status_tells_how_far_executors_are() {
    let (database, project) = clinic();
    project.run_clinic().code(0);
    let said = project.run(&["status"]).code(0).stdout;
    assert!(!said.contains("goes on"), "{said}");
    database.execute(
        r#"update pipeline.runs set status = 'running', finished_at = null, records = null, counts = null,
           files = '[{"path": "a", "size": 1000000}, {"path": "b", "size": 48576}]';
           insert into pipeline.progress (run_id, part, bytes, records, entities) values
           (1, 2, 200000, 7, '{}'), (1, 1, 324288, 5, '{}'),
           (1, 0, 0, 0, '{"items": {"rows": 11, "bytes": 90, "phase": "copying"}}')"#,
    );
    let said = project.run(&["status"]).code(0).stdout;
    assert!(said.contains("       12    11"), "{said}");
    assert!(
        said.contains("\nrun 1 goes on: 512.00 KiB of 1.00 MiB read\n"),
        "{said}"
    );
    let json = project.run(&["status", "--output", "json"]).code(0).json();
    let entities = json!({"items": {"rows": 11, "bytes": 90, "phase": "copying"}});
    assert_eq!(
        json[0]["progress"],
        json!({"bytes": 524_288, "records": 12, "entities": entities})
    );
    // What is left of a run that is over says nothing.
    database.execute("update pipeline.runs set status = 'lost'");
    let json = project.run(&["status", "--output", "json"]).code(0).json();
    assert!(json[0]["progress"].is_null(), "{json}");
}

#[test]
fn check_needs_no_server() {
    let project = Project::of_repository();
    let migrations = std::fs::read_dir(project.path("migrations")).unwrap().count();
    let noun = if migrations == 1 { "migration" } else { "migrations" };
    project
        .run(&["check"])
        .code(0)
        .stdout_contains(&format!("4 entities, 2 sources, 8 transforms, {migrations} {noun}, "));
    assert!(!project.path(".pipeline").exists(), "check should leave nothing behind");
    // The check plans the transforms and makes the views. So it finds faults that only they show.
    project.edit("sql/source_a/visits.sql", "visit_date", "visit_day");
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("sql/source_a/visits.sql");
    let project = Project::of_repository();
    project.write("sql/views/wrong.sql", "select no_such_column from patients\n");
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("sql/views/wrong.sql")
        .stderr_contains("no_such_column");
}

#[test]
fn completions_for_each_shell() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        project
            .run(&["completions", shell])
            .code(0)
            .stdout_contains("pipeline")
            .stdout_contains("all-sources");
    }
    project.run(&["completions", "cmd"]).code(2);
}

#[test]
fn wrong_usage_is_exit_2() {
    let (_database, project) = clinic();
    for wrong in [
        &[][..],
        &["launch"],
        &["run"],
        &["run", "--source", "clinic"],
        &["run", "--date", "20230501"],
        &[
            "run", "--source", "clinic", "--date", "20230501", "--start", "20230501", "--end", "20230502",
        ],
        &["run", "--source", "clinic", "--start", "20230501"],
        &["run", "--source", "clinic", "--date", "20230532"],
        &["run", "--source", "clinic", "--date", "20230501", "--threads", "0"],
        &["run", "--source", "clinic", "--date", "20230501", "--output", "csv"],
        &["query"],
    ] {
        let outcome = project.run(wrong).code(2);
        assert!(outcome.stdout.is_empty() && !outcome.stderr.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_refused_query_is_exit_1_or_2_and_shows_why() {
    let (_database, project) = clinic();
    for wrong in [
        "select * from no_such_table",
        "selec 1",
        "drop table items",
        "select 1; drop table items",
    ] {
        let outcome = project.run(&["query", wrong]);
        assert!(matches!(outcome.exit(), Some(1 | 2)), "{wrong}: {outcome:?}");
        assert!(outcome.stderr.starts_with("error"), "{wrong}: {}", outcome.stderr);
    }
    project
        .run(&["query", "select count(*) from items", "--output", "csv"])
        .code(0)
        .stdout_is("count\n0\n");
}

#[test]
fn nothing_is_coloured_away_from_a_terminal() {
    let (_database, project) = clinic();
    for outcome in [
        project.run_clinic().code(0),
        project
            .run(&["run", "--source", "nobody", "--date", "20230501"])
            .code(2),
    ] {
        assert!(
            !outcome.stderr.contains('\u{1b}') && !outcome.stdout.contains('\u{1b}'),
            "{outcome:?}"
        );
    }
    let plain = project.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1");
    plain.run_clinic().code(0).output_lacks("\u{1b}");
}

/// A run that waits at the swap until this reader finishes.
fn waiting(database: &Database, project: &Project) -> (crate::harness::Running, postgres::Client) {
    project.run_clinic().code(0);
    project.write("in/2023-05-01.json", r#"[{"id": "new", "n": 2}]"#);
    let mut reader = database.client();
    reader.batch_execute("begin; select count(*) from items").unwrap();
    let running = project.spawn(&["run", "--source", "clinic", "--date", "2023-05-01"]);
    until("the run has begun", || {
        database.count("pipeline.runs where status = 'running'") == 1
    });
    (running, reader)
}

#[test]
fn a_signal_stops_cleanly_and_leaves_the_old_content() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (database, project) = clinic();
        let (running, mut reader) = waiting(&database, &project);
        running.signal(signal);
        running.wait().code(code);
        reader.batch_execute("commit").unwrap();
        assert_eq!(database.rows("select item_id from items"), ["a"]);
        assert_eq!(database.staging_tables(), [] as [&str; 0]);
        assert_eq!(
            database.rows("select status from pipeline.runs order by run_id"),
            ["committed", "interrupted"]
        );
        project.run_clinic().code(0);
        assert_eq!(database.rows("select item_id from items"), ["new"]);
    }
}

#[test]
fn serve_db_holds_the_embedded_database_open() {
    let project = Small::new().project().json(r#"[{"id": "a", "n": 1}]"#);
    project.run_clinic().code(0);
    let mut serving = project.spawn(&["serve-db"]);
    until("the address is printed", || {
        serving.is_over() || serving.stdout_so_far().contains("postgres")
    });
    let printed = serving.stdout_so_far();
    let url = printed
        .split_whitespace()
        .find(|word| word.starts_with("postgres"))
        .unwrap_or_else(|| panic!("{printed}"));
    let mut client = postgres::Client::connect(url, postgres::NoTls).unwrap();
    assert_eq!(
        crate::harness::rows(&mut client, "select item_id, n from items"),
        ["a|1"]
    );
    drop(client);
    project.run_clinic().code(1).stderr_contains("pipeline serve-db");
    serving.signal("INT");
    let code = serving.wait().exit();
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    project.run_clinic().code(0);
}

/// No port is open, and only this user may enter the socket's folder.
#[test]
fn serve_db_opens_a_socket_instead_of_a_port() {
    use std::os::unix::fs::PermissionsExt as _;

    let project = Small::new().project().json(r#"[{"id": "a", "n": 1}]"#);
    project.run_clinic().code(0);
    project.run(&["serve-db", "--socket", "--port", "5433"]).code(2);
    for _ in 0..2 {
        let mut serving = project.spawn(&["serve-db", "--socket"]);
        until("the address is printed", || {
            serving.is_over() || serving.stdout_so_far().contains("postgres")
        });
        let url = serving.stdout_so_far().trim().to_owned();
        assert!(!url.contains("127.0.0.1") && url.contains(".pipeline/socket"), "{url}");
        let folder = std::fs::metadata(project.path(".pipeline/socket")).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
        let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        assert_eq!(
            crate::harness::rows(&mut client, "select item_id, n from items"),
            ["a|1"]
        );
        drop(client);
        // As after a crash: the socket stays, and does not keep the next one out.
        serving.kill();
        until("the lock is free", || {
            !project.run(&["status"]).stderr.contains("serve-db")
        });
    }
    project.run_clinic().code(0);
}

#[test]
fn a_password_among_the_arguments_is_warned_of() {
    let project = Small::new().project();
    let flag = |url: &str| project.run(&["status", "--database-url", url]);
    let warned = flag("postgres://u:Zqxw1@127.0.0.1:1/d");
    assert!(
        warned.stderr.contains("--database-url holds a password"),
        "{}",
        warned.stderr
    );
    warned.output_lacks("Zqxw1");
    flag("postgres://u@127.0.0.1:1/d").output_lacks("holds a password");
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_own_folder_is_refused() {
    let project = Small::new().project().json(r#"[{"id": "a", "n": 1}]"#);
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), project.path(".pipeline")).unwrap();
    project
        .run_clinic()
        .code(2)
        .stderr_contains(".pipeline is a symbolic link");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
