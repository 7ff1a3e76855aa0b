//! One person in a source of several kinds of records: found by the subject of each kind, erased, and not brought back.
use serde_json::{Value, json};

use crate::harness::{Database, Project, everything, hashed};
use crate::person::{ERASE, rows, traced, with_id};

const DAYS: [&str; 2] = ["2023-05-01", "2023-05-02"];

/// A person is told by their own id in one kind, and by a nested reference in another. Notes name no subject. Parts hold
/// nothing sensitive, and belong to labs, perhaps of another day.
const KINDS: &str = "\
kinds:
  patient:
    where: {type: Patient}
    subject: id
    schema:
      id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}
      name: {type: string, phi: name, mask: redact}
  lab:
    where: {type: [Lab, Panel]}
    subject: about.who
    schema:
      type: string
      about: {struct: {who: {type: reference, to: [Patient, Group], phi: identifier, mask: hash}}}
      lab: string
      value: {type: int, required: true}
  note:
    where: {type: Note}
    schema: {author: {type: string, phi: name, mask: redact}}
  part:
    where: {type: Part}
    schema: {lab: string, n: int}
";

fn project() -> (Database, Project) {
    let database = Database::fresh();
    let table = |name: &str, columns: &str| {
        format!(
            "create table {name} ({columns}, source text not null, batch_date date not null) partition by list (source);\n"
        )
    };
    let project = Project::new()
        .file(
            "pipeline.yaml",
            "name: persons\nentities:\n  patients:\n    columns: {id: text, name: text}\n  labs:\n    columns: {lab: text, \
             owner: text, owner_type: text, value: int4}\n  parts:\n    columns: {lab: text, n: int4}\n    parent: {entity: \
             labs, columns: [lab], scope: source}\n  notes:\n    columns: {author: text}\n",
        )
        .file(
            "pipelines/clinic.yaml",
            format!(
                "name: clinic\ninput:\n  path: in/{{date:%Y-%m-%d}}.json\n  format: json\n  on_malformed: \
                 quarantine\nmax_quarantined: 100%\n{KINDS}"
            ),
        )
        .file("sql/clinic/patients.sql", "select id, name from patient\n")
        .file(
            "sql/clinic/labs.sql",
            "select lab, about['who']['id'] as owner, about['who']['type'] as owner_type, value from lab where type = 'Lab'\n",
        )
        .file("sql/clinic/parts.sql", "select lab, n from part\n")
        .file("sql/clinic/notes.sql", "select author from note\n")
        .file(
            "migrations/V1__tables.sql",
            [
                table("patients", "id text, name text"),
                table("labs", "lab text, owner text, owner_type text, value int4"),
                table("parts", "lab text, n int4"),
                table("notes", "author text"),
            ]
            .concat(),
        )
        .on(&database);
    project.run(&["migrate"]).code(0);
    let lab =
        |who: &str, lab: &str, value: Value| json!({"type": "Lab", "about": {"who": who}, "lab": lab, "value": value});
    let part = |lab: &str, n: u32| json!({"type": "Part", "lab": lab, "n": n});
    let days = [
        json!([
            {"type": "Patient", "id": "p1", "name": "Anna"},
            lab("Patient/p1", "a", json!(1)),
            lab("https://fhir.example/Patient/p1/_history/2", "b", json!(2)),
            lab("Patient/p1", "c", json!("x")),
            lab("Patient/p2", "d", json!(4)),
            lab("Group/p1", "e", json!(5)),
            {"type": "Patient", "id": "p2", "name": "Berta"},
            {"type": "Note", "author": "Dr. Gerber"},
            part("a", 1),
            part("d", 4),
        ]),
        json!([part("a", 2), part("d", 5)]),
    ];
    for (day, records) in DAYS.into_iter().zip(days) {
        project.write(&format!("in/{day}.json"), records.to_string());
        load(&project, day);
    }
    (database, project)
}

fn load(project: &Project, day: &str) -> Value {
    let args = ["run", "--source", "clinic", "--date", day, "--output", "json"];
    project.run(&args).code(0).json()["batches"][0].clone()
}

const FOUND: [&str; 4] = [
    "clinic 2023-05-01 labs 2",
    "clinic 2023-05-01 parts 1",
    "clinic 2023-05-01 patients 1",
    "clinic 2023-05-02 parts 1",
];

#[test]
fn a_person_is_found_by_the_subject_of_each_kind_and_stays_away() {
    let (database, project) = project();
    let trace = |id: &str| {
        let args = ["privacy", "trace", "--domain", "patient", "--output", "json"];
        with_id(&project, &args, id).code(0).json()
    };
    let found = trace("p1");
    assert_eq!(rows(&found), FOUND);
    // As a reference has it, the same person.
    assert_eq!(rows(&trace("Patient/p1")), FOUND);
    let whys: Vec<&Value> = found["unsearched"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["why"])
        .collect();
    assert_eq!(whys, [&json!("the kind note names no subject")]);
    assert_eq!(found["files"][0]["records"], json!([1, 2, 3, 4]));
    assert_eq!(
        found["quarantine"][0]["records"],
        json!([{"file": "in/2023-05-01.json", "record": 4}])
    );
    // Subjects of several domains: the group p1 is nobody's.
    with_id(&project, &ERASE, "p1").code(2).stderr_contains("--domain");

    with_id(&project, &[&ERASE[..], &["--domain", "patient"]].concat(), "p1")
        .code(1)
        .stdout_contains("erased 2 labs, 1 parts, 1 patients, 1 of the quarantine")
        .stderr_contains("the kind note names no subject");
    assert!(!everything(&database).contains(&hashed("p1")));
    assert_eq!(database.rows("select lab from labs order by 1"), ["d", "e"]);
    assert_eq!(database.rows("select n from parts order by 1"), ["4", "5"]);

    // The input still holds the person, in records of two kinds and in a refused one.
    let again = load(&project, DAYS[0]);
    assert_eq!(
        [
            &again["records"],
            &again["records_suppressed"],
            &again["records_quarantined"]
        ],
        [&json!(10), &json!(4), &json!(0)]
    );
    assert_eq!(
        again["kinds"],
        json!({
            "patient": {"read": 2, "accepted": 1, "quarantined": 0, "suppressed": 1},
            "lab": {"read": 5, "accepted": 2, "quarantined": 0, "suppressed": 3},
            "note": {"read": 1, "accepted": 1, "quarantined": 0},
            "part": {"read": 2, "accepted": 2, "quarantined": 0},
        })
    );
    assert_eq!(
        database.value("select account -> 'records' from pipeline.runs order by run_id desc limit 1"),
        r#"{"read": 10, "accepted": 6, "suppressed": 4, "quarantined": 0}"#
    );
    assert!(!everything(&database).contains(&hashed("p1")));
    assert_eq!(database.rows("select lab from labs order by 1"), ["d", "e"]);
    assert_eq!(database.rows("select id from patients"), [hashed("p2")]);
    assert_eq!(database.count("pipeline.quarantine"), 0);
    assert_eq!(trace("p1")["suppressed"], true);
    assert_eq!(traced(&project, "p2")["suppressed"], false);
}

#[test]
fn the_printed_sql_takes_rows_below_those_of_another_batch_first() {
    let (database, project) = project();
    let args = ["privacy", "erase", "--domain", "patient"];
    let script = with_id(&project, &args, "p1").code(0).stdout;
    let last_part = script.rfind("DELETE FROM \"public\".\"parts\"").unwrap();
    let first_lab = script.find("DELETE FROM \"public\".\"labs\"").unwrap();
    assert!(last_part < first_lab, "{script}");
    assert!(!script.contains("owner_type"), "{script}");
    assert_eq!(database.count("labs"), 4);
}
