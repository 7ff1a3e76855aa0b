//! Documents, lines and entries without records, and damage beside them, never vanish.
use crate::harness::{Database, Project, Small};

fn small(format: &str, records: &str, rest: &str) -> (Database, Project) {
    let input = format!("path: in/{{date:%Y-%m-%d}}/*.json\nformat: {format}\nrecords: {records}\n{rest}");
    Small::new()
        .input(&input)
        .rest("max_quarantined: 90%")
        .quarantine()
        .on_server()
}

fn noted(database: &Database) -> Vec<String> {
    database.rows("select check_name, file, record, byte_offset, path from pipeline.quarantine order by file, record")
}

const ENTRIES: &str =
    r#"{"entry":[{"resource":{"id":"a"}},{"Resource":{"id":"b"}},{"resource":null},{"resource":{"id":"d"}},{}]}"#;

#[test]
fn an_entry_without_records_is_a_refused_record() {
    let (database, project) = small("json", "$.entry[*].resource", "");
    project.write("in/2023-05-01/a.json", ENTRIES);
    project.run_clinic().code(0);
    assert_eq!(database.rows("select item_id from items order by 1"), ["a", "d"]);
    let file = "no_records|in/2023-05-01/*.json#1";
    let path = "$.entry[*].resource";
    assert_eq!(
        noted(&database),
        [
            format!("{file}|2|{}|{path}", ENTRIES.find("{\"Resource").unwrap()),
            format!("{file}|3|{}|{path}", ENTRIES.find("null").unwrap()),
            format!("{file}|5|{}|{path}", ENTRIES.find("{}").unwrap()),
        ]
    );
    project.edit("pipelines/clinic.yaml", "max_quarantined: 90%", "max_quarantined: 0");
    project.run_clinic().code(1).stderr_contains("3 of 5 records");
}

#[test]
fn a_line_without_records_is_a_refused_record() {
    let (database, project) = small("ndjson", "$.resource", "");
    project.write(
        "in/2023-05-01/a.json",
        "{\"resource\":{\"id\":\"a\"}}\n{\"Resource\":{\"id\":\"b\"}}\n{\"id\":\"c\"}\n{\"resource\":null}\n",
    );
    project.run_clinic().code(0);
    assert_eq!(database.rows("select item_id from items"), ["a"]);
    let file = "no_records|in/2023-05-01/*.json#1";
    let path = "$.resource";
    assert_eq!(
        noted(&database),
        [
            format!("{file}|2|24|{path}"),
            format!("{file}|3|48|{path}"),
            format!("{file}|4|71|{path}"),
        ]
    );
}

#[test]
fn a_file_without_records_is_a_refused_record() {
    let files = [
        r#"{"entry":[{"resource":{"id":"a"}}]}"#,
        r#"{"Entry":[{"resource":{"id":"b"}}]}"#,
        r#"{"entry":null}"#,
        "{}",
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error"}]}"#,
    ];
    for (rest, expected) in [("", 4), ("on_no_records: skip\non_empty_file: ignore", 0)] {
        let (database, project) = small("json", "$.entry[*].resource", rest);
        for (number, text) in files.iter().enumerate() {
            project.write(&format!("in/2023-05-01/{number}.json"), text);
        }
        project.run_clinic().code(0);
        assert_eq!(database.rows("select item_id from items"), ["a"]);
        let noted = noted(&database);
        assert_eq!(noted.len(), expected, "{noted:?}");
        assert!(
            noted
                .iter()
                .all(|entry| entry.starts_with("no_records|") && entry.ends_with("|$.entry"))
        );
    }
}

#[test]
fn damage_beside_the_records_swallows_none_of_them() {
    for beside in [
        r#""meta":{"a":"b,"x":1},"#,
        r#""meta":[1,"#,
        r#""meta":01,"#,
        r#""meta":"\q","#,
    ] {
        let (database, project) = small("json", "$.entry[*].resource", "");
        project.write(
            "in/2023-05-01/a.json",
            format!(r#"{{{beside}"entry":[{{"resource":{{"id":"a"}}}}]}}"#),
        );
        project.run_clinic().code(1);
        let noted = database.rows("select check_name from pipeline.quarantine");
        assert_eq!(noted, ["unreadable"], "{beside}");
    }
}
