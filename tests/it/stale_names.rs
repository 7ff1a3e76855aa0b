//! What a load recorded under a name that the project has no more, and copies of values beside the rows: both count until the
//! batch is loaded again.
use crate::harness::{DATE, Database, Project, Small, rows};
use crate::person::{ERASE, with_id};
use crate::roles::{Roles, client, refusal};

const NEXT: &str = "2023-05-02";
const NAME: &str = "Canary Zqxw";
const OTHER: &str = "Other Zqxw";
const ID: &str = "id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}";
const OPEN: &str = "name: string";

/// Two days of which the first is loaded raw, with roles, and the loader's session.
fn loaded(day: &str, sql: &str, columns: &[(&str, &str)], files: &[(&str, &str)]) -> (Database, Project, Roles) {
    let (database, mut project) = Small::new()
        .columns(columns)
        .schema(&format!("{ID}\n{OPEN}\nday: {day}"))
        .sql(sql)
        .rest("subject: id")
        .on_server();
    let records: Vec<String> = (0..20)
        .map(|n| format!(r#"{{"id": "a{n}", "name": "{NAME}"}}"#))
        .collect();
    project = project.json(format!("[{}]", records.join(","))).file(
        &format!("in/{NEXT}.json"),
        format!(r#"[{{"id": "b", "name": "{OTHER}"}}, {{"id": "b", "name": "{OTHER}"}}]"#),
    );
    for (path, text) in files {
        project = project.file(path, text);
    }
    let (project, roles) = Roles::after_a_load(&database, project);
    (database, project, roles)
}

fn names(files: &[(&str, &str)]) -> (Database, Project, Roles) {
    let columns = [("item_id", "text"), ("name", "text")];
    loaded("date", "select id as item_id, name from source", &columns, files)
}

fn redact(project: &Project) {
    project.edit(
        "pipelines/clinic.yaml",
        OPEN,
        "name: {type: string, phi: name, mask: redact}",
    );
    let yaml = project.read("pipeline.yaml");
    project.write("pipeline.yaml", format!("{yaml}privacy: pseudonymised\n"));
}

/// Migrates what was renamed, masks the name, and sees that the batch of the old name is told.
fn migrate_to_redacted(project: &Project) {
    redact(project);
    project.run(&["migrate"]).code(0);
    project.run(&["views"]).code(0);
    project
        .run(&["check"])
        .code(0)
        .output_lacks("Zqxw")
        .stdout_contains(&format!("clinic {DATE}: items.name"));
}

fn next(project: &Project) {
    project.run(&["run", "--source", "clinic", "--date", NEXT]).code(0);
}

#[test]
fn statistics_of_a_table_forget_what_was_raw() {
    let (database, project, roles) = names(&[]);
    database.execute("analyze public.items");
    let seen = "select count(*) from pg_stats where inherited and tablename = 'items' and most_common_vals::text like '%Zqxw%'";
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, seen), ["1"]);
    redact(&project);
    next(&project);
    assert_eq!(rows(&mut reader, seen), ["0"]);
    project.run(&["run", "--stale-masks"]).code(0);
    assert_eq!(rows(&mut reader, seen), ["0"]);
    // Neither the owner finds it there, nor a view with the owner's rights.
    assert_eq!(database.value(seen), "0");
}

#[test]
fn statistics_of_a_table_forget_whoever_was_erased_or_dropped() {
    let (database, project, _) = names(&[]);
    next(&project);
    let of = |name: &str| {
        database.value(&format!(
            "select count(*) from pg_stats where inherited and tablename = 'items'
             and concat(most_common_vals, histogram_bounds) like '%{name}%'"
        ))
    };
    database.execute("analyze public.items");
    assert_eq!((of(NAME), of(OTHER)), ("1".to_owned(), "1".to_owned()));
    with_id(&project, &ERASE, "b").code(0).stdout_contains("erased 2 items");
    assert_eq!((of(NAME), of(OTHER)), ("1".to_owned(), "0".to_owned()));
    project.write(
        &format!("in/{NEXT}.json"),
        format!(r#"[{{"id": "c", "name": "{OTHER}"}}, {{"id": "d", "name": "{OTHER}"}}]"#),
    );
    next(&project);
    project
        .run(&["drop", "--source", "clinic", "--date", DATE, "--yes"])
        .code(0);
    assert_eq!((of(NAME), of(OTHER)), ("0".to_owned(), "1".to_owned()));
}

#[test]
fn a_renamed_column_keeps_its_batches_hidden() {
    let (database, project, roles) = names(&[("sql/views/v.sql", "select name as n from items\n")]);
    project.write(
        "migrations/V2__rename.sql",
        "drop view if exists v;\ndrop view if exists pipeline_reading.items;\nalter table items rename column name to full_name;\n",
    );
    project.edit("pipeline.yaml", "      name:", "      full_name:");
    project.write(
        "sql/clinic/items.sql",
        "select id as item_id, name as full_name from source\n",
    );
    project.write("sql/views/v.sql", "select full_name as n from items\n");
    migrate_to_redacted(&project);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select full_name from items"), [""; 0]);
    assert!(refusal(&mut reader, "select * from v").contains("permission denied"));
    project.run(&["run", "--stale-masks"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select distinct n from v"), ["[redacted]"]);
    project.run(&["check"]).code(0).output_lacks("loaded under other masks");
}

#[test]
fn a_renamed_table_keeps_its_batches_hidden() {
    let (database, project, roles) = names(&[("sql/views/v.sql", "select name as n from items\n")]);
    project.write("migrations/V2__rename.sql", "alter table items rename to things;\n");
    project.edit("pipeline.yaml", "items:", "things:");
    project.write("sql/clinic/things.sql", project.read("sql/clinic/items.sql"));
    project.remove("sql/clinic/items.sql");
    project.write("sql/views/v.sql", "select name as n from things\n");
    migrate_to_redacted(&project);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select name from things"), [""; 0]);
    assert!(refusal(&mut reader, "select * from v").contains("permission denied"));
    next(&project);
    assert_eq!(rows(&mut reader, "select distinct name from things"), ["[redacted]"]);
    project.run(&["run", "--stale-masks"]).code(0);
    assert_eq!(
        database.value("select count(*) from things where name like '%Zqxw%'"),
        "0"
    );
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select distinct n from v"), ["[redacted]"]);
}

#[test]
fn a_renamed_column_that_told_the_date_keeps_its_batches_hidden() {
    let columns = [("item_id", "text"), ("day", "date"), ("filled", "date")];
    let view = ("sql/views/v.sql", "select filled from items\n");
    let day = "{type: date, phi: date, mask: date_shift}";
    let sql = "select id as item_id, day, $date as filled from source";
    let (database, project, roles) = loaded(day, sql, &columns, &[view]);
    project.write(
        "migrations/V2__rename.sql",
        "drop view if exists v;\ndrop view if exists pipeline_reading.items;\nalter table items rename column filled to f2;\n",
    );
    project.edit("pipeline.yaml", "      filled:", "      f2:");
    project.write(
        "sql/clinic/items.sql",
        "select id as item_id, day, day as f2 from source\n",
    );
    project.write("sql/views/v.sql", "select f2 from items\n");
    project.run(&["migrate"]).code(0);
    project.run(&["views"]).code(0);
    project
        .run(&["check"])
        .code(0)
        .stdout_contains(&format!("clinic {DATE}: items.filled"));
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select f2 from items"), [""; 0]);
    assert!(refusal(&mut reader, "select * from v").contains("permission denied"));
}

#[test]
fn a_field_that_was_renamed_when_it_became_sensitive_keeps_its_batches_hidden() {
    let (database, project, roles) = names(&[]);
    project.edit(
        "pipelines/clinic.yaml",
        OPEN,
        "full_name: {type: string, phi: name, mask: redact}",
    );
    project.write(
        "sql/clinic/items.sql",
        "select id as item_id, cast(null as varchar) as name from source\n",
    );
    let yaml = project.read("pipeline.yaml");
    project.write("pipeline.yaml", format!("{yaml}privacy: pseudonymised\n"));
    project
        .run(&["check"])
        .code(0)
        .stdout_contains(&format!("clinic {DATE}: items.name"));
    project.run(&["views"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select name from items"), [""; 0]);
}

#[test]
fn a_materialized_view_with_sql_in_a_text_is_filled_anew() {
    let words = "select word from ts_stat('select to_tsvector(''simple'', name) from public.items')\n";
    let xml = "select query_to_xml('select name from public.items', true, true, '')::text as word\n";
    let operator = "create function named(text, text) returns text language sql as \
                    $$ select max(name) from public.items $$;
                    create operator ||| (leftarg = text, rightarg = text, function = named);\n";
    let function = "create function told() returns xml language sql begin atomic \
                    select pg_catalog.table_to_xml('public.items', true, true, ''); end;\n";
    let (database, project, _) = names(&[
        ("sql/materialized/words.sql", words),
        ("sql/materialized/xml.sql", xml),
        ("sql/functions/told.sql", function),
        ("sql/materialized/by_function.sql", "select told()::text as word\n"),
    ]);
    project.write("migrations/V2__names.sql", operator);
    project.write("sql/materialized/operated.sql", "select 'x' ||| 'y' as word\n");
    project.run(&["migrate"]).code(0);
    project.run(&["views"]).code(0);
    for view in ["words", "xml", "by_function", "operated"] {
        let sql = format!("select count(*) > 0 from {view} where word ilike '%zqxw%'");
        assert_eq!(database.value(&sql), "t", "{view}");
    }
    redact(&project);
    project.run(&["run", "--stale-masks"]).code(0);
    for view in ["words", "xml", "by_function", "operated"] {
        let sql = format!("select count(*) from {view} where word ilike '%zqxw%'");
        assert_eq!(database.value(&sql), "0", "{view}");
        assert_ne!(database.count(view), 0, "{view}");
    }
    // Nor does an erased person stay in it.
    let longest = "select max(length(word)) from xml";
    let before: u64 = database.value(longest).parse().unwrap();
    with_id(&project, &ERASE, "a0")
        .code(0)
        .stdout_contains("erased 1 items");
    assert!(database.value(longest).parse::<u64>().unwrap() < before);
}
