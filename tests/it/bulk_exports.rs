//! `format: fhir-bulk`: the manifest of a FHIR bulk export is the input. Its files lie beside it, and are what it says.
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::formats::gzip;
use crate::harness::{Bucket, Database, Outcome, Project, hashed, hashed_in};

const DATE: &str = "2023-05-01";
const SECOND: &str = "2023-05-02";

const CONTRACT: &str = "name: bulk
entities:
  patients:
    columns: {patient_id: {type: text, nullable: false}, gender: text}
    key: [patient_id]
    latest: patients_latest
    deletions: patients_deleted
  conditions:
    columns: {condition_id: {type: text, nullable: false}, patient_id: text}
    key: [condition_id]
    latest: conditions_latest
    deletions: conditions_deleted
";

const SOURCE: &str = "name: hospital
input: {path: \"in/{date:%Y-%m-%d}/manifest.json\", format: fhir-bulk}
kinds:
  patient:
    where: {resourceType: Patient}
    schema:
      resourceType: {type: string, phi: none}
      id: {type: string, phi: identifier, mask: hash, domain: patient}
      gender: string
  condition:
    where: {resourceType: Condition}
    schema:
      resourceType: {type: string, phi: none}
      id: {type: string, phi: identifier, mask: hash, domain: condition}
      subject: {struct: {reference: {type: reference, to: [Patient], phi: identifier, mask: hash}}}
  deletion:
    where: {request.method: DELETE}
    schema:
      request: {struct: {method: {type: string, phi: none}, url: {type: reference, phi: identifier, mask: hash}}}
    deletes:
      patients: select request['url']['id'] as patient_id from deletion where request['url']['type'] = 'Patient'
      conditions: select request['url']['id'] as condition_id from deletion where request['url']['type'] = 'Condition'
";

const MIGRATION: &str = "
create table patients (patient_id text not null, gender text, source text not null, batch_date date not null,
  primary key (patient_id, source, batch_date)) partition by list (source);
create table patients_deleted (patient_id text not null, source text not null, batch_date date not null,
  primary key (patient_id, source, batch_date)) partition by list (source);
create table conditions (condition_id text not null, patient_id text, source text not null, batch_date date not null,
  primary key (condition_id, source, batch_date)) partition by list (source);
create table conditions_deleted (condition_id text not null, source text not null, batch_date date not null,
  primary key (condition_id, source, batch_date)) partition by list (source);
";

fn project(database: &Database) -> Project {
    let project = Project::new()
        .file("pipeline.yaml", CONTRACT)
        .file("pipelines/hospital.yaml", SOURCE)
        .file(
            "sql/hospital/patients.sql",
            "select id as patient_id, gender from patient\n",
        )
        .file(
            "sql/hospital/conditions.sql",
            "select id as condition_id, subject['reference']['id'] as patient_id from condition\n",
        )
        .file("migrations/V1__tables.sql", MIGRATION)
        .on(database);
    project.run(&["migrate"]).code(0);
    project
}

fn lines(resources: &[Value]) -> String {
    let lines: Vec<String> = resources.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}

fn patients() -> String {
    lines(&[
        json!({"resourceType": "Patient", "id": "P1", "gender": "female"}),
        json!({"resourceType": "Patient", "id": "P2", "gender": "male"}),
    ])
}

fn conditions() -> String {
    lines(&[
        json!({"resourceType": "Condition", "id": "C1", "subject": {"reference": "Patient/P1"}}),
        json!({"resourceType": "Condition", "id": "C2", "subject": {"reference": "Patient/P2"}}),
        json!({"resourceType": "Condition", "id": "C3", "subject": {"reference": "Patient/P2"}}),
    ])
}

fn checksum(text: &str) -> Value {
    let digest = hex::encode(Sha256::digest(text));
    json!([{"url": "https://export.example/checksum", "valueString": format!("sha256:{digest}")},
        {"url": "https://export.example/file_length", "valueDecimal": text.len()}])
}

/// What a server answers: absolute URLs, one of them with a token, counts, a checksum.
fn manifest() -> Value {
    json!({
        "transactionTime": "2023-05-01T10:00:00.123+02:00",
        "request": "https://export.example/fhir/$export",
        "requiresAccessToken": true,
        "output": [
            {"type": "Patient", "url": "https://export.example/jobs/7/Patient.1.ndjson?token=a/b", "count": 2},
            {"type": "Condition", "url": "https://export.example/jobs/7/Condition.1.ndjson", "count": 3,
                "extension": checksum(&conditions())},
        ],
        "error": [],
    })
}

fn deliver(project: &Project, date: &str, name: &str, contents: impl AsRef<[u8]>) {
    project.write(&format!("in/{date}/{name}"), contents);
}

/// Delivers the first export, whose second file is compressed.
fn delivered(project: &Project) {
    deliver(project, DATE, "manifest.json", manifest().to_string());
    deliver(project, DATE, "Patient.1.ndjson", patients());
    deliver(project, DATE, "Condition.1.ndjson.gz", gzip(conditions().as_bytes()));
}

fn run(project: &Project, date: &str) -> Outcome {
    project.run(&["run", "--source", "hospital", "--date", date])
}

#[test]
fn a_manifest_brings_its_files() {
    let database = Database::fresh();
    let project = project(&database);
    delivered(&project);
    project.run(&["check"]).code(0);
    run(&project, DATE).code(0);
    let joined = format!("{}|{}", hashed_in("condition", "C1"), hashed("P1"));
    let loaded = database.rows("select condition_id, patient_id from conditions");
    assert!(loaded.len() == 3 && loaded.contains(&joined), "{loaded:?}");
    assert_eq!(database.count("patients"), 2);
    let account: Value = serde_json::from_str(&database.value("select account from pipeline.runs")).unwrap();
    assert_eq!(
        account["export"],
        json!({"transaction_times": ["2023-05-01T10:00:00.123+02:00"], "output": 2, "deleted": 0,
            "errors": {"files": 0, "messages": 0}})
    );
    assert_eq!(account["kinds"]["condition"]["read"], 3);
    let files = "select string_agg(file ->> 'path', ' ') from pipeline.runs, jsonb_array_elements(files) file";
    assert_eq!(
        database.value(files),
        "in/2023-05-01/manifest.json#output[0] in/2023-05-01/manifest.json#output[1]"
    );
    // Without a database, too.
    project
        .run(&[
            "preview",
            "--source",
            "hospital",
            "--date",
            DATE,
            "--entity",
            "conditions",
        ])
        .code(0)
        .stdout_contains("(3 rows)");
}

/// The files are looked for beside the manifest, whatever the current folder is.
#[test]
fn the_project_may_be_named_by_a_relative_path() {
    let database = Database::fresh();
    let project = project(&database);
    delivered(&project);
    let folder = project.path(".").canonicalize().unwrap();
    let name = folder.file_name().unwrap().to_str().unwrap();
    for named in [name.to_owned(), format!("./{name}")] {
        let args = ["--project", &named, "run", "--source", "hospital", "--date", DATE];
        let run = project
            .command(&args)
            .current_dir(folder.parent().unwrap())
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    assert_eq!((database.count("patients"), database.count("conditions")), (2, 3));
    // A file that is too many is found as well.
    deliver(&project, DATE, "Other.ndjson", "{}");
    let args = ["--project", name, "run", "--source", "hospital", "--date", DATE];
    let run = project
        .command(&args)
        .current_dir(folder.parent().unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(
        stderr.contains(&format!("lie beside in/{DATE}/manifest.json: 1 in")),
        "{stderr}"
    );
}

#[test]
fn deletions_of_an_export_hide_what_older_exports_brought() {
    let database = Database::fresh();
    let project = project(&database);
    delivered(&project);
    run(&project, DATE).code(0);
    project.run(&["views"]).code(0);
    let bundle = |urls: &[&str]| {
        let entries: Vec<Value> = urls
            .iter()
            .map(|url| json!({"request": {"method": "DELETE", "url": url}}))
            .collect();
        json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    };
    let deleted = lines(&[
        bundle(&["Condition/C1", "Patient/P2"]),
        bundle(&["Condition/C2", "Condition/C9", "Group/1"]),
    ]);
    let manifest = json!({
        "transactionTime": "2023-05-02T10:00:00Z", "request": "x", "requiresAccessToken": false,
        "output": [{"type": "Patient", "url": "Patient.ndjson", "count": 1}],
        "deleted": [{"type": "Bundle", "url": "https://h/1/deleted.ndjson", "count": 2, "extension": checksum(&deleted)}],
        "error": [{"type": "OperationOutcome", "url": "https://h/1/errors.ndjson", "count": 4},
            {"type": "OperationOutcome", "url": "https://h/1/more.ndjson"}],
    });
    deliver(&project, SECOND, "manifest.json", manifest.to_string());
    deliver(
        &project,
        SECOND,
        "Patient.ndjson",
        lines(&[json!({"resourceType": "Patient", "id": "P3"})]),
    );
    deliver(&project, SECOND, "deleted.ndjson", &deleted);
    // Files of errors are not read, and need not be there.
    deliver(&project, SECOND, "errors.ndjson", "not read");
    let outcome = run(&project, SECOND).code(0);
    let outcome = outcome
        .stdout_contains("hospital 2023-05-02: 1 keys of patients are deleted")
        .stdout_contains("hospital 2023-05-02: 3 keys of conditions are deleted, of which <10 were never loaded");
    outcome.stderr_contains("the export may lack resources: its server reports errors in 2 files with 4 messages");
    assert_eq!(
        database.rows("select condition_id from conditions_latest"),
        [hashed_in("condition", "C3")]
    );
    let mut patients = [hashed("P1"), hashed("P3")];
    patients.sort();
    assert_eq!(
        database.rows("select patient_id from patients_latest order by 1"),
        patients
    );
    let account: Value =
        serde_json::from_str(&database.value("select account from pipeline.runs order by run_id desc limit 1"))
            .unwrap();
    assert_eq!(account["export"]["deleted"], 1);
    assert_eq!(account["export"]["errors"], json!({"files": 2, "messages": 4}));
    assert_eq!(account["kinds"]["deletion"]["read"], 5);
    let json = project
        .run(&["run", "--source", "hospital", "--date", SECOND, "--output", "json"])
        .code(0)
        .json();
    assert_eq!(json["batches"][0]["export"]["errors"]["files"], 2);
}

/// Changes of the manifest that its files do not fit, by the place of the value, and what is said of each.
fn changes() -> [(&'static str, Value, &'static str); 9] {
    [
        (
            "/output/1/count",
            json!(4),
            "manifest.json#output[1] holds 3 resources, where the manifest says 4",
        ),
        (
            "/output/0/count",
            json!("1"),
            "manifest.json#output[0] holds 2 resources, where the manifest says 1",
        ),
        (
            "/output/1/extension",
            checksum("other"),
            "bytes, where the manifest says 5",
        ),
        // Of the same length.
        (
            "/output/1/extension",
            checksum(&conditions().to_lowercase()),
            "output[1] has another checksum than the manifest says",
        ),
        (
            "/output/1/url",
            json!("https://export.example/x.ndjson"),
            "output[1], of type Condition, is not beside",
        ),
        (
            "/output/1/url",
            json!("../2023-05-01/Condition.9.ndjson"),
            "output[1], of type Condition, is not beside",
        ),
        (
            "/output/1/url",
            json!("https://export.example/other/Patient.1.ndjson"),
            "are one file",
        ),
        (
            "/output/1",
            json!({"type": "AnnaSmith", "url": "https://export.example/x.ndjson"}),
            "output[1] is not beside",
        ),
        (
            "/output/1/type",
            json!("a name of somebody"),
            "files that no manifest names",
        ),
    ]
}

/// Each change to the export makes a refusal of the batch, and what is loaded stays.
#[test]
fn what_does_not_fit_the_manifest_is_refused() {
    let database = Database::fresh();
    let project = project(&database);
    delivered(&project);
    run(&project, DATE).code(0);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = manifest();
        change(&mut changed);
        changed.to_string()
    };
    let refused = |code: &str, said: &str| {
        let outcome = project
            .run(&["run", "--source", "hospital", "--date", DATE, "--output", "json"])
            .code(1);
        let error = &outcome.json()["batches"][0]["error"];
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(said), "{said}: {error}");
        assert!(error["hint"].is_string(), "{error}");
        assert_eq!(
            (database.count("patients"), database.count("conditions")),
            (2, 3),
            "{said}"
        );
        outcome.output_lacks("export.example").output_lacks("token");
    };
    let manifest_is = |text: String| deliver(&project, DATE, "manifest.json", text);

    for (pointer, value, said) in changes() {
        manifest_is(with(&|manifest| {
            *manifest.pointer_mut(pointer).unwrap() = value.clone();
        }));
        if pointer.ends_with("type") {
            deliver(&project, DATE, "Condition.2.ndjson", "{}");
        }
        refused("input_incomplete", said);
        project.write("in/keep", "");
    }
    project.remove(&format!("in/{DATE}/Condition.2.ndjson"));
    manifest_is(with(&|manifest| {
        manifest["link"] = json!([{"relation": "next", "url": "https://export.example/2"}]);
    }));
    refused("input_incomplete", "is not the whole manifest");
    manifest_is("{\"resourceType\": \"Bundle\"}".to_owned());
    refused("input_unreadable", "is no manifest of a bulk export");
    manifest_is(manifest().to_string());
    // A file that breaks off, although records may be quarantined.
    let packed = gzip(conditions().as_bytes());
    deliver(&project, DATE, "Condition.1.ndjson.gz", &packed[..packed.len() - 12]);
    refused("input_unreadable", "output[1] is ");
    // One whose last line breaks off: as many lines as there should be.
    let text = conditions();
    let cut = &text.trim_end().as_bytes()[..text.trim_end().len() - 4];
    deliver(&project, DATE, "Condition.1.ndjson.gz", gzip(cut));
    refused("input_incomplete", "output[1] ends within a resource");
    deliver(&project, DATE, "Condition.1.ndjson.gz", packed);
    run(&project, DATE).code(0);
    project.remove(&format!("in/{DATE}/manifest.json"));
    refused("input_missing", "is missing");
}

#[test]
fn a_resource_of_another_type_than_its_file_is_of_no_declared_kind() {
    let database = Database::fresh();
    let project = project(&database);
    delivered(&project);
    let mixed = patients() + &lines(&[json!({"resourceType": "Condition", "id": "C7"})]);
    let mut manifest = manifest();
    manifest["output"][0]["count"] = json!(3);
    deliver(&project, DATE, "manifest.json", manifest.to_string());
    deliver(&project, DATE, "Patient.1.ndjson", mixed);
    run(&project, DATE)
        .code(0)
        .stderr_contains("records of no declared kind");
    let unknown = "select account -> 'unknown_kinds' from pipeline.runs";
    assert_eq!(database.value(unknown), r#"{"count": 1, "kinds": {"Condition": 1}}"#);
    assert_eq!(database.count("conditions"), 3);
}

#[test]
fn the_parts_of_a_manifest_may_be_several_files() {
    let database = Database::fresh();
    let project = project(&database);
    project.edit("pipelines/hospital.yaml", "manifest.json", "manifest*.json");
    let part = |index: usize, next: bool| {
        let mut part = manifest();
        part["output"] = json!([part["output"][index]]);
        if next {
            part["link"] = json!([{"relation": "next", "url": "u"}]);
        }
        part.to_string()
    };
    deliver(&project, DATE, "manifest1.json", part(0, true));
    deliver(&project, DATE, "manifest2.json", part(1, false));
    deliver(&project, DATE, "Patient.1.ndjson", patients());
    deliver(&project, DATE, "Condition.1.ndjson", conditions());
    run(&project, DATE).code(0);
    assert_eq!((database.count("patients"), database.count("conditions")), (2, 3));
}

#[test]
fn an_export_may_lie_in_a_store() {
    let database = Database::fresh();
    let bucket = Bucket::serve();
    bucket.put(&format!("{DATE}/manifest.json"), manifest().to_string());
    bucket.put(&format!("{DATE}/Patient.1.ndjson"), patients());
    bucket.put(&format!("{DATE}/Condition.1.ndjson.gz"), gzip(conditions().as_bytes()));
    bucket.put("elsewhere/Other.ndjson", "{}");
    let project = project(&database).with_bucket(&bucket);
    project.edit(
        "pipelines/hospital.yaml",
        "in/{date:%Y-%m-%d}",
        "s3://bucket/{date:%Y-%m-%d}",
    );
    run(&project, DATE).code(0);
    assert_eq!((database.count("patients"), database.count("conditions")), (2, 3));
    bucket.put(&format!("{DATE}/Other.ndjson"), "{}");
    run(&project, DATE)
        .code(1)
        .stderr_contains("files that no manifest names");
}

#[test]
fn what_is_nothing_for_an_export_is_told() {
    let database = Database::fresh();
    let project = project(&database);
    project.edit(
        "pipelines/hospital.yaml",
        "input: {path: \"in/{date:%Y-%m-%d}/manifest.json\", format: fhir-bulk}",
        "input: {path: [{path: \"in/{date}/m.json\", kind: patient}], format: fhir-bulk, records: $.a, encoding: latin1}",
    );
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("a manifest is of no kind")
        .stderr_contains("`records` is nothing for fhir-bulk")
        .stderr_contains("`encoding` is nothing for fhir-bulk");
}
