//! Tests of the rules for a field's values. Normalising gives ids that must join the same spelling. Checks refuse the
//! record. Both work in every format and before any mask, and never show a value.
use std::fs;

use serde_json::{Value, json};

use crate::formats::gzip;
use crate::harness::{Database, Project, Small, hashed};

const RULED: &str = "id: {type: string, required: true, normalize: [trim, {strip_prefix: \"Patient/\"}, upper], matches: 'P-\\d+', phi: identifier, mask: hash, domain: patient}
n: {type: bigint, range: {min: 0, max: 100}}
kind: {type: string, normalize: [trim, empty_as_null], accepted_values: [in, out]}
seen: {type: date, range: {min: 1900-01-01}}
codes: {list: string, length: {min: 3, max: 5}, normalize: upper}";

fn ruled(format: &str) -> Small {
    Small::new()
        .input(&format!("path: in/{{date:%Y-%m-%d}}.json\nformat: {format}"))
        .schema(RULED)
        .rest("max_quarantined: 90%")
        .quarantine()
}

#[test]
fn a_breach_refuses_its_record_and_shows_no_value() {
    let records = [
        r#"{"id": "Patient/p-1", "n": 100, "kind": " in ", "seen": "1900-01-01", "codes": ["abc", null]}"#,
        r#"{"id": "Patient/SECRET-1", "n": 1}"#,
        r#"{"id": "p-3", "n": 424242}"#,
        r#"{"id": "p-4", "kind": "SECRET-kind"}"#,
        r#"{"id": "p-5", "seen": "1899-12-31"}"#,
        r#"{"id": "p-6", "codes": ["abc", "SECRET-code"]}"#,
        r#"{"id": " P-7", "n": null, "kind": "  ", "codes": null}"#,
    ];
    let text = records.join("\n");
    let (database, project) = ruled("ndjson").on_server();
    let project = project.json(&text);
    let outcome = project.run_clinic().code(0);
    let outcome = outcome
        .output_lacks("SECRET")
        .output_lacks("424242")
        .output_lacks("1899");
    assert!(
        outcome
            .message()
            .contains("loaded 2 items from 7 records, 5 quarantined"),
        "{}",
        outcome.stderr
    );
    let mut ids = [hashed("P-1"), hashed("P-7")];
    ids.sort();
    assert_eq!(database.rows("select item_id from items order by 1"), ids);
    let place = |record: usize| text.find(records[record - 1]).unwrap();
    assert_eq!(
        database.rows(
            "select file, record, byte_offset, check_name, path, reason from pipeline.quarantine order by record"
        ),
        [
            format!(
                "in/2023-05-01.json|2|{}|matches|$.id|it does not match the pattern",
                place(2)
            ),
            format!("in/2023-05-01.json|3|{}|range|$.n|it is out of range", place(3)),
            format!(
                "in/2023-05-01.json|4|{}|accepted_values|$.kind|it is none of the accepted values",
                place(4)
            ),
            format!("in/2023-05-01.json|5|{}|range|$.seen|it is out of range", place(5)),
            format!(
                "in/2023-05-01.json|6|{}|length|$.codes[]|its length is not within bounds",
                place(6)
            ),
        ]
    );
    project.edit(
        "pipelines/clinic.yaml",
        "on_malformed: quarantine",
        "on_malformed: fail",
    );
    insta::assert_snapshot!(project.run_clinic().code(1).output_lacks("SECRET").message(), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 2 at byte 94 breaks the check `matches`
    caused by: $.id: it does not match the pattern at byte 101
    hint: mend the file, or the schema of the source if the record is right
    ");
    project.edit("pipelines/clinic.yaml", "max_quarantined: 90%", "max_quarantined: 10%");
    project.edit(
        "pipelines/clinic.yaml",
        "on_malformed: fail",
        "on_malformed: quarantine",
    );
    project
        .run_clinic()
        .code(1)
        .stderr_contains("too much is refused: 5 of 7 records")
        .stderr_contains("range: it is out of range, 2 times");
}

#[test]
fn ids_of_two_spellings_join_across_sources() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    let record = |id: &str, visit: &str| json!([{"patient_id": id, "name": "Ann", "visits": [{"visit_id": visit, "date": "2023-05-01"}]}]);
    project.input("source_a", "20230501", record("Patient/p-1 ", "V-1").to_string());
    project.input("source_b", "20230501", record("P-1", "V-2").to_string());
    for source in ["source_a", "source_b"] {
        project.edit(
            &format!("pipelines/{source}.yaml"),
            "required: true, phi: identifier",
            "required: true, normalize: [trim, {strip_prefix: \"Patient/\"}, upper], matches: 'P-\\d+', phi: identifier",
        );
        project.load(source, "20230501");
    }
    assert_eq!(
        database.rows("select distinct patient_id from patients"),
        [hashed("P-1")],
        "one patient, whichever system wrote the id"
    );
    assert_eq!(
        database
            .rows("select count(*) from visits a join visits b on a.patient_id = b.patient_id and a.source < b.source"),
        ["1"]
    );
}

#[test]
fn undeclared_names_are_told_apart_by_a_keyed_hash_alone() {
    let (database, project) = ruled("json").on_server();
    let records: Vec<Value> = (0..5)
        .map(|n| json!({"id": "P-1", "SECRET-name": n, "SECRET-other": {"SECRET": 1}}))
        .collect();
    let first = json!([records[0], {"id": "P-2", "SECRET-name": 1}]);
    let project = project.json(first.to_string());
    let outcome = project.run_clinic().code(0).output_lacks("SECRET");
    let line = |stderr: &str| {
        let lines: Vec<_> = stderr
            .lines()
            .filter(|line| line.contains("undeclared fields"))
            .collect();
        assert_eq!(lines.len(), 1, "{stderr}");
        lines[0].to_owned()
    };
    let warned = line(&outcome.stderr);
    assert!(warned.contains("path=$ count=3"), "{warned}");
    let names = |line: &str| -> Vec<(String, String)> {
        let found = regex::Regex::new("([0-9a-f]{16}): ([0-9]+)").unwrap();
        found
            .captures_iter(line)
            .map(|found| (found[1].to_owned(), found[2].to_owned()))
            .collect()
    };
    let counts: Vec<_> = names(&warned).into_iter().map(|(_, count)| count).collect();
    assert!(counts == ["1", "2"] || counts == ["2", "1"], "{warned}");
    // On another day the same names have the same hashes.
    let again = project.json(json!([records[1]]).to_string());
    let second = line(&again.run_clinic().code(0).output_lacks("SECRET").stderr);
    let hashes = |line: &str| names(line).into_iter().map(|(hash, _)| hash).collect::<Vec<_>>();
    assert_eq!(hashes(&second), hashes(&warned));
    assert_eq!(database.count("pipeline.runs r where r::text like '%SECRET%'"), 0);
    // Without a mask that uses the key, there is no key. The message then shows only the path and the count.
    again.edit(
        "pipelines/clinic.yaml",
        ", phi: identifier, mask: hash, domain: patient",
        "",
    );
    let plain = line(&again.run_clinic().code(0).output_lacks("SECRET").stderr);
    assert!(plain.contains("path=$ count=2") && !plain.contains("names"), "{plain}");
}

#[test]
fn a_truncated_gzip_fails_with_an_account_of_what_was_read() {
    let lines: Vec<String> = (0..3000)
        .map(|n| format!("{{\"id\": \"P-{n}\", \"n\": {}}}", n % 100))
        .collect();
    let text = lines.join("\n") + "\n";
    let whole = gzip(text.as_bytes());
    let (database, project) = ruled("ndjson").on_server();
    project.edit("pipelines/clinic.yaml", "}.json\n", "}.json.gz\n");
    project.write("in/2023-05-01.json.gz", gzip(b"{\"id\": \"P-1\"}"));
    project.run_clinic().code(0);
    fs::write(project.path("in/2023-05-01.json.gz"), &whole[..whole.len() / 2]).unwrap();
    project
        .run_clinic()
        .code(1)
        .stderr_contains("in/2023-05-01.json.gz is truncated");
    assert_eq!(
        database.rows("select item_id from items"),
        [hashed("P-1")],
        "the old content stands"
    );
    let entries = database.rows("select check_name, file, path from pipeline.quarantine");
    assert_eq!(entries, ["unreadable|in/2023-05-01.json.gz|$"]);
    let record: usize = database.rows("select record from pipeline.quarantine")[0]
        .parse()
        .unwrap();
    let offset: usize = database.rows("select byte_offset from pipeline.quarantine")[0]
        .parse()
        .unwrap();
    assert!(record > 100 && record < 3000, "{record}");
    let before: usize = lines[..record - 1].iter().map(|line| line.len() + 1).sum();
    assert_eq!(offset, before, "the first record that is not whole starts there");
    let reason = &database.rows("select reason from pipeline.quarantine")[0];
    assert!(
        reason.starts_with("an unreadable stretch to the end of the file, of which "),
        "{reason}"
    );
    assert!(
        reason.contains("bytes could be decompressed: the file's gzip data is truncated at byte "),
        "{reason}"
    );
    insta::assert_snapshot!(project.run(&["quarantine", "list"]).code(0).stdout.split("reason").next().unwrap(), @"batch              run  status  entity  check       entries");
}
