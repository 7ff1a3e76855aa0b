//! A masked value appears nowhere unmasked, in any spelling. The key decides what replaces it.
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{IDENTIFIERS, MASK_KEY, Project, Small, everything, hashed, lacks, server, talkative};

const RUN: [&str; 5] = ["run", "--source", "clinic", "--date", "2023-05-01"];

/// A record with the identifier in every masked field, in undeclared fields and in an undeclared key.
fn record(id: usize, value: &str) -> serde_json::Value {
    serde_json::json!({
        "id": value, "n": id, "name": value, "gone": value, "notes": value, "codes": [value, value],
        "visits": [{"place": value, "author": {"who": value}, value: 1, "extra": {"deep": [value]}}],
        "document": {"any": value}, value: {"undeclared": value}, "undeclared": value,
    })
}

fn canary() -> Small {
    Small::new()
        .columns(&[
            ("item_id", "text"),
            ("n", "int8"),
            ("name", "text"),
            ("gone", "text"),
            ("notes", "text"),
            ("codes", "text"),
            ("place", "text"),
            ("author", "text"),
            ("document", "text"),
        ])
        .schema(
            "id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\nn: bigint\n\
             name: {type: string, phi: name, mask: pseudonym}\ngone: {type: string, phi: contact, mask: null}\n\
             notes: {type: string, phi: free_text}\ncodes: {list: string, phi: identifier, mask: hash}\n\
             visits:\n  list:\n    place: {type: string, phi: geo, mask: redact}\n    \
             author: {struct: {who: {type: string, phi: name, mask: pseudonym}}}\n\
             document: {type: json, phi: identifier, mask: redact}",
        )
        .sql(
            "select id as item_id, n, name, gone, notes, array_to_string(codes, ',') as codes,
               visits[1]['place'] as place, visits[1]['author']['who'] as author, document from source",
        )
}

#[test]
fn no_identifier_is_anywhere_in_any_spelling() {
    let (database, project) = canary().on_server();
    talkative(&database);
    let records: Vec<_> = IDENTIFIERS
        .iter()
        .enumerate()
        .map(|(n, value)| record(n, value))
        .collect();
    project.write("in/2023-05-01.json", serde_json::to_string(&records).unwrap());
    for format in ["text", "json"] {
        let mut run = RUN.to_vec();
        run.extend(["--log-format", format, "-v", "-v", "--output", "json"]);
        let outcome = project.run(&run).code(0);
        lacks(outcome.stdout.as_bytes(), "stdout");
        lacks(outcome.stderr.as_bytes(), "stderr");
    }
    assert_eq!(database.count("items"), IDENTIFIERS.len());
    let found = everything(&database);
    assert!(
        found.contains(&hashed(IDENTIFIERS[0])),
        "the tables were looked through"
    );
    lacks(found.as_bytes(), "the database");

    // The same in records that can't be read.
    for damage in [
        |text: String| text.replace("\"n\":0", "\"n\":\"x\""),
        |text: String| text[..text.len() - 9].to_owned(),
        |text: String| text.replace("\"document\":{", "\"document\":{,"),
        |text: String| text.replace("\"codes\":[", "\"codes\":{"),
    ] {
        let text = damage(serde_json::to_string(&records).unwrap());
        project.write("in/2023-05-01.json", text);
        for format in ["text", "json"] {
            let mut run = RUN.to_vec();
            run.extend(["--log-format", format, "-v", "-v"]);
            let outcome = project.run(&run);
            lacks(outcome.stdout.as_bytes(), "stdout");
            lacks(outcome.stderr.as_bytes(), "stderr");
        }
    }
    lacks(everything(&database).as_bytes(), "the database after failures");
    lacks(server().log().as_bytes(), "the server's log");
}

#[test]
fn a_server_without_a_key_is_refused_before_anything_is_read() {
    let (database, project) = canary().on_server();
    project.write("in/2023-05-01.json", "[]");
    let project = project.env("PIPELINE_MASK_KEY", "");
    let refused = project.run(&RUN).code(2);
    refused
        .stderr_contains("PIPELINE_MASK_KEY is not set")
        .stderr_contains("openssl rand -base64 32");
    assert_eq!(database.count("pipeline.runs"), 0);
}

#[test]
fn a_source_without_keyed_masks_needs_no_key() {
    let (database, project) = Small::new().on_server();
    let project = project.json(r#"[{"id": "a", "n": 1}]"#).env("PIPELINE_MASK_KEY", "");
    project.run(&RUN).code(0);
    assert_eq!(database.value("select mask_key_id is null from pipeline.runs"), "t");
}

#[test]
fn the_embedded_database_makes_its_key_once() {
    let project = Small::new()
        .schema("id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\nn: bigint")
        .project()
        .json(r#"[{"id": "a", "n": 1}]"#);
    project.run(&["migration", "new", "items"]).code(0);
    project
        .run(&RUN)
        .code(0)
        .stderr_contains("made a key for the masks, .pipeline/mask.key");
    let mode = std::fs::metadata(project.path(".pipeline/mask.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = project.query("select item_id from items");
    let again = project.run(&RUN).code(0);
    assert!(!again.stderr.contains("made a key"), "{}", again.stderr);
    assert_eq!(project.query("select item_id from items"), before);
    assert_ne!(before, [hashed("a")], "its own key, not that of the tests");
}

#[test]
fn the_key_decides_and_is_told_by_its_id() {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\nn: bigint")
        .on_server();
    let project = project.json(r#"[{"id": "P-001", "n": 1}]"#);
    project.run(&RUN).code(0);
    assert_eq!(database.value("select item_id from items"), hashed("P-001"));
    let ids = "select mask_key_id, fingerprint from pipeline.runs order by run_id";
    let first = database.rows(ids).remove(0);
    assert!(first.starts_with("865174565c84e8db|"), "{first}");
    let other = MASK_KEY.replace("AAEC", "AQEC");
    let project = project.env("PIPELINE_MASK_KEY", &other);
    let outcome = project.run(&RUN).code(0);
    outcome.output_lacks(MASK_KEY).output_lacks(&other);
    assert_ne!(database.value("select item_id from items"), hashed("P-001"));
    let second = database.rows(ids).remove(1);
    let (one, two) = (first.split_once('|').unwrap(), second.split_once('|').unwrap());
    assert!(one.0 != two.0 && one.1 != two.1, "{first} {second}");
}

#[test]
fn sql_sees_the_type_that_the_mask_gives() {
    let (_database, project) = Small::new()
        .columns(&[("item_id", "text"), ("n", "int4")])
        .schema("id: {type: bigint, mask: hash}\nn: {type: date, mask: year}")
        .on_server();
    let project: Project = project.json(r#"[{"id": 7, "n": "1990-05-01"}]"#);
    project.run(&RUN).code(0);
    assert_eq!(project.query("select n from items"), ["1990"]);
    // A year is no longer a date.
    project.write(
        "sql/clinic/items.sql",
        "select id as item_id, cast(date_part('year', n) as int) as n from source\n",
    );
    project.run(&["check"]).code(2).stderr_contains("sql/clinic/items.sql");
}
