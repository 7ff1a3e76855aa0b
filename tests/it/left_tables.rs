//! Rows that the project has lost sight of: those of a table that was taken out of `pipeline.yaml`, and those of a source that
//! is gone or has another name. They are named, kept from readers under a profile, and `drop` removes them.
use serde_json::json;

use crate::harness::{DATE, Database, Project, Small, rows};
use crate::person::{ERASE, traced, with_id};
use crate::roles::{Roles, client, refusal, url};

const NAME: &str = "Canary Zqxw";
const DROP: [&str; 6] = ["drop", "--source", "clinic", "--date", DATE, "--yes"];
const THINGS: &str = "create table things (item_id text, source text not null, batch_date date not null) \
                      partition by list (source);\n";
const SHIFTED: &str = "{type: date, phi: date, mask: date_shift}";

/// A raw name in `items`, views over it, and a reader.
fn loaded() -> (Database, Project, Roles) {
    let (database, project) = Small::new()
        .columns(&[("item_id", "text"), ("name", "text")])
        .schema(
            "id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\n\
             name: {type: string, phi: name, mask: keep, reason: \"asked for\"}",
        )
        .sql("select id as item_id, name from source")
        .rest("subject: id")
        .on_server();
    let project = project
        .json(format!(r#"[{{"id": "a", "name": "{NAME}"}}]"#))
        .file("sql/views/names.sql", "select name from items\n")
        .file("sql/views/over_names.sql", "select name as who from names\n");
    let (project, roles) = Roles::after_a_load(&database, project);
    (database, project, roles)
}

/// Puts `things` in the place of `items`, masks the name, and promises it.
fn replace_items(project: &Project) {
    let yaml = project.read("pipeline.yaml");
    project.write(
        "pipeline.yaml",
        "name: small\nentities:\n  things:\n    columns:\n      item_id: {type: text}\nprivacy: pseudonymised\n",
    );
    project.write("was.yaml", yaml);
    project.write("migrations/V2__things.sql", THINGS);
    project.write("sql/clinic/things.sql", "select id as item_id from source\n");
    project.remove("sql/clinic/items.sql");
    project.edit(
        "pipelines/clinic.yaml",
        "mask: keep, reason: \"asked for\"",
        "mask: redact",
    );
    project.run(&["migrate"]).code(0);
}

/// Puts `items` back beside `things`.
fn put_back(project: &Project) {
    let things = "entities:\n  things:\n    columns:\n      item_id: {type: text}\n";
    let yaml = project.read("was.yaml").replace("entities:\n", things);
    project.write("pipeline.yaml", format!("{yaml}privacy: pseudonymised\n"));
    project.write("sql/clinic/items.sql", "select id as item_id, name from source\n");
}

#[test]
fn a_table_that_is_out_of_the_project_is_named_and_closed() {
    let (database, project, roles) = loaded();
    replace_items(&project);
    project.run_clinic().code(0);
    assert_eq!(database.rows("select name from items"), [NAME]);
    for command in [&["check"][..], &["status"], &["privacy", "report"]] {
        project
            .run(command)
            .code(0)
            .stderr_contains(&format!(
                "the table items is not in pipeline.yaml and holds rows of clinic {DATE}"
            ))
            .output_lacks("Zqxw");
    }
    let mut reader = client(&database, &roles.reader);
    for closed in ["public.items", "names", "over_names"] {
        let refused = refusal(&mut reader, &format!("select * from {closed}"));
        assert!(refused.contains("permission denied"), "{closed}: {refused}");
    }
    // A view that is made now is closed, too.
    project.write("sql/views/later.sql", "select * from items\n");
    project.run(&["views"]).code(0);
    assert!(refusal(&mut client(&database, &roles.reader), "select * from later").contains("permission denied"));
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select count(*) from things"),
        ["1"]
    );

    // Back in the project, the rows of the earlier load are under other masks.
    project.remove("sql/views/later.sql");
    put_back(&project);
    project
        .run(&["check"])
        .code(0)
        .stdout_contains("items.name with rows of an earlier load")
        .output_lacks("is not in pipeline.yaml and");
    project.run(&["views"]).code(0);
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select name from items"),
        [""; 0]
    );
    project.run(&["run", "--stale-masks"]).code(0);
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select name from items"),
        ["[redacted]"]
    );
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select name from names"),
        ["[redacted]"]
    );
    assert_eq!(
        project.run(&["check", "--output", "json"]).code(0).json()["stale_masks"],
        json!([])
    );
}

#[test]
fn a_drop_removes_the_rows_of_tables_that_are_out_of_the_project() {
    let (database, project, _) = loaded();
    replace_items(&project);
    project.run_clinic().code(0);
    project.run(&DROP).code(0).stdout_contains("items");
    assert_eq!((database.count("items"), database.count("things")), (0, 0));
    project
        .run(&["check"])
        .code(0)
        .output_lacks("is not in pipeline.yaml and");
}

/// An older version dropped only the rows of tables that were in the project.
#[test]
fn rows_of_a_dropped_batch_that_come_back_with_their_table_are_closed() {
    let (database, project, roles) = loaded();
    replace_items(&project);
    database.execute(
        "insert into pipeline.runs (invocation, source, batch_date, attempt, action, status, program_version)
         select invocation, source, batch_date, attempt + 1, 'drop', 'committed', program_version from pipeline.runs limit 1",
    );
    put_back(&project);
    project.run(&["check"]).code(0).stdout_contains("it was dropped while");
    project.run(&["views"]).code(0);
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select name from items"),
        [""; 0]
    );
    project
        .run(&["run", "--stale-masks"])
        .code(0)
        .stderr_contains(&format!("pipeline drop --source clinic --date {DATE}"));
    project.run(&DROP).code(0);
    assert_eq!(database.count("items"), 0);
    project.run(&["check"]).code(0).output_lacks("it was dropped");
}

#[test]
fn a_trace_and_an_erasure_name_tables_that_are_out_of_the_project() {
    let (_database, project, _) = loaded();
    replace_items(&project);
    project.run_clinic().code(0);
    let found = traced(&project, "a");
    let unsearched = found["unsearched"].as_array().unwrap();
    let of_items = unsearched
        .iter()
        .filter(|one| one["table"] == "items")
        .collect::<Vec<_>>();
    assert_eq!(of_items.len(), 1, "{found}");
    assert_eq!(
        (&of_items[0]["source"], &of_items[0]["dates"]),
        (&json!("clinic"), &json!([DATE]))
    );
    with_id(&project, &[&ERASE[..], &["--receipt", "r.json"]].concat(), "a").code(1);
    let receipt = project.read("r.json");
    assert!(receipt.contains("the table is no longer in pipeline.yaml"), "{receipt}");
}

/// Gives the source another name, with the old one as an alias or without.
fn rename(project: &Project, alias: &str) {
    let yaml = project.read("pipelines/clinic.yaml");
    project.write(
        "pipelines/ward.yaml",
        yaml.replace(
            "name: clinic\n",
            &format!("name: ward\n{alias}transforms: sql/clinic\n"),
        ),
    );
    project.remove("pipelines/clinic.yaml");
}

#[test]
fn a_drop_by_an_old_name_takes_the_batch_of_that_name() {
    for alias in ["", "aliases: [clinic]\n"] {
        let (database, project, _) = loaded();
        rename(&project, alias);
        let why = if alias.is_empty() {
            "no longer in the project"
        } else {
            "has the name ward by now"
        };
        let found = traced(&project, "a");
        assert!(found["unsearched"][0]["why"].as_str().unwrap().contains(why), "{found}");
        project.run(&["run", "--source", "ward", "--date", DATE]).code(0);
        with_id(&project, &[&ERASE[..], &["--receipt", "r.json"]].concat(), "b").code(1);
        assert!(project.read("r.json").contains(why), "{}", project.read("r.json"));
        project.run(&DROP).code(0).stdout_contains(&format!("clinic {DATE}"));
        assert_eq!(database.rows("select source from items"), ["ward"], "{alias}");
        // Once more is not the batch of the new name.
        project.run(&DROP).code(0);
        assert_eq!(database.rows("select source from items"), ["ward"], "{alias}");
        assert_eq!(traced(&project, "a")["unsearched"], json!([]));
    }
}

#[test]
fn a_drop_brings_the_comments_up_to_date() {
    let (database, project, _) = loaded();
    let next = "2023-05-02";
    let project = project.file(&format!("in/{next}.json"), r#"[{"id": "b"}]"#);
    project.edit(
        "pipelines/clinic.yaml",
        "mask: keep, reason: \"asked for\"",
        "mask: redact",
    );
    project.run(&["run", "--source", "clinic", "--date", next]).code(0);
    let comment = "select col_description('items'::regclass, 2)";
    assert!(database.value(comment).contains("1 batch was loaded under other masks"));
    project.run(&DROP).code(0);
    assert_eq!(database.value(comment), "[lineage: clinic: name (name, redact)]");
}

#[test]
fn true_dates_are_not_shown_beside_shifted_ones() {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true}\nday: {type: date, phi: date, mask: keep, reason: \"asked for\"}")
        .columns(&[("item_id", "text"), ("day", "date")])
        .sql("select id as item_id, day from source")
        .rest("subject: id")
        .on_server();
    let day = r#"[{"id": "a", "day": "2000-01-01"}]"#;
    let project = project.json(day).file("in/2023-05-02.json", day);
    project.run_clinic().code(0);
    let roles = Roles::of(&database);
    project.run(&roles.args()).code(0);
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.edit(
        "pipelines/clinic.yaml",
        "{type: date, phi: date, mask: keep, reason: \"asked for\"}",
        SHIFTED,
    );
    project
        .run(&["run", "--source", "clinic", "--date", "2023-05-02"])
        .code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(
        rows(
            &mut reader,
            "select count(*), count(*) filter (where day = '2000-01-01') from items"
        ),
        ["1|0"]
    );
    project.run(&["run", "--stale-masks"]).code(0);
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select count(*) from items"),
        ["2"]
    );
}
