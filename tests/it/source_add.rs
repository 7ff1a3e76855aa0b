//! `pipeline source add`: sources of many shapes are proposed from samples, pass the check, and load every value.
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{Database, Project};

/// Scalars in a value, nulls aside.
pub fn scalars(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Array(items) => items.iter().map(scalars).sum(),
        Value::Object(fields) => fields.values().map(scalars).sum(),
        _ => 1,
    }
}

/// Scalars in the tables of a source, without the partition columns and the keys that rows carry from above.
pub fn loaded(project: &Project, database: &Database, source: &str) -> usize {
    let mut count = 0;
    for table in
        database.rows("select relname from pg_class where relkind = 'p' and relnamespace = 'public'::regnamespace")
    {
        let sql = project.read(&format!("sql/{source}/{table}.sql"));
        let columns = database.rows(&format!(
            "select attname from pg_attribute where attrelid = 'public.{table}'::regclass and attnum > 0 \
             and attname not in ('source', 'batch_date')"
        ));
        for column in columns {
            let carried = sql.lines().any(|line| {
                let added = [
                    "-- the key of",
                    ": how much of it is known",
                    ": the type of the resource",
                ];
                let has_name = line
                    .split(" -- ")
                    .next()
                    .is_some_and(|code| code.trim_end_matches(',').split_whitespace().last() == Some(column.as_str()));
                added.iter().any(|note| line.contains(note)) && has_name
            });
            if !carried {
                let values = database.value(&format!(
                    "select coalesce(jsonb_agg(to_jsonb(\"{column}\")), '[]')::text from {table}"
                ));
                count += scalars(&serde_json::from_str(&values).unwrap());
            }
        }
    }
    count
}

/// Adds a source from a sample in an empty folder, loads it, and compares the number of values.
pub fn holds_every_scalar(name: &str, files: &[(&str, &str)], expected: usize) -> Project {
    let database = Database::fresh();
    let mut project = Project::new().on(&database);
    for (path, text) in files {
        project = project.file(&format!("in/{path}"), text);
    }
    let added = project
        .run(&["source", "add", name, "--from", "in", "--entities", "new"])
        .code(0);
    project.run(&["check"]).code(0);
    project.run(&["migrate"]).code(0);
    let outcome = project
        .run(&["--output", "json", "run", "--source", name, "--date", "20230501"])
        .code(0)
        .json();
    assert_eq!(outcome["batches"][0]["status"], "loaded", "{name}: {outcome}");
    assert_eq!(
        loaded(&project, &database, name),
        expected,
        "{name}\n{}\n{}",
        added.stdout,
        project.read(&format!("pipelines/{name}.yaml"))
    );
    project
}

fn patient(number: usize) -> Value {
    let visits: Vec<Value> = (0..number % 3)
        .map(|visit| {
            json!({"visit_id": format!("V{number}-{visit}"), "date": "2023-05-01", "tags": ["a", "b"], "scores": [1.5, 2.0],
                "codes": [{"code": format!("E{visit}"), "description": "of the code", "grade": visit}]})
        })
        .collect();
    json!({"patient_id": format!("P{number:04}"), "name": {"family": format!("Fam{number}"), "given": ["G", "H"]},
        "born": "1970-01-01", "weight": 50.5, "visits": visits})
}

pub fn patients(count: usize) -> Vec<Value> {
    (0..count).map(patient).collect()
}

#[test]
fn a_wrapper_with_its_records_in_a_list() {
    let records = patients(20);
    let document = json!({"meta": {"sender": "c"}, "patients": records});
    let project = holds_every_scalar(
        "wrapper",
        &[("20230501/d.json", &document.to_string())],
        scalars(&json!(records)),
    );
    let yaml = project.read("pipelines/wrapper.yaml");
    assert!(
        yaml.contains("records: \"$.patients[*]\"") && yaml.contains("Left out, beside the records: $.meta"),
        "{yaml}"
    );
}

pub fn resources() -> Vec<Value> {
    let of = |number: usize| {
        [
            json!({"resourceType": "Patient", "id": format!("p{number}"), "birthDate": "1970-01-01", "gender": "male",
                "name": [{"family": "F", "given": ["G"]}]}),
            json!({"resourceType": "Observation", "id": format!("o{number}"), "subject": {"reference": format!("Patient/p{number}")},
                "code": {"coding": [{"system": "http://loinc.org", "code": "1-1", "display": "d"}]},
                "valueQuantity": {"value": 1.25, "unit": "mg"}, "effectiveDateTime": "2023-05-01T10:00:00Z"}),
        ]
    };
    (0..20).flat_map(of).collect()
}

#[test]
fn a_bundle_of_mixed_resources() {
    let entries: Vec<Value> = resources()
        .into_iter()
        .map(|resource| json!({"resource": resource}))
        .collect();
    let bundle = json!({"resourceType": "Bundle", "entry": entries});
    holds_every_scalar(
        "bundle",
        &[("20230501/b.json", &bundle.to_string())],
        scalars(&json!(resources())),
    );
}

pub fn lines(records: &[Value]) -> String {
    records.iter().fold(String::new(), |mut text, record| {
        let _ = writeln!(text, "{record}");
        text
    })
}

#[test]
fn a_bulk_export_of_one_type() {
    let patients: Vec<Value> = resources().into_iter().step_by(2).collect();
    holds_every_scalar(
        "bulk",
        &[("20230501/Patient.ndjson", &lines(&patients))],
        scalars(&json!(patients)),
    );
}

#[test]
fn one_document_per_file() {
    let records = patients(2_000);
    let files: Vec<(String, String)> = (0..2_000)
        .map(|n| (format!("20230501/doc{n:04}.json"), records[n].to_string()))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let project = holds_every_scalar("perfile", &files, scalars(&json!(records)));
    assert!(
        project
            .read("pipelines/perfile.yaml")
            .contains("path: \"in/{date:%Y%m%d}/*.json\"")
    );
}

#[test]
fn lines_with_missing_and_conflicting_fields() {
    let records: Vec<Value> = (0..50)
        .map(|n| {
            let mut record = json!({"id": n, "when": "2023-05-01 10:00:00", "flag": true, "empty": [], "nothing": null,
                "value": if n % 2 == 0 { json!(n) } else { json!(n.to_string()) }, "mixed": [1, "a", {"b": 2}]});
            if n % 7 == 0 {
                record["rare"] = json!({"deep": {"er": n}});
            }
            record
        })
        .collect();
    let project = holds_every_scalar(
        "conflicts",
        &[("20230501/x.ndjson", &lines(&records))],
        scalars(&json!(records)),
    );
    let yaml = project.read("pipelines/conflicts.yaml");
    for part in [
        "# read as either, since it is number 25 times (first in record 1), string 25 times (first in record 2)",
        "value: {type: int, required: true, from: [string, number]}",
        "# a list whose elements are of more than one kind: number 50 times (first in record 1), string 50 times (first",
        "# a list that is empty in the whole sample",
    ] {
        assert!(yaml.contains(part), "{part}\n{yaml}");
    }
}

#[test]
fn deeply_nested_lists() {
    fn nested(depth: usize, number: usize) -> Value {
        let id = format!("{depth}-{number}");
        match depth {
            0 => json!({"id": id, "value": 1.5 * f64::from(u32::try_from(number).unwrap())}),
            _ => json!({"id": id, "children": [nested(depth - 1, number * 2), nested(depth - 1, number * 2 + 1)]}),
        }
    }
    let records: Vec<Value> = (0..5).map(|n| nested(5, n)).collect();
    holds_every_scalar(
        "deep",
        &[("20230501/d.json", &json!(records).to_string())],
        scalars(&json!(records)),
    );
}

#[test]
fn objects_whose_keys_are_data_are_not_shown() {
    let records: Vec<Value> = (0..15)
        .map(|n| json!({"patient_id": format!("P{n}"), "labs": {"2023-05-01": {"hb": n}, "2023-05-02": {"hb": n}, "2023-05-03": {"hb": n}}}))
        .collect();
    let project = holds_every_scalar(
        "maps",
        &[("20230501/m.json", &json!(records).to_string())],
        scalars(&json!(records)),
    );
    let yaml = project.read("pipelines/maps.yaml");
    assert!(
        yaml.contains("keys look like data: 3 different ones") && !yaml.contains("2023-05-03"),
        "{yaml}"
    );
}

/// A name of a sender is data: in a comment it ends no line, and it steers no terminal.
#[test]
fn names_of_a_sender_write_no_sql() {
    let hostile = "x\nfrom source where false union all select 'PWNED', 'PWNED' --";
    for name in [
        hostile,
        "x\n/*",
        "x\r\u{2028}*/ select",
        "esc\u{1b}[31mred\u{7}\u{202e}",
    ] {
        let project = Project::new().file("pipeline.yaml", "name: small\n").file(
            "in/20230501.json",
            json!([{"id": "a", "n": 1, name: "b"}, {"id": "c", "n": 2, name: "d"}]).to_string(),
        );
        project
            .run(&["source", "add", "s", "--from", "in/20230501.json", "--entities", "new"])
            .code(0);
        let proposed = project.read("sql/s/s.sql");
        for line in proposed.lines() {
            let comment = line.split_once("--").map_or("", |(_, comment)| comment);
            assert!(
                !comment
                    .chars()
                    .any(|c| c.is_control() || "\u{2028}\u{202e}".contains(c)),
                "{line:?}"
            );
        }
        let shown = project
            .run(&[
                "preview", "--source", "s", "--date", "20230501", "--entity", "s", "--output", "json",
            ])
            .code(0)
            .stdout;
        assert!(!shown.contains("PWNED\",") && shown.contains("\"b\""), "{shown}");
        project
            .run(&["lineage"])
            .code(0)
            .output_lacks("\u{1b}")
            .output_lacks("\u{202e}");
    }
}

#[test]
fn csv_with_odd_headers() {
    let mut text = "Patient ID;Last Name;DOB;Order;1st visit;Weight (kg);Zip Code\n".to_owned();
    for n in 0..30 {
        let _ = writeln!(text, "{n};Müller{n};01.05.19{};o;2023-05-01;{n}.5;02139", 60 + n);
    }
    let project = holds_every_scalar("cells", &[("20230501/c.csv", &text)], 30 * 7);
    let yaml = project.read("pipelines/cells.yaml");
    for part in [
        "csv: {delimiter: \";\"}",
        "DOB: {type: date, required: true, format: \"%d.%m.%Y\", phi: date, mask: year}",
        "mask: zip3",
        "Last Name: {type: string, required: true, phi: name, mask: pseudonym, domain: name}",
    ] {
        assert!(yaml.contains(part), "{part}\n{yaml}");
    }
}

#[test]
fn one_object_that_holds_several_lists() {
    let people: Vec<Value> = (0..10)
        .map(|n| json!({"patient_id": format!("P{n}"), "sex": "f"}))
        .collect();
    let visits: Vec<Value> = (0..5_000)
        .map(|n| json!({"visit_id": format!("V{n}"), "cost": 1.25 * f64::from(n)}))
        .collect();
    let document = json!({"hospital": "H", "patients": people, "visits": visits, "drugs": ["a", "b"]});
    holds_every_scalar(
        "huge",
        &[("20230501/h.json", &document.to_string())],
        scalars(&document),
    );
}

#[test]
fn parquet_with_nested_lists() {
    let database = Database::fresh();
    let project = Project::new().on(&database);
    project.write("in/20230501/x.parquet", crate::formats::nested_parquet());
    project
        .run(&["source", "add", "columns", "--from", "in", "--entities", "new"])
        .code(0);
    project.run(&["migrate"]).code(0);
    project.load("columns", "20230501").code(0);
    assert_eq!(loaded(&project, &database, "columns"), 3 + 3 + 4 * 2);
}

#[test]
fn compression_is_told_by_the_content() {
    let database = Database::fresh();
    let project = Project::new().on(&database);
    let records = patients(12);
    project.write(
        "in/20230501/x.json",
        crate::formats::gzip(json!(records).to_string().as_bytes()),
    );
    project
        .run(&["source", "add", "packed", "--from", "in", "--entities", "new"])
        .code(0);
    project.run(&["migrate"]).code(0);
    project.load("packed", "20230501").code(0);
    assert_eq!(loaded(&project, &database, "packed"), scalars(&json!(records)));
}

#[test]
fn existing_entities_are_filled_by_name_and_place() {
    let database = Database::migrated();
    let sample = [patient_of_clinic("P1"), patient_of_clinic("P2")];
    let project = Project::of_repository()
        .on(&database)
        .file("in/clinic_f/20230501/events.json", json!(sample).to_string());
    project
        .run(&["source", "add", "clinic_f", "--from", "in/clinic_f"])
        .code(0)
        .stdout_is(
            "written  pipelines/clinic_f.yaml\nwritten  sql/clinic_f/patients.sql\nwritten  sql/clinic_f/visits.sql\n\
             written  sql/clinic_f/diagnoses.sql\nwritten  sql/clinic_f/treatments.sql\n",
        )
        .stderr_contains("2 records in 1 file were looked at. 10 fields declared, 6 of them masked.")
        .stderr_contains("pipeline run --source clinic_f --date 2023-05-01");
    project.load("clinic_f", "20230501").code(0);
    for table in ["patients", "visits", "diagnoses", "treatments"] {
        assert_eq!(database.count(table), 2, "{table}");
    }
    assert_eq!(
        database.rows("select distinct treatments_drug, treatments_dose from treatments"),
        ["Metformin|500mg"]
    );
}

fn patient_of_clinic(id: &str) -> Value {
    json!({"patient_id": id, "name": "Secret Person", "visits": [{"visit_id": format!("V-{id}"), "date": "2023-05-01",
        "diagnoses": [{"code": "E11.9", "description": "Diabetes", "treatments": [{"drug_test": "Metformin", "dose_test": "500mg"}]}],
        "provider_notes": {"text": "Secret note", "author_test": "Dr. Secret"}}]})
}

#[test]
fn no_value_of_the_sample_is_written_or_shown() {
    let project = Project::new().file("in/20230501/x.json", json!([patient_of_clinic("SecretId")]).to_string());
    let added = project
        .run(&["-v", "source", "add", "clinic", "--from", "in", "--entities", "new"])
        .code(0);
    let mut all = added.stdout.clone() + &added.stderr;
    for file in [
        "pipelines/clinic.yaml",
        "pipeline.yaml",
        "sql/clinic/patients.sql",
        "sql/clinic/visits.sql",
    ] {
        all += &project.read(file);
    }
    for value in ["Secret", "Metformin", "E11.9", "500mg"] {
        assert!(!all.contains(value), "{value} is in\n{all}");
    }
}

#[test]
fn bad_input_has_one_message_and_leaves_nothing() {
    let project = Project::of_repository()
        .file("in/20230501/empty.json", "")
        .file("in/20230501/broken.json", "[{\"a\": 1}, {\"a\": ")
        .file("in/20230501/binary.json", [0_u8, 159, 146, 150])
        .file("in/20230501/none.json", "[]")
        .file("in/20230501/other.json", "[{\"colour\": \"red\"}]");
    let before = files(&project);
    for (name, from, message) in [
        ("x", "in/20230501/empty.json", "the sample holds no record"),
        ("x", "in/20230501/broken.json", "broken.json:1:17 is no valid JSON"),
        (
            "x",
            "in/20230501/binary.json",
            "binary.json is neither text nor Parquet",
        ),
        ("x", "in/20230501/none.json", "the sample holds no record"),
        (
            "x",
            "in/20230501/absent.json",
            "there is no file at in/20230501/absent.json",
        ),
        (
            "x",
            "in/20230501/other.json",
            "the sample fits none of the project's entities",
        ),
        (
            "Clinic-X",
            "in/20230501/other.json",
            "`Clinic-X` can't be the name of a source",
        ),
        (
            "source_b",
            "in/20230501/other.json",
            "there is a source `source_b` already",
        ),
    ] {
        let outcome = project
            .run(&["source", "add", name, "--from", from])
            .code(2)
            .stderr_contains(message);
        assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
        assert_eq!(files(&project), before, "{message}");
    }
}

pub fn files(project: &Project) -> Vec<String> {
    fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // The harness keeps what a command prints in hidden files.
            if !path.file_name().unwrap().to_string_lossy().starts_with('.') {
                found.push(path.display().to_string());
            }
            if path.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(&project.path("."), &mut found);
    found.sort();
    found
}
