//! Damage that goes on to the end of a file is reported in bytes, and the old rows stay.
use crate::harness::Small;

#[test]
fn damage_without_an_end_is_accounted_for_in_bytes() {
    for (text, why) in [
        (
            "[{\"id\": \"a\"}, {\"id\": \"CANARY\", \"x\": [1}, {\"id\": \"b\"}]",
            "a bracket closes that is not the one open at byte 38",
        ),
        (
            "[{\"id\": \"a\"}, {\"id\": \"CANA",
            "the file ends inside the value that starts here: a quote is not closed at byte 14",
        ),
    ] {
        let (database, project) = Small::new().on_server();
        project.write("in/2023-05-01.json", "[{\"id\": \"old\"}]");
        project.run_clinic().code(0);
        project.write("in/2023-05-01.json", text);
        project.run_clinic().code(1).output_lacks("CANARY");
        assert_eq!(database.rows("select item_id from items"), ["old"]);
        assert_eq!(
            database.rows("select check_name, file, record, byte_offset, reason from pipeline.quarantine"),
            [format!(
                "unreadable|in/2023-05-01.json|2|14|an unreadable stretch of {} bytes to the end of the file: {why}",
                text.len() - 14
            )]
        );
    }
}

#[test]
fn a_file_is_named_only_to_who_asks_and_while_it_is_the_same() {
    let (_database, project) = Small::new()
        .input("path: in/{date:%Y-%m-%d}/*.json")
        .rest("max_quarantined: 90%")
        .quarantine()
        .on_server();
    project.write("in/2023-05-01/Ann.json", r#"[{"id": "a"}]"#);
    project.write("in/2023-05-01/Zoe.json", r#"[{"id": "b"}, {"id": 7}]"#);
    project.run_clinic().code(0).output_lacks("Zoe");
    let show = |names: &[&str]| {
        let outcome = project.run(&[&["quarantine", "show", "--output", "json"], names].concat());
        let outcome = outcome.code(0);
        (outcome.json()[0]["file"].as_str().unwrap().to_owned(), outcome.stderr)
    };
    let place = "in/2023-05-01/*.json#2";
    assert_eq!(show(&[]), (place.to_owned(), String::new()));
    assert_eq!(show(&["--names"]), ("in/2023-05-01/Zoe.json".to_owned(), String::new()));
    // Another file has taken the file's position in the list. The command still finds the right name.
    project.write("in/2023-05-01/Bob.json", r#"[{"id": "c"}]"#);
    assert_eq!(show(&["--names"]).0, "in/2023-05-01/Zoe.json");
    project.write("in/2023-05-01/Zoe.json", r#"[{"id": "b"}, {"id": "mended"}]"#);
    let (file, warning) = show(&["--names"]);
    assert_eq!(file, place);
    assert!(warning.contains("1 entries are of files that are gone"), "{warning}");
}

#[test]
fn an_undeclared_field_fails_the_batch_where_there_may_be_none_whatever_is_tolerated() {
    let (database, project) = Small::new()
        .rest("on_unknown_field: fail\nmax_quarantined: 100%")
        .quarantine()
        .on_server();
    project.write(
        "in/2023-05-01.json",
        r#"[{"id": "a"}, {"id": "b", "CANARY": "CANARY"}]"#,
    );
    project
        .run_clinic()
        .code(1)
        .stderr_contains("record 2")
        .output_lacks("CANARY");
    assert_eq!(database.count("items"), 0);
}

#[test]
fn a_batch_that_fails_on_its_way_is_noted_in_the_embedded_database() {
    // Without a key, rows are sent in the order in which they are read. So the COPY is cancelled in the middle.
    let small = Small::new().quarantine().columns(&[("item_id", "text"), ("n", "int8")]);
    let good = "{\"id\": \"as long as an id may be\"},".repeat(100_000);
    let project = small.project().json(format!("[{good}{{\"id\": \"CANA"));
    let outcome = project.run_clinic().code(1);
    assert!(!outcome.stderr.contains("could not be"), "{}", outcome.stderr);
    let list = project.run(&["quarantine", "list", "--output", "json"]).code(0);
    assert_eq!(list.json()[0]["check"], "unreadable", "{}", list.stdout);
    let status = project.run(&["status", "--output", "json"]).code(0);
    assert_eq!(status.json()[0]["status"], "failed", "{}", status.stdout);
}

#[test]
fn a_kind_of_record_does_not_vanish_within_the_tolerance() {
    let of = |kind: &str, good: bool| {
        let ids = (0..50).map(|n| format!(r#"{{"id": "{n}", "kind": "b", "n": 1}}"#));
        let rare = if good {
            r#"{"id": "r", "kind": "KIND", "n": 1}"#
        } else {
            r#"{"id": "r", "kind": ["KIND"], "n": 1}"#
        };
        let all: Vec<String> = ids.chain([rare.replace("KIND", kind)]).collect();
        format!("[{}]", all.join(","))
    };
    let small = Small::new()
        .schema("id: {type: string, required: true}\nkind: string\nn: bigint")
        .sql("select id as item_id, n from source where kind = 'a'")
        .rest("max_quarantined: 5%")
        .quarantine();
    let (database, project) = small.on_server();
    // Nothing is known of the first batch, nor of what the refused record would have given.
    project.write("in/2023-04-29.json", of("a", false));
    let first = project
        .run(&["run", "--source", "clinic", "--date", "2023-04-29"])
        .code(0);
    assert!(
        first
            .stderr
            .contains("items has no row, and 1 of 51 records are refused"),
        "{}",
        first.stderr
    );
    project.write("in/2023-04-30.json", of("a", true));
    project
        .run(&["run", "--source", "clinic", "--date", "2023-04-30"])
        .code(0);
    project.write("in/2023-05-01.json", of("a", false));
    project
        .run_clinic()
        .code(1)
        .stderr_contains("items lost 100% of its rows (1 in the batch before, none now)")
        .stderr_contains("checks: {items: [{row_count: {min: 0}}]}");
    assert_eq!(database.rows("select batch_date from items"), ["2023-04-30"]);
    project.edit(
        "pipelines/clinic.yaml",
        "max_quarantined: 5%",
        "max_quarantined: 5%\nchecks: {items: [{row_count: {min: 0}}]}",
    );
    project.run_clinic().code(0);
}
