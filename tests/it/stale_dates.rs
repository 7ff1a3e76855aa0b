//! What a loaded batch holds of its date, and of shifted dates, is told by how it was loaded, and not by the YAML and SQL of
//! today. Checks in SQL see nothing of batches that are kept from readers, and can't count up to a value.
use std::process::Command;

use crate::harness::{self, DATE, Database, Project, Small, rows};
use crate::roles::{Roles, client, refusal, url};

const NEXT: &str = "2023-05-02";
const SHIFTED: &str = "{type: date, phi: date, mask: date_shift}";
const FROM_DATE: &str = "select id as item_id, day, coalesce(day, $date) as filled from source";
const WITHOUT: &str = "select id as item_id, day, day as filled from source\n";

/// Two days of input of which the first is loaded, with a column that is computed from `$date`, roles, and the loader.
fn loaded(day: &str, profile: &str) -> (Database, Project, Roles) {
    let (database, project) = Small::new()
        .schema(&format!("id: {{type: string, required: true}}\nday: {day}"))
        .columns(&[("item_id", "text"), ("day", "date"), ("filled", "date")])
        .sql(FROM_DATE)
        .rest("subject: id")
        .on_server();
    let yaml = project.read("pipeline.yaml");
    let project = project
        .file("pipeline.yaml", format!("{yaml}{profile}"))
        .json(r#"[{"id": "a"}]"#)
        .file(&format!("in/{NEXT}.json"), r#"[{"id": "b"}]"#)
        .file("sql/views/fills.sql", "select filled from items\n")
        .file("sql/views/ids.sql", "select item_id from items\n");
    let (project, roles) = Roles::after_a_load(&database, project);
    (database, project, roles)
}

fn next(project: &Project) {
    project.run(&["run", "--source", "clinic", "--date", NEXT]).code(0);
}

#[test]
fn a_column_that_showed_the_date_stays_hidden_until_its_batch_is_loaded_again() {
    for (day, profile) in [
        (SHIFTED, ""),
        ("{type: date, phi: date, mask: null}", "privacy: safe_harbor\n"),
    ] {
        let (database, project, roles) = loaded(day, profile);
        let mut reader = client(&database, &roles.reader);
        assert!(refusal(&mut reader, "select filled from items").contains("does not exist"));
        project.write("sql/clinic/items.sql", WITHOUT);
        next(&project);
        let mut reader = client(&database, &roles.reader);
        assert_eq!(
            rows(&mut reader, "select filled from items where filled is not null"),
            [""; 0]
        );
        assert_eq!(rows(&mut reader, "select item_id from items"), ["b"]);
        assert!(refusal(&mut reader, "select * from fills").contains("permission denied"));
        assert_eq!(rows(&mut reader, "select item_id from ids order by 1"), ["a", "b"]);
        // Everything that speaks of masks names it.
        let line =
            format!("clinic {DATE}: items.filled with a value computed from the batch's date; now nothing of that");
        for command in [&["check"][..], &["status"], &["privacy", "report"]] {
            project.run(command).code(0).stdout_contains(&line);
        }
        let report = project.run(&["privacy", "report", "--output", "json"]).code(0).json();
        assert_eq!(report["stale_masks"].as_array().unwrap().len(), 1);
        assert_eq!(report["stale_masks"][0]["columns"].as_array().unwrap().len(), 1);
        let superuser = database.url();
        project
            .run(&[&roles.args()[..], &["--database-url", &superuser]].concat())
            .code(0)
            .stdout_contains(&format!("without batches under other masks: clinic {DATE}"));

        project.run(&["run", "--stale-masks"]).code(0);
        let mut reader = client(&database, &roles.reader);
        assert_eq!(rows(&mut reader, "select item_id from items order by 1"), ["a", "b"]);
        assert_eq!(rows(&mut reader, "select count(*) from fills"), ["2"]);
        assert_eq!(database.count("pipeline.hidden_batches"), 0);
        project.run(&["check"]).code(0).output_lacks("loaded under other masks");
    }
}

#[test]
fn a_batch_of_which_no_date_is_recorded_is_hidden_where_dates_are() {
    let (database, project, roles) = loaded(SHIFTED, "");
    database.execute("update pipeline.masks set batch_date_in = null");
    project
        .run(&["check"])
        .code(0)
        .stdout_contains("not recorded whether it shows the batch's date");
    project.run(&["views"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select item_id from items"), [""; 0]);
    project.run(&["run", "--stale-masks"]).code(0);
    assert_eq!(rows(&mut reader, "select item_id from items"), ["a"]);
}

#[test]
fn the_batch_date_stays_hidden_as_long_as_a_batch_has_shifted_dates() {
    let (database, project, roles) = loaded(SHIFTED, "");
    let script = project.run(&[&roles.args()[..], &["--print"]].concat()).code(0).stdout;
    assert!(script.contains("pipeline_reading"));
    project.edit(
        "pipelines/clinic.yaml",
        "mask: date_shift",
        "mask: keep, reason: synthetic",
    );
    next(&project);
    let closed = |what: &str| {
        let mut reader = client(&database, &roles.reader);
        let said = refusal(&mut reader, "select batch_date from items");
        assert!(said.contains("does not exist"), "{what}: {said}");
        let said = refusal(&mut reader, "select batch_date from public.items");
        assert!(said.contains("permission denied"), "{what}: {said}");
    };
    closed("after a run");
    project.run(&["views"]).code(0);
    closed("after views");
    project
        .run(&["privacy", "report"])
        .code(0)
        .stdout_contains("a date that no mask covers");
    project
        .run(&["check"])
        .code(0)
        .stdout_contains(&format!("clinic {DATE}: items.day"));
    // Neither a script that asks no database nor the command itself opens it.
    let superuser = project.env("DATABASE_URL", &database.url());
    let script = superuser
        .run(&[&roles.args()[..], &["--print"]].concat())
        .code(0)
        .stdout;
    superuser.write("roles.sql", script);
    let mut psql = Command::new(harness::psql());
    psql.args(["-X", "-q", "-d", &database.url(), "-f"])
        .arg(superuser.path("roles.sql"));
    let done = psql.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("`pipeline views` gives readers their rights"));
    closed("after a printed script");
    superuser.run(&roles.args()).code(0).stdout_contains("items.batch_date");
    closed("after roles");
    let project = superuser.env("DATABASE_URL", &url(&database, &roles.loader));
    project.run(&["run", "--stale-masks"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(
        rows(&mut reader, "select batch_date from items order by 1"),
        [DATE, NEXT]
    );
}

#[test]
fn a_source_that_is_gone_keeps_the_batch_date_hidden_until_its_batches_are_dropped() {
    let (database, project, roles) = loaded(SHIFTED, "");
    let other = project.read("pipelines/clinic.yaml");
    let other = other.replace("name: clinic", "name: other\ntransforms: sql/clinic");
    project.write(
        "pipelines/other.yaml",
        other.replace("mask: date_shift", "mask: keep, reason: synthetic"),
    );
    project.remove("pipelines/clinic.yaml");
    project.run(&["run", "--source", "other", "--date", NEXT]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert!(refusal(&mut reader, "select batch_date from items").contains("does not exist"));
    project
        .run(&["drop", "--source", "clinic", "--date", DATE, "--yes"])
        .code(0);
    assert_eq!(rows(&mut reader, "select batch_date from items"), [NEXT]);
}

#[test]
fn a_check_in_sql_can_not_count_up_to_a_value() {
    for (mask, told) in [
        (
            "phi: identifier, mask: hash",
            "it selects at least 10 rows of the batch",
        ),
        ("phi: none", "it selects 57 rows of the batch"),
    ] {
        let (_database, project) = Small::new()
            .schema(&format!("id: {{type: string, required: true, {mask}}}\nn: bigint"))
            .on_server();
        let project = project.json(r#"[{"id": "a", "n": 57}, {"id": "b", "n": 1000000000000}]"#);
        let check = |n: u64| format!("-- severity: warn\nselect generate_series(1, n) from items where n = {n}\n");
        project.write("sql/checks/age.sql", check(57));
        project.run_clinic().code(0).stderr_contains(told);
        // Nor is it counted without end.
        project.write("sql/checks/age.sql", check(1_000_000_000_000));
        project
            .run_clinic()
            .code(0)
            .stderr_contains("it selects more than 100 rows of the batch");
    }
}

#[test]
fn a_check_in_sql_sees_no_batch_that_readers_do_not_see() {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true}\nname: {type: string, phi: name, mask: keep, reason: asked}")
        .columns(&[("item_id", "text"), ("name", "text")])
        .sql("select id as item_id, name from source")
        .on_server();
    let project = project
        .json(r#"[{"id": "a", "name": "Canary Zqxw"}]"#)
        .file(&format!("in/{NEXT}.json"), r#"[{"id": "b", "name": "Berta"}]"#)
        .file("sql/views/names.sql", "select name from items\n")
        .file("sql/views/ids.sql", "select item_id from items\n");
    let (project, _) = Roles::after_a_load(&database, project);
    let run = |sql: &str| {
        project.write("sql/checks/one.sql", format!("{sql}\n"));
        project.run(&["run", "--source", "clinic", "--date", NEXT])
    };
    let asks = "select public.items.item_id from items b, PUBLIC.items where public.items.name like 'Canary%'";
    run(asks).code(1).stderr_contains("it selects 1 rows of the batch");
    run("select 1 from names where name like 'Canary%'").code(1);

    project.edit("pipelines/clinic.yaml", "mask: keep, reason: asked", "mask: redact");
    let yaml = project.read("pipeline.yaml");
    project.write("pipeline.yaml", format!("{yaml}privacy: pseudonymised\n"));
    run(asks).code(0);
    run("select 1 from \"public\" . \"items\" where name like 'Canary%'").code(0);
    assert_eq!(database.count("pipeline.hidden_batches"), 1);
    for sql in [
        "select 1 from names where name like 'Canary%'",
        "select 1 from items where query_to_xml('select 1 from public.items', true, true, '') is null",
    ] {
        let refused = run(sql);
        assert_ne!(refused.exit(), Some(0), "{sql}");
        refused.stderr_contains("can't be made").stderr_contains("42501");
    }
    // What readers see of such a batch, a check sees, too.
    run("select item_id from ids where item_id = 'a'").code(1);
    // Places in the text are those of the file.
    run("select 1 from public.items p\nwhere p.nme is null")
        .code(2)
        .stderr_contains("sql/checks/one.sql:2:7\n");
    // Nothing of it is left.
    let left = "select count(*) from pg_namespace where nspname like '\\_%'";
    assert_eq!(database.value(left), "0");
    project.remove("sql/checks/one.sql");
    project.run(&["run", "--stale-masks"]).code(0);
    run("select 1 from public.items where name like '[red%'").code(1);
    run("select 1 from names where name like '[red%'").code(1);
}
