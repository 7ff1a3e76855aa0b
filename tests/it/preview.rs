//! Tests of `pipeline preview`: it shows the rows of a run without a database, and reads no more than it takes.
use std::fmt::Write as _;

use crate::harness::{DATE, Database, Project, Small};

const LOOK: [&str; 5] = ["preview", "--source", "clinic", "--date", DATE];

fn look(project: &Project, more: &[&str]) -> crate::harness::Outcome {
    project.run(&[&LOOK[..], more].concat())
}

#[test]
fn the_whole_output_of_a_preview() {
    let project = Small::new()
        .quarantine()
        .project()
        .json(r#"[{"id": "b", "n": 2}, {"id": "a"}, {"id": "a", "n": 3}, {"n": 4}]"#);
    let outcome = look(&project, &["--limit", "1"]).code(1);
    assert_eq!(outcome.stdout, "item_id  n\na\n(1 row or more)\n");
    insta::assert_snapshot!(outcome.message(), @r"
    from all 4 records of clinic 2023-05-01; 2 records or rows would be refused: --refused shows why
    error: too much is refused: 1 of 4 records, 1 of 3 rows of items
    caused by: unique(item_id): an earlier row has the same key at in/2023-05-01.json, record 3; max_quarantined is 1%
    hint: `--refused` names each; mend the input, the schema or the SQL, or raise max_quarantined
    ");
    let outcome = look(&project, &["--refused"]).code(1);
    assert_eq!(
        outcome.stdout,
        "entity  check            file                record  byte  path     reason\n\
         record  malformed        in/2023-05-01.json       4    56  $.id     required, but missing\n\
         items   unique(item_id)  in/2023-05-01.json       3     -  item_id  an earlier row has the same key\n"
    );
    assert!(!project.path(".pipeline/warehouse").exists(), "a database was made");
}

#[test]
fn the_whole_output_of_a_preview_that_fails() {
    let project = Small::new().project().json(r#"{"id": "b"}"#);
    insta::assert_snapshot!(look(&project, &["--entity", "item"]).code(2).message(), @r"
    error: pipeline.yaml declares no entity `item`
    hint: did you mean `items`?
    ");
    project.remove(&format!("in/{DATE}.json"));
    insta::assert_snapshot!(look(&project, &[]).code(1).message(), @r"
    error: the input of clinic 2023-05-01 is missing: in/2023-05-01.json
    hint: deliver it, or set `on_missing: skip` where a day without input is normal
    ");
    insta::assert_snapshot!(look(&project, &["--output", "csv"]).code(2).message(), @r"
    error: CSV holds the rows of one entity
    hint: add --entity NAME, or use --output json
    ");
}

/// The rows of every entity are those that a run loads, with the same masks, refusals and refusals below them.
#[test]
fn a_preview_of_all_records_shows_what_a_run_loads() {
    let project = Project::with_examples();
    project.edit(
        "pipelines/source_a.yaml",
        "transforms:",
        "max_quarantined: 50%\nchecks:\n  visits:\n    - {expression: \"visit_id <> 'V-2023-0002'\"}\ntransforms:",
    );
    let database = Database::migrated();
    let project = project.on(&database);
    for source in ["source_a", "source_b"] {
        project.load(source, "20230502");
        for entity in ["patients", "visits", "diagnoses", "treatments"] {
            let shown = project
                .run(&[
                    "preview", "--source", source, "--date", "20230502", "--entity", entity, "--limit", "100000",
                    "--output", "csv",
                ])
                .code(0);
            let header = shown.stdout.lines().next().unwrap().to_owned();
            let query =
                format!("select {header} from {entity} where source = '{source}' and batch_date = '2023-05-02'");
            let loaded = project.run(&["query", "--output", "csv", &query]).code(0);
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert!(shown.stdout.lines().count() > 10, "{source} {entity}");
            assert_eq!(sorted(&shown.stdout), sorted(&loaded.stdout), "{source} {entity}");
        }
    }
}

#[test]
fn what_a_preview_refuses_is_what_a_run_refuses() {
    let project = Project::with_examples();
    let checks = "max_quarantined: 90%\nchecks:\n  visits:\n    - {expression: \"visit_id < 'V-2023-0100'\"}\n  diagnoses:\n    - {relationships: {entity: treatments, columns: [diagnosis_code]}}\n";
    project.edit(
        "pipelines/source_b.yaml",
        "transforms:",
        &format!("{checks}transforms:"),
    );
    let database = Database::migrated();
    let project = project.on(&database);
    project.load("source_b", "20230501");
    let run = project
        .run(&[
            "quarantine",
            "show",
            "--source",
            "b",
            "--output",
            "json",
            "--limit",
            "100000",
        ])
        .code(0);
    let preview = project
        .run(&[
            "preview",
            "--source",
            "b",
            "--date",
            "20230501",
            "--refused",
            "--limit",
            "100000",
            "--output",
            "json",
        ])
        .code(0);
    let listed = |value: &serde_json::Value| {
        let mut lines: Vec<String> = value
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{} {} {} {}", one["entity"], one["check"], one["record"], one["reason"]))
            .collect();
        lines.sort();
        lines
    };
    let refused = listed(&preview.json()["refusals"]);
    assert!(refused.iter().any(|line| line.contains("parent")), "{refused:?}");
    assert_eq!(refused, listed(&run.json()));
}

/// The file is damaged after its first records. A run fails at that; a preview of the first rows does not get there.
#[test]
fn a_limit_stops_the_reader() {
    let mut input = String::new();
    for number in 0..400_000 {
        writeln!(input, "{{\"id\": \"{number:08}\", \"n\": {number}}}").unwrap();
    }
    input.push_str("{\"id\": \"x\"");
    let project = Small::new().project().json(&input);
    let outcome = look(&project, &["--limit", "2", "--output", "json"]).code(0);
    let preview = outcome.json();
    assert_eq!(preview["records"], 200, "{preview}");
    assert_eq!(preview["complete"], false, "{preview}");
    assert_eq!(
        preview["entities"][0]["rows"].to_string(),
        r#"[{"item_id":"00000000","n":0},{"item_id":"00000001","n":1}]"#
    );
    // Where no row comes out, all is read, and the damage is found.
    project.write(
        "sql/clinic/items.sql",
        "select id as item_id, n from source where id = 'none'",
    );
    let outcome = look(&project, &["--limit", "2", "--refused"]);
    assert!(
        outcome.stdout.contains("unreadable") || outcome.stderr.contains("byte"),
        "{outcome:?}"
    );
}

#[test]
fn a_transform_that_counts_over_records_sees_all_of_them() {
    let input: String = (0..5000).fold(String::new(), |text, n| {
        text + &format!("{{\"id\": \"{}\", \"n\": 1}}\n", n % 2)
    });
    let project = Small::new()
        .sql("select id as item_id, cast(sum(n) as bigint) as n from source group by id")
        .project()
        .json(input);
    look(&project, &["--output", "csv", "--entity", "items"])
        .code(0)
        .stdout_is("item_id,n\n0,2500\n1,2500\n");
}

#[test]
fn other_sql_and_other_input_can_be_tried() {
    let project = Small::new().project().json(r#"{"id": "b", "n": 1}"#);
    project.write("new.sql", "select id || '!' as item_id, n + 1 as n from source");
    project.write("other [1].json", r#"{"id": "c", "n": 5}"#);
    let csv = ["--entity", "items", "--output", "csv"];
    look(&project, &[&csv[..], &["--sql", "new.sql"]].concat())
        .code(0)
        .stdout_is("item_id,n\nb!,2\n");
    look(
        &project,
        &[&csv[..], &["--sql", "new.sql", "--input", "other [1].json"]].concat(),
    )
    .code(0)
    .stdout_is("item_id,n\nc!,6\n");
    project.write("new.sql", "select id as item_id, nn as n from source");
    insta::assert_snapshot!(look(&project, &[&csv[..], &["--sql", "new.sql"]].concat()).code(2).message(), @r"
    error: the transforms do not fit the project

    error: column 'nn' not found
     --> new.sql:1:23
      |
    1 | select id as item_id, nn as n from source
      |                       ^^
      |
      = hint: the columns here are id and n
    ");
}

#[test]
fn a_plan_has_rows_and_times() {
    let project = Small::new().project().json(r#"{"id": "b", "n": 1}"#);
    let outcome = look(&project, &["--explain", "--output", "json"]).code(0);
    let plan = outcome.json()["entities"][0]["plan"].clone();
    assert_eq!(plan[0]["rows"], 1, "{plan}");
    assert!(
        plan[0]["ms"].is_number() && plan[0]["operator"].as_str().unwrap().starts_with("Projection"),
        "{plan}"
    );
    look(&project, &["--explain"])
        .code(0)
        .stdout_contains("StreamingTableExec");
}

#[test]
fn a_mask_key_is_read_and_never_made() {
    let masked = "id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\nn: bigint";
    let small = Small::new().schema(masked);
    let project = small.project().json(r#"{"id": "p", "n": 1}"#);
    look(&project, &[])
        .code(0)
        .stderr_contains("has no mask key")
        .output_lacks("p ");
    assert!(!project.path(".pipeline/mask.key").exists());
    let project = project.env("PIPELINE_MASK_KEY", crate::harness::MASK_KEY);
    look(&project, &[])
        .code(0)
        .stdout_contains(&crate::harness::hashed("p"));
}
