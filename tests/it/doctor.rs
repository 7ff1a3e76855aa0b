//! Tests of `pipeline doctor`.
use regex::Regex;
use serde_json::Value;

use crate::harness::{Database, MASK_KEY, Outcome, Project, Small};

/// The lines without what differs from machine to machine.
fn steady(outcome: &Outcome) -> String {
    let mut text = outcome.stdout.clone();
    for (pattern, name) in [
        (r"\d+ (MB|GB) free", "[size] free"),
        (r"127\.0\.0\.1:\d+/t\d+_\d+", "[database]"),
        (
            r"PostgreSQL .* at (.*), \d+ MB, connected in \d+ ms",
            "PostgreSQL [version] at $1, [size], connected in [time]",
        ),
        (r"\d+ connections are free", "[n] connections are free"),
        (r"its id is [0-9a-f]{16}", "its id is [id]"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
    }
    text
}

#[test]
fn the_whole_output_where_all_is_well() {
    let database = Database::migrated();
    let project = Project::with_examples().on(&database);
    insta::assert_snapshot!(steady(&project.run(&["doctor"]).code(0)), @r"
    ok    project      2 sources, 4 entities
    ok    work folder  the project's folder can be written
    ok    disk         [size] free for the project's folder
    ok    mask key     its id is [id]
    ok    storage      examples/data/source_a can be read (source_a)
    ok    storage      examples/data/source_b can be read (source_b)
    ok    database     PostgreSQL [version] at [database], [size], connected in [time]
    ok    writes       the server takes writes
    ok    rights       postgres may load
    ok    TLS          the connection is not encrypted, and stays on this machine
    ok    clock        the server's clock is that of this machine
    warn  settings     fsync is off: a crash of the server may damage all data
                       hint: switch it on, unless the server can be rebuilt from the sources
    ok    partitions   0 batch partitions
    ok    leftovers    no run has left anything behind
    ok    migrations   none is pending
    ok    tables       they are as pipeline.yaml declares them
    15 ok, 1 warn, 0 fail
    ");
    // Without a server it looks at the machine, and makes nothing.
    let project = Project::with_examples();
    insta::assert_snapshot!(steady(&project.run(&["doctor"]).code(0)), @r"
    ok    project      2 sources, 4 entities
    ok    work folder  the project's folder can be written
    ok    disk         [size] free for the project's folder
    ok    mask key     the first run makes one
    ok    storage      examples/data/source_a can be read (source_a)
    ok    storage      examples/data/source_b can be read (source_b)
    ok    database     no server is named, and the first run makes the embedded database
    7 ok, 0 warn, 0 fail
    ");
    assert!(!project.path(".pipeline").exists());
    project.load("source_a", "20230501");
    let states = states(&project.run(&["doctor", "--output", "json"]).code(0));
    assert!(states.iter().any(|line| line == "tables ok"), "{states:?}");
}

#[test]
fn the_whole_output_where_much_is_wrong() {
    let (database, project) = Small::new().on_server();
    let name = database.value("select current_database()");
    database.execute(&format!(
        "drop table items; alter database {name} set maintenance_work_mem = '16MB'; alter database {name} set default_transaction_read_only = on"
    ));
    let project = project.env("PIPELINE_MASK_KEY", "");
    project.write("pipelines/clinic.yaml", "name: clinic\ninput: {path: 'in/{date}.json'}\nschema: {id: {type: string, phi: identifier, mask: hash}, n: bigint}\n");
    let outcome = project.run(&["doctor"]).code(1);
    insta::assert_snapshot!(steady(&outcome), @r"
    ok    project      1 source, 1 entity
    ok    work folder  the project's folder can be written
    ok    disk         [size] free for the project's folder
    fail  mask key     PIPELINE_MASK_KEY is not set
                       hint: make a key with `openssl rand -base64 32`, and keep it: it can't be made again
    fail  storage      clinic: the folder in can't be read: No such file or directory (os error 2)
                       hint: make it, or correct `path` in pipelines/clinic.yaml
    ok    database     PostgreSQL [version] at [database], [size], connected in [time]
    fail  writes       default_transaction_read_only is on
                       hint: ALTER ROLE postgres SET default_transaction_read_only = off
    ok    rights       postgres may load
    ok    TLS          the connection is not encrypted, and stays on this machine
    ok    clock        the server's clock is that of this machine
    warn  settings     fsync is off: a crash of the server may damage all data
                       hint: switch it on, unless the server can be rebuilt from the sources
    warn  settings     maintenance_work_mem is 16 MB: indexes build slowly
                       hint: ALTER ROLE postgres SET maintenance_work_mem = '512MB'
    ok    partitions   0 batch partitions
    ok    leftovers    no run has left anything behind
    ok    migrations   none is pending
    fail  tables       the tables in [database] differ from pipeline.yaml in one place, first: the table items is not there
                       hint: run `pipeline migrate`; where no migration makes the change yet, `pipeline migration new` writes one
    10 ok, 2 warn, 4 fail
    ");
}

fn states(outcome: &Outcome) -> Vec<String> {
    let json = outcome.json();
    let checks = json["checks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks
        .map(|one| format!("{} {}", text(&one["check"]), text(&one["state"])))
        .collect()
}

#[test]
fn what_can_not_be_reached_is_code_3_and_the_rest_is_looked_at() {
    let project = Project::with_examples()
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .env("PIPELINE_MASK_KEY", MASK_KEY);
    let outcome = project.run(&["doctor", "--output", "json"]).code(3);
    let states = states(&outcome);
    assert!(
        states.contains(&"database fail".to_owned()) && states.contains(&"storage ok".to_owned()),
        "{states:?}"
    );
    outcome.output_lacks(MASK_KEY);
}

#[test]
fn a_broken_project_and_pending_migrations_are_told() {
    let database = Database::fresh();
    let project = Project::with_examples().on(&database);
    let states_of = |project: &Project| states(&project.run(&["doctor", "--output", "json"]).code(1));
    assert!(states_of(&project).contains(&"migrations fail".to_owned()));
    project.edit("pipelines/source_a.yaml", "format: json", "format: jsno");
    assert!(states_of(&project).contains(&"project fail".to_owned()));
}

#[test]
fn a_user_without_rights_is_told_which_are_missing() {
    let database = Database::migrated();
    let project = Project::with_examples().on(&database);
    let role = format!("nobody_{}", database.value("select current_database()"));
    database.execute(&format!("create role {role} login"));
    let url = Regex::new("//[^@/]*@")
        .unwrap()
        .replace(&database.url(), format!("//{role}@"))
        .into_owned();
    let outcome = project.run(&["doctor", "--database-url", &url]).code(1);
    assert!(outcome.stdout.contains(&format!("{role} lacks ")), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("which owns patients"), "{}", outcome.stdout);
    database.execute(&format!("drop role {role}"));
}
