//! The whole output of each command: of its main success and of its main failure. What differs from run to run is replaced.
use std::io::Write as _;
use std::process::Stdio;

use regex::Regex;

use crate::harness::{Database, Outcome, Project, Small, until};
use crate::roles::Roles;

/// Exit code, stdout and stderr, without what differs from run to run.
fn whole(outcome: &Outcome) -> String {
    steady(outcome.exit(), &outcome.stdout, &outcome.message())
}

fn steady(code: Option<i32>, stdout: &str, stderr: &str) -> String {
    let mut text = match (stdout.trim_end(), stderr.trim_end()) {
        (out, "") => out.to_owned(),
        ("", err) => format!("-- stderr\n{err}"),
        (out, err) => format!("{out}\n-- stderr\n{err}"),
    };
    for (pattern, by) in [
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
        (r"\b\d+\.\d\d( s\b)?", "SECONDS"),
        (r"\b[0-9a-f]{16}\b", "KEY"),
        (r"postgres:[0-9a-f]{32}@", "postgres:PASSWORD@"),
        (r"process \d+", "process ID"),
        (r"(?m)^pipeline V\d+__\w+\n", ""),
        (r"(?m) +$", ""),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, by).into_owned();
    }
    match code {
        Some(0) => text,
        code => format!("{text}\n-- exit {}", code.unwrap()),
    }
}

fn project() -> Project {
    Small::new()
        .quarantine()
        .schema("id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\nn: bigint")
        .rest("subject: id\nmax_quarantined: 50%")
        .project()
        .file(
            "sql/views/numbers.sql",
            "select n, count(*) as items from items group by n\n",
        )
        .file(
            "in/2023-05-01.json",
            r#"[{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "a", "n": 3}]"#,
        )
}

/// A project whose one day is loaded.
fn loaded() -> (Database, Project) {
    let database = Database::fresh();
    let project = project().on(&database);
    project.run(&["migrate"]).code(0);
    project.run(&["views"]).code(0);
    project.load("clinic", "2023-05-01");
    (database, project)
}

#[test]
fn migrate_and_migration_new() {
    let database = Database::fresh();
    let project = project().on(&database);
    let run = |args: &[&str]| whole(&project.run(args));
    insta::assert_snapshot!(run(&["migrate"]), @"migrations/V1__items.sql");
    insta::assert_snapshot!(run(&["migrate"]), @"no migration is pending");
    insta::assert_snapshot!(run(&["migration", "new", "more"]), @"the migrations already have all that pipeline.yaml declares");
    insta::assert_snapshot!(run(&["migration", "new", "a b"]), @r"
    -- stderr
    error: a migration's name is made of letters, digits and underscores
    hint: such as add_allergies
    -- exit 2
    ");
    project.edit("pipeline.yaml", "      n: {", "      m: {type: date}\n      n: {");
    insta::assert_snapshot!(run(&["migration", "new", "more"]), @"migrations/V2__more.sql");
    project.write("migrations/V3__wrong.sql", "alter table items add column m nothing;\n");
    insta::assert_snapshot!(run(&["migrate"]), @r#"
    -- stderr
    error: the migration migrations/V3__wrong.sql failed

    error: column "m" of relation "items" already exists (42701)
    --> migrations/V3__wrong.sql:1:1

    hint: nothing of this migration was kept; mend the file and run `pipeline migrate` again
    -- exit 1
    "#);
}

#[test]
fn run_status_and_query() {
    let (_database, project) = loaded();
    let run = |args: &[&str]| whole(&project.run(args));
    insta::assert_snapshot!(run(&["run", "--source", "clinic", "--date", "2023-05-01"]), @r"
    batch              status  records  items  quarantined  seconds
    clinic 2023-05-01  loaded        3      2            1     SECONDS
    what was quarantined, and why: pipeline quarantine list
    -- stderr
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: loaded 2 items from 3 records, 1 quarantined in [time]
    ");
    insta::assert_snapshot!(run(&["run", "--source", "clinic", "--date", "2023-05-02"]), @r"
    batch              status  records  items  seconds
    clinic 2023-05-02  failed        -      -     SECONDS
    -- stderr
    1 batch: clinic 2023-05-02
    clinic 2023-05-02: failed in [time]

    error: clinic 2023-05-02: the input of clinic 2023-05-02 is missing: in/2023-05-02.json
    hint: deliver it, or set `on_missing: skip` where a day without input is normal
    -- exit 1
    ");
    insta::assert_snapshot!(run(&["run", "--source", "nobody", "--date", "2023-05-02"]), @r"
    -- stderr
    error: no source has the name or alias `nobody`
    hint: the project has clinic
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["status"]), @r"
    run  batch              action  status     started (UTC)        seconds  records  rows  error
      2  clinic 2023-05-01  load    committed  TIME     SECONDS        3     2
      1  clinic 2023-05-01  load    committed  TIME     SECONDS        3     2
    ");
    insta::assert_snapshot!(run(&["status", "--source", "nobody"]), @r"
    -- stderr
    error: no source has the name or alias `nobody`
    hint: the project has clinic
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["query", "select n from items order by n"]), @r"
    n
    1
    2
    (2 rows)
    ");
    insta::assert_snapshot!(run(&["query", "select nope from items"]), @r#"
    -- stderr
    error: the query is wrong

    error: column "nope" does not exist (42703)
     --> query:1:8
      |
    1 | select nope from items
      |        ^^^^
    -- exit 2
    "#);
}

#[test]
fn quarantine_list_and_show() {
    let (_database, project) = loaded();
    let run = |args: &[&str]| whole(&project.run(args));
    insta::assert_snapshot!(run(&["quarantine", "list"]), @r"
    batch              run  status     entity  check            entries  reason
    clinic 2023-05-01    1  committed  items   unique(item_id)        1  an earlier row has the same key
    ");
    insta::assert_snapshot!(run(&["quarantine", "list", "--source", "nobody"]), @r"
    -- stderr
    error: no source has the name or alias `nobody`
    hint: the project has clinic
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["quarantine", "show"]), @r"
    batch              run  entity  check            file                record  byte  path     reason
    clinic 2023-05-01    1  items   unique(item_id)  in/2023-05-01.json       3     -  item_id  an earlier row has the same key
    ");
    insta::assert_snapshot!(run(&["quarantine", "show", "--source", "nobody"]), @r"
    -- stderr
    error: no source has the name or alias `nobody`
    hint: the project has clinic
    -- exit 2
    ");
}

#[test]
fn drop_and_views() {
    let (_database, project) = loaded();
    let run = |args: &[&str]| whole(&project.run(args));
    insta::assert_snapshot!(run(&["views"]), @"1 up to date");
    project.write("sql/views/more.sql", "select n as m from items\n");
    insta::assert_snapshot!(run(&["views"]), @r"
    created view more
    1 up to date
    ");
    project.write("sql/views/more.sql", "select nope as m from items\n");
    insta::assert_snapshot!(run(&["views"]), @r#"
    -- stderr
    error: the views can't be made, and none was changed

    error: column "nope" does not exist (42703)
     --> sql/views/more.sql:1:8
      |
    1 | select nope as m from items
      |        ^^^^
      |
      = hint: check the name; the columns of an entity are those of pipeline.yaml, then source and batch_date
    -- exit 2
    "#);
    insta::assert_snapshot!(run(&["drop", "--source", "clinic", "--date", "2023-05-01"]), @r"
    -- stderr
    error: dropping clinic 2023-05-01 needs a yes and there is no terminal to ask at
    hint: add --yes
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["drop", "--source", "clinic", "--date", "2023-05-01", "--yes"]), @"clinic 2023-05-01: dropped 2 items");
    insta::assert_snapshot!(run(&["drop", "--source", "clinic", "--date", "2023-05-01", "--yes"]), @"clinic 2023-05-01: there was nothing to drop");
}

#[test]
fn check_and_preview() {
    let project = project();
    let run = |args: &[&str]| whole(&project.run(args));
    insta::assert_snapshot!(run(&["check"]), @"no problem found: 1 entity, 1 source, 1 transform, 1 migration, 1 view");
    insta::assert_snapshot!(run(&["preview", "--source", "clinic", "--date", "2023-05-01", "--refused"]), @r"
    entity  check            file                record  byte  path     reason
    items   unique(item_id)  in/2023-05-01.json       3     -  item_id  an earlier row has the same key
    -- stderr
    from all 3 records of clinic 2023-05-01; 1 would be refused
    warning: the project has no mask key, so masked values differ from those of a run
    ");
    project.edit("sql/clinic/items.sql", "select id", "select idd");
    insta::assert_snapshot!(run(&["check"]), @r"
    -- stderr
    error: the transforms do not fit the project

    error: column 'idd' not found
     --> sql/clinic/items.sql:1:8
      |
    1 | select idd as item_id, n from source
      |        ^^^
      |
      = hint: did you mean `id`?
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["preview", "--source", "clinic", "--date", "2023-05-01"]), @r"
    -- stderr
    error: the transforms do not fit the project

    error: column 'idd' not found
     --> sql/clinic/items.sql:1:8
      |
    1 | select idd as item_id, n from source
      |        ^^^
      |
      = hint: did you mean `id`?
    -- exit 2
    ");
}

#[test]
fn lineage_and_privacy_reports() {
    let project = project();
    let run = |args: &[&str]| whole(&project.run(args));
    insta::assert_snapshot!(run(&["lineage", "items.item_id"]), @r"
    items.item_id
    └─ clinic via sql/clinic/items.sql
       └─ id (direct, phi identifier, mask hash)
    ");
    insta::assert_snapshot!(run(&["lineage", "items.nope"]), @r"
    -- stderr
    error: there is no column `items.nope`
    hint: there are items.item_id, items.n, items.source, items.batch_date
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["privacy", "report"]), @r"
    privacy profile: custom

    identifier
    └─ clinic: id (mask hash)
       └─ tables, direct: items.item_id

    without a class, and in a table
    └─ clinic: n (no mask)
       ├─ tables, direct: items.n
       ├─ views, direct: numbers.n
       └─ views, indirect: numbers
    ");
    project.edit("pipelines/clinic.yaml", "mask: hash", "mask: hush");
    insta::assert_snapshot!(run(&["privacy", "report"]), @r"
    -- stderr
    error: the project has a problem

    error: `mask` can't be `hush`
     --> pipelines/clinic.yaml:6:61
      |
    6 |   id: {type: string, required: true, phi: identifier, mask: hush, domain: patient}
      |                                                             ^^^^
      |
      = hint: did you mean `hash`?
    -- exit 2
    ");
}

#[test]
fn privacy_risk() {
    let (_database, project) = loaded();
    let run = |args: &[&str]| whole(&project.run(args));
    insta::assert_snapshot!(run(&["privacy", "risk"]), @r"
    -- stderr
    error: pipeline.yaml does not say which columns are quasi-identifiers
    hint: privacy: {k: 5, quasi: [zip3, birth_year, sex], over: patients}
    -- exit 2
    ");
    project.edit(
        "pipeline.yaml",
        "name: small\n",
        "name: small\nprivacy: {k: 2, quasi: [n], over: items, severity: warn}\n",
    );
    insta::assert_snapshot!(run(&["privacy", "risk"]), @r"
    view     quasi-identifiers  k  of    l  in
    numbers  n                  1  rows  1  items
    -- stderr
    k: the fewest that share a combination; l: the fewest values of a column that they have between them
    ");
}

#[test]
fn privacy_of_one_person() {
    let (_database, project) = loaded();
    let run = |args: &[&str]| {
        let mut command = project.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that refuses its arguments reads nothing.
        let _ = child.stdin.take().unwrap().write_all(b"a");
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        steady(output.status.code(), &text(&output.stdout), &text(&output.stderr))
    };
    insta::assert_snapshot!(run(&["privacy", "trace"]), @r"
    batch              table  rows
    clinic 2023-05-01  items     1
    numbers: view over these tables
    quarantine, clinic 2023-05-01, run 1: in/2023-05-01.json, record 3
    input, clinic 2023-05-01: in/2023-05-01.json, record 1, 3
    ");
    insta::assert_snapshot!(run(&["privacy", "trace", "--subject", "a"]), @r#"
    -- stderr
    error: the person's id can't be an argument
    caused by: everybody on this machine sees the arguments of a process, and the shell keeps them
    hint: give it on standard input: printf %s "$id" | pipeline privacy trace
    -- exit 2
    "#);
    insta::assert_snapshot!(run(&["privacy", "erase", "--yes", "--domain", "nothing"]), @r"
    -- stderr
    error: no source has a subject of the domain nothing
    hint: there are patient
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["privacy", "erase", "--yes"]), @r"
    clinic 2023-05-01: erased 1 items, 1 of the quarantine
    later loads leave this person out; the receipt is row 1 of pipeline.erasures
    -- stderr
    left to you:
      the input file in/2023-05-01.json (clinic 2023-05-01)
      input files, also of dates that were never loaded, and copies of them
      backups, standbys and the archive of the write-ahead log; after a restore, erase again
      free space of tables and materialized views, until VACUUM FULL
      extracts, dumps, caches of BI tools, and tables that others have made
      the numbers of earlier runs in the run history, which count the person's rows
    ");
    insta::assert_snapshot!(run(&["privacy", "suppression"]), @r"
    domain   key               entries  newest (UTC)
    patient  KEY        1  TIME
    ");
    insta::assert_snapshot!(run(&["privacy", "suppression", "--remove"]), @"taken off the suppression list; the next loads bring the person's records again");
    insta::assert_snapshot!(run(&["privacy", "suppression", "--remove"]), @"this person is not on the suppression list");
}

#[test]
fn completions_and_commands_that_do_not_exist() {
    let outside = Project::new();
    let bash = outside.run(&["completions", "bash"]).code(0);
    assert_eq!(bash.stderr, "");
    assert!(
        bash.stdout.starts_with("_pipeline() {\n") && bash.stdout.contains("--kind-by"),
        "{}",
        bash.stdout
    );
    let run = |args: &[&str]| whole(&outside.run(args));
    insta::assert_snapshot!(run(&["completions", "tcsh"]), @r"
    -- stderr
    error: invalid value 'tcsh' for '<SHELL>'
      [possible values: bash, elvish, fish, powershell, zsh]

      tip: a similar value exists: 'zsh'

    For more information, try '--help'.
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["chek"]), @r"
    -- stderr
    error: unrecognized subcommand 'chek'

      tip: some similar subcommands exist: 'schema', 'check'

    Usage: pipeline [OPTIONS] <COMMAND>

    For more information, try '--help'.
    -- exit 2
    ");
}

#[test]
fn source_add_from_a_sample() {
    let outside = Project::new();
    outside.run(&["init", "p"]).code(0);
    let project = Project::copy_of(&outside.path("p")).file(
        "in/2023-05-01/a.json",
        r#"[{"id": "1", "name": "Ada", "visits": [{"number": "V1", "day": "2023-05-01", "drugs": [{"name": "x"}]}]}]"#,
    );
    let run = |args: &[&str]| whole(&project.run(args));
    insta::assert_snapshot!(run(&["source", "add", "north", "--from", "in"]), @r#"
    written  pipelines/north.yaml
    written  sql/north/patients.sql
    written  sql/north/prescriptions.sql
    -- stderr
    1 record in 1 file was looked at. 5 fields declared, 5 of them masked.
    note: no SQL was written for visits: no field was found for visit_date, which may not be null
    note: no column takes visits.day; `--entities new` makes tables for all fields

    Next: read pipelines/north.yaml, above all the masks. Then
      pipeline check
      pipeline preview --source north --date 2023-05-01
      pipeline test create --source north --date 2023-05-01 --record 1
      pipeline test
      pipeline run --source north --date 2023-05-01
      pipeline query "select * from patients where source = 'north' limit 5"
    "#);
    insta::assert_snapshot!(run(&["source", "add", "north", "--from", "in"]), @r"
    -- stderr
    error: there is a source `north` already
    hint: choose another name, or give `--update` to see what this sample changes in its schema
    -- exit 2
    ");
    insta::assert_snapshot!(run(&["source", "add", "south", "--from", "nowhere"]), @r"
    -- stderr
    error: there is no file at nowhere
    hint: name a file, a folder, a pattern in quotes, or a URL
    -- exit 2
    ");
}

#[test]
fn roles_of_a_server() {
    let (database, project) = loaded();
    let roles = Roles::of(&database);
    let without_names = |outcome: &Outcome| {
        whole(outcome)
            .replace(&format!("_{}", database.name), "_x")
            .replace(&database.name, "x")
    };
    insta::assert_snapshot!(without_names(&project.run(&roles.args())), @r"
    owner_x: owns schemas, tables and views; can't log in
    loader_x: a member of it; for `pipeline migrate`, `views` and `run`
    checker_x: checks of sql/checks run with its rights; can't log in
    reader_x: reads items, numbers
    -- stderr
    no role was given a password: in psql, \password loader_x and \password reader_x, or let pg_hba.conf trust certificates or peers
    ");
    insta::assert_snapshot!(without_names(&project.run(&["roles", "--reader", "pg_all"])), @r"
    -- stderr
    error: a role can't have this name
    hint: use up to 63 letters, digits and _ - . @; not public, none, nor what begins with pg_
    -- exit 2
    ");
    insta::assert_snapshot!(whole(&self::project().run(&["roles"])), @r"
    -- stderr
    error: the embedded database has no use for roles: whoever may open its folder may do all
    hint: name a server with --database-url or DATABASE_URL; --print shows the SQL without one
    -- exit 2
    ");
}

#[test]
fn serve_db_tells_its_address_and_who_holds_the_database() {
    let project = project();
    project.load("clinic", "2023-05-01");
    let mut serving = project.spawn(&["serve-db"]);
    until("the address is printed", || {
        serving.is_over() || serving.stdout_so_far().contains("postgres")
    });
    let ports = Regex::new(r":\d{4,5}").unwrap();
    let said = |text: &str| ports.replace_all(text, ":PORT").into_owned();
    insta::assert_snapshot!(said(&steady(Some(0), &serving.stdout_so_far(), &serving.stderr_so_far())), @r"
    postgresql://postgres:PASSWORD@127.0.0.1:PORT/postgres?sslmode=disable
    -- stderr
    one client at a time; Ctrl-C ends it
    ");
    insta::assert_snapshot!(said(&whole(&project.run(&["serve-db"]))), @r"
    -- stderr
    error: the embedded database is in use by `pipeline serve-db` (process ID)
    hint: wait until it has ended, or stop it; a server named by --database-url takes many at once
    -- exit 1
    ");
    serving.signal("INT");
    serving.wait();
}
