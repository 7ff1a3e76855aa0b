//! `pipeline source add --update`: what a newer sample changes of a schema, in the text that a person wrote.
use serde_json::{Value, json};

use crate::harness::{Database, Project};

/// A new project with its small sample, and a source whose YAML a person has written in two styles.
fn clinic() -> Project {
    let outside = Project::new();
    outside.run(&["init", "p"]).code(0);
    let project = Project::copy_of(&outside.path("p"));
    project.edit(
        "pipelines/clinic.yaml",
        "  id: {type: string, required: true,",
        "  # The number on the card.\n  id: {type: string,   required: true,",
    );
    project.edit(
        "pipelines/clinic.yaml",
        "      reason: {type: string, normalize: [trim, empty_as_null]}\n",
        "      reason:   # as the patient says it\n        type: string\n        normalize: [trim, empty_as_null]\n      cost: int # in cents\n",
    );
    project
}

fn newer() -> Value {
    let visit = |n: u32| {
        json!({"number": format!("V{n}"), "day": if n % 2 == 0 { "2023-05-01" } else { "01.05.2023" },
            "drugs": [{"name": "x", "dose_mg": 1.25}], "cost": if n == 3 { json!("17") } else { json!(5_000_000_000_u64 + u64::from(n)) },
            "nurse": {"name": "Secret"}})
    };
    let records: Vec<Value> = (0..6)
        .map(|n| {
            let mut record = json!({"id": if n == 1 { json!(77) } else { json!(format!("P{n}")) }, "name": "Secret", "phone": "Secret",
                "visits": if n == 2 { visit(n) } else { json!([visit(n)]) }});
            if n > 0 {
                record["born"] = json!("1970-01-01");
            }
            record
        })
        .collect();
    json!(records)
}

const UPDATE: [&str; 6] = ["source", "add", "clinic", "--update", "--from", "newer"];

#[test]
fn the_whole_output_and_nothing_is_written_without_yes() {
    let project = clinic().file("newer/x.json", newer().to_string());
    let before = project.read("pipelines/clinic.yaml");
    let shown = project.run(&UPDATE).code(0);
    insta::assert_snapshot!(shown.stdout, @"");
    insta::assert_snapshot!(shown.message(), @"");
    assert_eq!(project.read("pipelines/clinic.yaml"), before);
    shown.output_lacks("Secret");
    let json = project
        .run(&[&["--output", "json"], &UPDATE[..]].concat())
        .code(0)
        .json();
    assert_eq!(
        (&json["written"], &json["changes"][0]["kind"]),
        (&json!(false), &json!("widened"))
    );
}

#[test]
fn what_is_written_keeps_comments_and_takes_the_sample() {
    let database = Database::fresh();
    let project = clinic().on(&database).file("newer/x.json", newer().to_string());
    let sql = project.read("sql/clinic/visits.sql");
    project
        .run(&[&UPDATE[..], &["--yes"]].concat())
        .code(0)
        .stderr_contains("written  pipelines/clinic.yaml");
    insta::assert_snapshot!(project.read("pipelines/clinic.yaml"), @"");
    assert_eq!(project.read("sql/clinic/visits.sql"), sql);
    project.run(&["check"]).code(0);
    project.write("data/clinic/2023-06-01.json", newer().to_string());
    project.run(&["migrate"]).code(0);
    project.load("clinic", "20230601");
    assert_eq!((database.count("patients"), database.count("visits")), (6, 6));
    // A second look finds nothing but what vanished.
    let again = project.run(&[&UPDATE[..], &["--yes"]].concat()).code(0);
    insta::assert_snapshot!(format!("{}{}", again.stdout, again.message()), @"");
}

#[test]
fn a_sample_that_fits_changes_nothing() {
    let project = clinic();
    let shown = project
        .run(&["source", "add", "clinic", "--update", "--yes", "--from", "data/clinic"])
        .code(0);
    insta::assert_snapshot!(format!("{}{}", shown.stdout, shown.message()), @"");
}

#[test]
fn a_change_that_the_tables_do_not_take_is_not_written() {
    let project = clinic();
    project.edit(
        "pipeline.yaml",
        "reason: {type: text,",
        "cost: {type: int4}\n      reason: {type: text,",
    );
    project.edit(
        "sql/clinic/visits.sql",
        "item['reason']",
        "item['cost'] as cost, item['reason']",
    );
    project.run(&["migration", "new", "cost"]).code(0);
    let day = json!([{"id": "P1", "name": "n", "born": "1970-01-01", "visits": [{"number": "V1", "day": "2023-05-01", "reason": "r",
        "cost": 1.5, "drugs": [{"name": "x", "dose_mg": 1}]}]}]);
    project.write("newer/x.json", day.to_string());
    let before = project.read("pipelines/clinic.yaml");
    let shown = project.run(&[&UPDATE[..], &["--yes"]].concat()).code(2);
    insta::assert_snapshot!(format!("{}{}", shown.stdout, shown.message()), @"");
    assert_eq!(project.read("pipelines/clinic.yaml"), before);
}

#[test]
fn wrong_use_has_one_message() {
    let project = clinic()
        .file("newer/x.csv", "id,name\n1,a\n")
        .file("newer/empty.json", "");
    let message = |args: &[&str]| {
        let outcome = project.run(args);
        assert_eq!(outcome.exit(), Some(2), "{args:?}");
        outcome.message()
    };
    insta::assert_snapshot!(message(&["source", "add", "other", "--update", "--from", "newer/x.csv"]), @"");
    insta::assert_snapshot!(message(&["source", "add", "clinic", "--update", "--from", "newer/x.csv"]), @"");
    insta::assert_snapshot!(message(&["source", "add", "clinic", "--update", "--from", "newer/empty.json"]), @"");
    insta::assert_snapshot!(message(&["source", "add", "clinic", "--yes", "--from", "newer/x.csv"]), @"");
    insta::assert_snapshot!(message(&["source", "add", "clinic", "--from", "newer/x.csv"]), @"");
}

#[test]
fn cells_and_lists_of_scalars_and_braces() {
    let project = Project::new().file("in/20230501/a.csv", "number,ward,amount\n1,a,1.5\n2,b,2.5\n");
    project
        .run(&["source", "add", "cells", "--from", "in", "--entities", "new"])
        .code(0);
    project.write("newer/a.csv", "number,amount,note\n10000000000,x,a\n2,2.5,b\n");
    let shown = project
        .run(&["source", "add", "cells", "--update", "--from", "newer"])
        .code(0);
    insta::assert_snapshot!(shown.stdout, @"");

    let yaml = "name: flat\ninput: {path: \"in/{date}.json\"}\nschema: {id: string, tags: {list: int}, at: {struct: {x: int}}, \"odd: one\": {list: {a: int}}}\n";
    project.write("pipelines/flat.yaml", yaml);
    project.write(
        "sql/flat/cells.sql",
        "select id as number, null as ward, null as amount from source",
    );
    project.write(
        "newer/b.json",
        json!([{"id": "a", "tags": [1, 2.5, 5], "at": {"x": 1, "y": "z"}, "odd: one": [{"a": 1, "b": 2}], "more": true}]).to_string(),
    );
    let shown = project
        .run(&["source", "add", "flat", "--update", "--from", "newer/b.json"])
        .code(0);
    insta::assert_snapshot!(shown.stdout, @"");
}
