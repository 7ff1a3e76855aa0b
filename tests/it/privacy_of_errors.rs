//! No value from the data appears in a message, log line, run history or server log, whatever fails.
use crate::harness::{Database, Project, SOURCE_A, Small, batch, server};

/// The value to search for. It consists of digits, so that it is also accepted where a number is needed.
const CANARY: &str = "73911937";

/// Runs the program, searches for the canary everywhere, and returns the exit code.
fn run_and_search(database: &Database, project: &Project, args: &[&str], what: &str) -> i32 {
    let mut code = 0;
    for format in ["text", "json"] {
        let mut all = args.to_vec();
        all.extend(["--log-format", format, "-v", "-v"]);
        let outcome = project.run(&all);
        code = outcome.exit().unwrap();
        assert!(!outcome.stdout.contains(CANARY), "{what}, stdout: {}", outcome.stdout);
        assert!(!outcome.stderr.contains(CANARY), "{what}, stderr: {}", outcome.stderr);
    }
    let history = database.rows("select r::text from pipeline.runs r").join("\n");
    assert!(!history.contains(CANARY), "{what}, pipeline.runs: {history}");
    let status = project.run(&["status", "--output", "json"]);
    assert!(!status.stdout.contains(CANARY), "{what}, status: {}", status.stdout);
    let log = server().log();
    if let Some(line) = log.lines().find(|line| line.contains(CANARY)) {
        panic!("{what}, server log: {line}");
    }
    code
}

fn talkative(database: &Database) {
    database.execute(&format!(
        "alter database {0} set log_min_messages = debug1; alter database {0} set log_error_verbosity = verbose",
        database.name
    ));
}

#[test]
fn values_that_do_not_fit_the_schema() {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true}\nn: bigint\nd: date\nx: {type: \"decimal(4,2)\"}\nl: {list: int}\ns:\n  struct:\n    b: bool\nt: timestamptz\nj: json")
        .on_server();
    talkative(&database);
    let run = ["run", "--source", "clinic", "--date", "2023-05-01"];
    for value in [
        format!(r#""n": "{CANARY}""#),
        format!(r#""n": {CANARY}.5"#),
        format!(r#""n": {CANARY}{CANARY}{CANARY}{CANARY}"#),
        format!(r#""n": tru{CANARY}"#),
        format!(r#""n": -{CANARY}e"#),
        format!(r#""d": "{CANARY}""#),
        format!(r#""d": {CANARY}"#),
        format!(r#""x": {CANARY}"#),
        format!(r#""l": [1, "{CANARY}"]"#),
        format!(r#""l": {{"{CANARY}": 1}}"#),
        format!(r#""s": {{"b": "{CANARY}"}}"#),
        format!(r#""s": ["{CANARY}"]"#),
        format!(r#""t": "2023-05-01 {CANARY}""#),
        format!(r#""n": "{CANARY}"#),
        format!(r#""n": 1}} "{CANARY}" {{"#),
        format!(r#""n": 1, {CANARY}"#),
        format!(r#""n": 1, "n": {CANARY}"#),
        format!(r#""n": 1, "surplus": \"{CANARY}"#),
        format!("\"n\": 1, \"j\": {{\"a\": \u{1}{CANARY}}}"),
    ] {
        project.write("in/2023-05-01.json", format!("[{{\"id\": \"{CANARY}\", {value}}}]"));
        let code = run_and_search(&database, &project, &run, &value);
        assert!(code == 1 || value.contains("\"n\": 1, \"n\""), "{value} should fail");
    }
    // The name of an undeclared field may itself be data.
    project.edit("pipelines/clinic.yaml", "schema:", "on_unknown_field: ignore\nschema:");
    project.write(
        "in/2023-05-01.json",
        format!(r#"[{{"id": "{CANARY}", "{CANARY}": {{"{CANARY}": 1}}}}]"#),
    );
    assert_eq!(run_and_search(&database, &project, &run, "an undeclared field"), 0);
}

#[test]
fn values_that_break_a_transform() {
    let run = ["run", "--source", "clinic", "--date", "2023-05-01"];
    for (what, sql) in [
        ("a cast", "select id as item_id, cast(t as bigint) as n from source"),
        (
            "a narrowing cast",
            "select id as item_id, cast(arrow_cast(n, 'Int16') as bigint) as n from source",
        ),
        (
            "a division",
            "select id as item_id, n / (n - 73911937) as n from source",
        ),
        (
            "a date",
            "select id as item_id, cast(to_date(t) as bigint) as n from source",
        ),
        (
            "a timestamp",
            "select id as item_id, cast(to_timestamp(t) as bigint) as n from source",
        ),
        (
            "a regular expression",
            "select id as item_id, cast(regexp_like(t, t) as bigint) as n from source",
        ),
        (
            "a decode",
            "select id as item_id, cast(length(encode(decode(t, 'hex'), 'hex')) as bigint) as n from source",
        ),
        (
            "a type that is named by the data",
            "select arrow_cast(id, 'Utf8') as item_id, cast(cast(t as date) as bigint) as n from source",
        ),
    ] {
        let (database, project) = Small::new()
            .schema("id: {type: string, required: true}\nn: bigint\nt: string")
            .sql(sql)
            .on_server();
        talkative(&database);
        project.write(
            "in/2023-05-01.json",
            format!(r#"[{{"id": "{CANARY}", "n": {CANARY}, "t": "({CANARY}x"}}]"#),
        );
        let sql_holds_it = sql.contains(CANARY);
        let outcome = project.run(&run);
        assert_eq!(outcome.exit(), Some(1), "{what}: {outcome:?}");
        if !sql_holds_it {
            run_and_search(&database, &project, &run, what);
        }
    }
}

#[test]
fn values_that_postgresql_refuses() {
    let run = ["run", "--source", "clinic", "--date", "2023-05-01"];
    for (what, kind, value) in [
        ("NUL", "text", r"\u0000"),
        ("too long", "varchar(3)", ""),
        ("no uuid", "uuid", ""),
        ("NUL in JSON", "jsonb", r"\u0000"),
    ] {
        let schema = if kind == "jsonb" { "t: json" } else { "t: string" };
        let (database, project) = Small::new()
            .columns(&[("t", kind)])
            .schema(schema)
            .sql("select t from source")
            .on_server();
        talkative(&database);
        project.write("in/2023-05-01.json", format!(r#"[{{"t": "{CANARY}{value}"}}]"#));
        assert_eq!(run_and_search(&database, &project, &run, what), 1, "{what}");
    }
}

#[test]
fn a_key_that_comes_twice() {
    let (database, project) = Small::new().on_server();
    talkative(&database);
    let project = project.json(format!(
        r#"[{{"id": "{CANARY}", "n": 1}}, {{"id": "{CANARY}", "n": 2}}]"#
    ));
    let code = run_and_search(
        &database,
        &project,
        &["run", "--source", "clinic", "--date", "2023-05-01"],
        "a duplicate key",
    );
    assert_eq!(code, 1);
}

#[test]
fn a_view_that_breaks_on_the_data_when_refreshed() {
    let (database, project) = Small::new().on_server();
    talkative(&database);
    let project = project.json(r#"[{"id": "x84022048", "n": 1}]"#).file(
        "sql/materialized/broken.sql",
        "select item_id::int as number from items\n",
    );
    project.run(&["views"]).code(0);
    let outcome = project.run(&["run", "--source", "clinic", "--date", "2023-05-01", "-v", "-v"]);
    assert_eq!(outcome.exit(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("broken"), "{}", outcome.stderr);
    outcome.output_lacks("84022048");
    let history = database.rows("select r::text from pipeline.runs r").join("\n");
    assert!(!history.contains("84022048"), "{history}");
    assert!(!server().log().contains("84022048"), "the server's log");
}

/// PostgreSQL's messages of other classes quote values, too: what runs over rows is told without them.
#[test]
fn what_postgresql_quotes_of_a_value_while_it_reads_rows() {
    let value = "Zanzi & ( x84022049";
    for select in [
        "select to_tsquery(item_id) as n from items",
        "select current_setting(item_id) as n from items",
        "select item_id::regclass as n from items",
        "select pg_read_file(item_id) as n from items",
    ] {
        for folder in ["checks", "materialized"] {
            // A view that reads files is refused as such.
            if folder == "materialized" && select.contains("pg_read_file") {
                continue;
            }
            let (database, project) = Small::new().on_server();
            talkative(&database);
            let project = project
                .json(format!(r#"[{{"id": "{value}", "n": 1}}]"#))
                .file(&format!("sql/{folder}/broken.sql"), format!("{select}\n"));
            project.run(&["views"]).code(0);
            let outcome = project.run(&["run", "--source", "clinic", "--date", "2023-05-01", "-v", "-v"]);
            assert_eq!(outcome.exit(), Some(1), "{select}: {outcome:?}");
            assert!(outcome.stderr.contains("broken.sql"), "{}", outcome.stderr);
            outcome.output_lacks("84022049").output_lacks("Zanzi");
            let history = database.rows("select r::text from pipeline.runs r").join("\n");
            assert!(!history.contains("84022049"), "{history}");
            assert!(!server().log().contains("84022049"), "the server's log");
        }
    }
}

#[test]
fn values_of_a_batch_that_loads() {
    let database = Database::migrated();
    talkative(&database);
    let project = Project::of_repository().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, CANARY, 20));
    let run = ["run", "--source", "a", "--date", "2023-05-01"];
    assert_eq!(run_and_search(&database, &project, &run, "a batch that loads"), 0);
    assert_eq!(
        database.count(&format!("treatments where treatments_drug = '{CANARY}'")),
        160
    );
    // The value must not be readable in a masked column.
    for masked in [
        "patients where name",
        "visits where provider_notes_text",
        "visits where provider_notes_author",
    ] {
        assert_eq!(database.count(&format!("{masked} like '%{CANARY}%'")), 0, "{masked}");
    }
}

#[test]
fn csv_cells() {
    let (database, project) = Small::new()
        .input("path: in/{date:%Y-%m-%d}.csv\nformat: csv")
        .schema("id: string\nn: bigint")
        .on_server();
    talkative(&database);
    let run = ["run", "--source", "clinic", "--date", "2023-05-01"];
    for text in [
        format!("id,n\n{CANARY},x{CANARY}\n"),
        format!("id,n\n{CANARY}\n"),
        format!("id,n\n{CANARY},1,{CANARY}\n"),
        format!("id,n\n\"{CANARY},1\n"),
        format!("{CANARY},n\n1,1\n"),
    ] {
        project.write("in/2023-05-01.csv", &text);
        // The first line is a header. An undeclared name in it is shown to help the user, unless it is the only
        // content.
        if text.starts_with("id") {
            assert_eq!(run_and_search(&database, &project, &run, &text), 1, "{text}");
        } else {
            project.run(&run).code(1);
        }
    }
}

/// `pipeline query` prints rows on stdout; what it says on stderr, and logs, holds none.
#[test]
fn what_postgresql_quotes_of_a_value_in_a_query() {
    let (_database, project) = Small::new().on_server();
    let project = project.json(r#"[{"id": "Zanzi & ( x84022050", "n": 1}]"#);
    project.run_clinic().code(0);
    for expression in [
        "to_tsquery(item_id)",
        "current_setting(item_id)",
        "item_id::regclass",
        "pg_read_file(item_id)",
        "pg_ls_dir(item_id)",
        "lo_import(item_id)",
        "dblink_connect(item_id)",
        "set_config('role', item_id, true)",
        "setseed(length(item_id))",
    ] {
        project
            .run(&["query", "-v", "-v", &format!("select {expression} from items")])
            .output_lacks("84022050")
            .output_lacks("Zanzi");
    }
}

/// An index that the contract can't express is built from the rows as the batch is swapped in.
#[test]
fn what_postgresql_quotes_of_a_value_while_it_attaches() {
    let (database, project) = Small::new().on_server();
    let project = project.json(r#"[{"id": "Zanzi & ( x84022051", "n": 1}]"#);
    database.execute(
        "create function words(t text) returns tsquery language sql immutable as $$ select to_tsquery('english', t) $$;
         create index on items (words(item_id))",
    );
    project
        .run(&["run", "--source", "clinic", "--date", "2023-05-01", "-v", "-v"])
        .code(1)
        .output_lacks("84022051")
        .output_lacks("Zanzi");
    let history = database.rows("select r::text from pipeline.runs r").join("\n");
    assert!(!history.contains("84022051"), "{history}");
}

/// A function may raise an error whose code and whose names are made of a value.
#[test]
fn what_a_function_raises_with_a_value_as_code_and_names() {
    let (database, project) = Small::new().on_server();
    talkative(&database);
    let project = project.json(r#"[{"id": "ZQ841", "n": 1}]"#).file(
        "sql/functions/climb.sql",
        "create function climb(t text) returns text language plpgsql as $$ begin raise exception using errcode = t, \
         message = t, hint = t, detail = t, table = t, column = t, constraint = t, datatype = t, schema = t; end $$\n",
    );
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    let select = "select climb(item_id) as x from items";
    let lacks = |project: &Project, args: &[&str]| {
        let outcome = project.run(args).output_lacks("ZQ841");
        assert_ne!(outcome.exit(), Some(0), "{args:?}: {outcome:?}");
    };
    lacks(&project, &["query", select]);
    project.write("sql/checks/raises.sql", select);
    lacks(&project, &["run", "--source", "clinic", "--date", "2023-05-01"]);
    project.remove("sql/checks/raises.sql");
    project.write("sql/materialized/raises.sql", select);
    lacks(&project, &["views"]);
    database.execute("truncate items");
    project.run(&["views"]).code(0);
    lacks(&project, &["run", "--source", "clinic", "--date", "2023-05-01"]);
    lacks(&project, &["views", "--refresh"]);
    project.write(
        "migrations/V2__raises.sql",
        format!("create table raised as {select};\n"),
    );
    lacks(&project, &["migrate"]);
    let history = database.rows("select r::text from pipeline.runs r").join("\n");
    assert!(!history.contains("ZQ841"), "{history}");
}
