//! `pipeline source add` on files that hold several kinds of records, and `--update` of a source that declares kinds or
//! takes fields from a shared file.
use serde_json::{Value, json};

use crate::harness::{Database, Project};
use crate::source_add::{holds_every_scalar, lines, resources, scalars};

/// The number of observations whose patient is there, by the masked ids.
const JOINED: &str = "select count(*)::text from observations o join patients p on o.subject_id = p.patient_id";

fn has_kinds(project: &Project, source: &str) {
    let yaml = project.read(&format!("pipelines/{source}.yaml"));
    for part in [
        "\nkinds:\n",
        "  patient:\n    where: {resourceType: Patient}\n    subject: id\n    schema:\n",
        "  observation:\n    where: {resourceType: Observation}\n    subject: subject.reference\n",
        "      id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\n",
        "reference: {type: reference, required: true, phi: identifier, mask: hash}\n",
        "effectiveDateTime: {type: timestamptz, required: true, phi: date, mask: date_shift}\n",
        "    conserves:\n      observations: $\n",
        "on_unknown_kind: warn\n",
    ] {
        assert!(yaml.contains(part), "{part} is not in\n{yaml}");
    }
    for value in ["p1", "loinc", "1970"] {
        assert!(!yaml.contains(value), "{value} is in\n{yaml}");
    }
}

#[test]
fn resources_of_a_bundle_become_kinds_whose_tables_join() {
    let entries: Vec<Value> = resources().iter().map(|one| json!({"resource": one})).collect();
    let bundle = json!({"resourceType": "Bundle", "entry": entries}).to_string();
    let project = holds_every_scalar("bundle", &[("20230501/b.json", &bundle)], scalars(&json!(resources())));
    has_kinds(&project, "bundle");
    let sql = project.read("sql/bundle/observations.sql");
    assert!(sql.contains("    subject['reference']['id'] as subject_id,"), "{sql}");
    assert!(sql.contains("\nfrom observation\n"), "{sql}");
    // The masked ids of a patient and of what refers to that patient are the same.
    let project = Project::new().file("in/20230501/b.json", &bundle);
    let add = ["source", "add", "bundle", "--from", "in", "--entities", "new"];
    project.run(&add).code(0);
    project.load("bundle", "20230501");
    assert_eq!(project.query(JOINED), ["20"]);
    assert_eq!(
        project.query("select distinct subject_type, resource_type from observations"),
        ["Patient,Observation"]
    );
}

#[test]
fn bulk_files_of_one_type_each_become_kinds() {
    let of = |skip: usize| -> Vec<Value> { resources().into_iter().skip(skip).step_by(2).collect() };
    let files = [
        ("20230501/Patient.ndjson", lines(&of(0))),
        ("20230501/Observation.ndjson", lines(&of(1))),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let project = holds_every_scalar("bulk", &files, scalars(&json!(resources())));
    has_kinds(&project, "bulk");
}

fn events() -> Vec<Value> {
    let of = |n: u32| {
        [
            json!({"meta": {"event": "secret-admission"}, "id": format!("a{n}"), "ward": "w"}),
            json!({"meta": {"event": "secret lab"}, "id": format!("l{n}"), "values": [{"code": "c", "result": n}]}),
        ]
    };
    (0..12).flat_map(of).collect()
}

/// The values of a field are data, unless the user says that they tell kinds.
#[test]
fn the_values_that_tell_kinds_are_written_only_where_the_user_names_their_field() {
    let sample = lines(&events());
    let plain = holds_every_scalar("plain", &[("20230501/e.ndjson", &sample)], scalars(&json!(events())));
    let yaml = plain.read("pipelines/plain.yaml");
    assert!(!yaml.contains("kinds:") && !yaml.contains("secret"), "{yaml}");

    let database = Database::fresh();
    let project = Project::new().on(&database).file("in/20230501/e.ndjson", &sample);
    let args = [
        "source",
        "add",
        "feed",
        "--from",
        "in",
        "--entities",
        "new",
        "--kind-by",
        "meta.event",
    ];
    project.run(&args).code(0);
    let yaml = project.read("pipelines/feed.yaml");
    for part in [
        "  secret_admission:\n    where: {meta.event: secret-admission}\n",
        "  secret_lab:\n    where: {meta.event: secret lab}\n",
    ] {
        assert!(yaml.contains(part), "{part} is not in\n{yaml}");
    }
    project.run(&["check"]).code(0);
    project.run(&["migrate"]).code(0);
    project.load("feed", "20230501");
    assert_eq!(
        (
            database.count("secret_admissions"),
            database.count("secret_labs"),
            database.count("values")
        ),
        (12, 12, 12)
    );
}

#[test]
fn a_field_that_tells_no_kinds_is_refused_without_its_values() {
    let many: Vec<Value> = (0..70)
        .map(|n| json!({"id": n, "type": format!("secret{n}")}))
        .collect();
    let project = Project::new()
        .file("in/20230501/e.ndjson", lines(&many))
        .file("csv/20230501/e.csv", "id,type\n1,a\n2,b\n");
    let add = |from: &str, field: &str| {
        let args = [
            "source",
            "add",
            "feed",
            "--from",
            from,
            "--entities",
            "new",
            "--kind-by",
            field,
        ];
        let outcome = project.run(&args).code(2).output_lacks("secret");
        assert!(!project.path("pipelines").exists());
        outcome.message()
    };
    insta::assert_snapshot!(add("in", "type"), @"
    error: `type` has more than 60 different values, or one that is empty or longer than 64 characters
    hint: name a field with `--kind-by` that has one value for each kind of records
    ");
    insta::assert_snapshot!(add("in", "meta.kind"), @"
    error: no record of the sample has a text or a number in `meta.kind`
    hint: `--kind-by` names a field of the records, or a path through structs: meta.source
    ");
    insta::assert_snapshot!(add("csv", "type"), @"
    error: kinds of records are told apart in JSON only, and the sample is csv
    hint: declare the kinds by hand; `--update --kind NAME` takes a sample of one kind
    ");
}

/// Entities of the project are filled from the kind that fits each best. A kind that fits none is named.
#[test]
fn kinds_fill_the_entities_that_exist() {
    let outside = Project::new();
    outside.run(&["init", "p"]).code(0);
    let entries: Vec<Value> = (0..12)
        .flat_map(|n| {
            [
                json!({"resource": {"resourceType": "Patient", "id": format!("p{n}"), "name": "Secret", "birthDate": "1970-01-01"}}),
                json!({"resource": {"resourceType": "Basic", "id": format!("b{n}"), "size": n}}),
            ]
        })
        .collect();
    let bundle = json!({"resourceType": "Bundle", "entry": entries}).to_string();
    let project = Project::copy_of(&outside.path("p")).file("in/20230501/b.json", bundle);
    let added = project
        .run(&["source", "add", "fhir", "--from", "in"])
        .code(0)
        .output_lacks("Secret");
    let message = added.message();
    assert!(
        message.contains(
            "no table takes records of the kinds basic, so they are not declared; `--entities new` makes tables"
        ),
        "{message}"
    );
    let yaml = project.read("pipelines/fhir.yaml");
    assert!(yaml.contains("  patient:\n") && !yaml.contains("  basic:\n"), "{yaml}");
    project.run(&["check"]).code(0);
    project.load("fhir", "20230501");
    assert_eq!(
        project.query("select count(*)::text from patients where source = 'fhir'"),
        ["12"]
    );
}

const KINDS: &str = "\
name: feed
input: {path: \"in/{date:%Y%m%d}/*\", format: ndjson}
kinds:
  admission:
    where: {event: admission}
    schema:
      event: string
      id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}
      ward: string # where to
  lab:
    where: {event: lab}
    schema: {event: string, id: string, result: int}
";

fn feed() -> Project {
    Project::new()
        .file("pipeline.yaml", "entities:\n  admissions:\n    columns: {ward: text}\n  labs:\n    columns: {result: \"numeric(30,6)\"}\n")
        .file("pipelines/feed.yaml", KINDS)
        .file("sql/feed/admissions.sql", "select ward from admission\n")
        .file("sql/feed/labs.sql", "select result from lab\n")
        .file(
            "migrations/V1__t.sql",
            "create table admissions (ward text, source text not null, batch_date date not null) partition by list (source);\n\
             create table labs (result numeric(30,6), source text not null, batch_date date not null) partition by list (source);\n",
        )
}

const UPDATE: [&str; 6] = ["source", "add", "feed", "--update", "--from", "newer"];

#[test]
fn each_kind_is_compared_with_its_own_records() {
    let newer = [
        json!({"event": "admission", "id": "p1", "ward": 7}),
        json!({"event": "lab", "id": "p1", "result": 5_000_000_000_u64, "unit": "mg"}),
        json!({"event": "secret", "id": "p1"}),
    ];
    let project = feed().file("newer/x.ndjson", lines(&newer));
    project.run(&["check"]).code(0);
    let shown = project.run(&UPDATE).code(0).output_lacks("secret");
    insta::assert_snapshot!(format!("{}{}", shown.stdout, shown.message()), @r"
    widened   pipelines/feed.yaml:9  admission: $.ward: a string or a number: number once (first in record 1)
    widened   pipelines/feed.yaml:12  lab: $.result: int becomes bigint
    added     pipelines/feed.yaml:12  lab: $.unit: in 1 of 1 object: unit: string

    --- pipelines/feed.yaml
    +++ pipelines/feed.yaml
    @@ -7,6 +7,6 @@
           event: string
           id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}
    -      ward: string # where to
    +      ward: {type: string, from: [string, number]} # where to
       lab:
         where: {event: lab}
    -    schema: {event: string, id: string, result: int}
    +    schema: {event: string, id: string, result: bigint, unit: string}
    3 records in 1 file were looked at.
    note: 1 record of no declared kind
    note: no SQL of sql/feed reads lab: $.unit
    3 differences. Nothing is written yet; `--yes` writes it.
    ");
    project.run(&[&UPDATE[..], &["--yes"]].concat()).code(0);
    let yaml = project.read("pipelines/feed.yaml");
    assert!(
        yaml.contains("ward: {type: string, from: [string, number]} # where to"),
        "{yaml}"
    );
    project.run(&["check"]).code(0);
}

#[test]
fn the_kind_of_a_sample_can_be_named() {
    let newer = [json!({"id": "p1", "result": 1, "unit": "mg"})];
    let project = feed().file("newer/x.ndjson", lines(&newer));
    let message = |more: &[&str]| {
        let outcome = project.run(&[&UPDATE[..], more].concat()).code(2);
        outcome.message()
    };
    insta::assert_snapshot!(message(&[]), @"
    error: no record of the sample is of a kind that feed declares
    hint: `--kind NAME` says of which kind all records of the sample are: admission and lab
    ");
    insta::assert_snapshot!(message(&["--kind", "labs"]), @"
    error: feed declares no kind `labs`
    hint: its kinds are admission and lab
    ");
    let shown = project.run(&[&UPDATE[..], &["--kind", "lab"]].concat()).code(0);
    shown.stdout_contains("added     pipelines/feed.yaml:12  lab: $.unit: in 1 of 1 object");
}

/// What a shared file declares stays, since other sources use it. The source lays its own keys over it.
#[test]
fn shared_fields_are_widened_in_the_source_that_uses_them() {
    let project = feed()
        .file("schemas/base.yaml", "id: {type: string, required: true}\nward: string\nstays:\n  list:\n    no: int\n    room: {struct: {floor: int}}\n")
        .file(
            "pipelines/feed.yaml",
            "name: feed\ninput: {path: \"in/{date:%Y%m%d}/*\", format: ndjson}\nschema:\n  use: schemas/base.yaml\n  result: int\n\
             # The end.\non_unknown_field: fail\n",
        )
        .file("sql/feed/admissions.sql", "select ward from source\n")
        .file("sql/feed/labs.sql", "select result from source\n");
    let newer = [
        json!({"ward": 7, "result": 1, "stays": [{"no": 5_000_000_000_u64, "bed": "b", "room": {"floor": "x1", "door": 2}}]}),
        json!({"id": "a", "ward": "w", "result": 2.5, "stays": []}),
    ];
    project.write("newer/x.ndjson", lines(&newer));
    project.run(&["check"]).code(0);
    let shared = project.read("schemas/base.yaml");
    let shown = project.run(&[&UPDATE[..], &["--yes"]].concat()).code(0);
    insta::assert_snapshot!(format!("{}{}", shown.stdout, shown.message()), @r#"
    widened   schemas/base.yaml:1  $.id: required becomes optional: missing or null in 1 of 2 objects
    widened   schemas/base.yaml:2  $.ward: a string or a number: number once (first in record 1), string once (first in record 2)
    widened   schemas/base.yaml:5  $.stays[].no: int becomes bigint
    differs   schemas/base.yaml:6  $.stays[].room.floor: declared as an int, and it is string once (first in record 1), not all of them numbers
    added     schemas/base.yaml:6  $.stays[].room.door: in 1 of 1 object: door: int
    added     schemas/base.yaml:5  $.stays[].bed: in 1 of 1 object: bed: string
    widened   pipelines/feed.yaml:5  $.result: int becomes decimal(11,1)

    --- pipelines/feed.yaml
    +++ pipelines/feed.yaml
    @@ -3,5 +3,8 @@
     schema:
       use: schemas/base.yaml
    -  result: int
    +  result: "decimal(11,1)"
    +  id: {required: false}
    +  ward: {from: [string, number]}
    +  stays: {list: {"no": {type: bigint}, room: {struct: {door: int}}, bed: string}}
     # The end.
     on_unknown_field: fail
    2 records in 1 file were looked at.
    note: no SQL of sql/feed reads $.stays[].room.door, $.stays[].bed
    7 differences. written  pipelines/feed.yaml
    "#);
    assert_eq!(project.read("schemas/base.yaml"), shared);
    project.run(&["check"]).code(0);
    let again = project.run(&[&UPDATE[..], &["--yes"]].concat()).code(0);
    insta::assert_snapshot!(format!("{}{}", again.stdout, again.message()), @r"
    differs   schemas/base.yaml:6  $.stays[].room.floor: declared as an int, and it is string once (first in record 1), not all of them numbers
    2 records in 1 file were looked at.
    1 difference. None of them changes the file.
    ");
}
