//! Sources that hold several kinds of records: each kind has its own schema, masks and account, and is a table to SQL.
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::harness::{Database, Outcome, Project, everything, hashed, padded, server, talkative};

const DATE: &str = "2023-05-01";

/// `code` is a text in one kind and a number in the other; `name` is masked in one of them.
const KINDS: &str = "\
kinds:
  patient:
    where: {type: [Patient, Person]}
    subject: id
    schema:
      id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}
      name: {type: string, phi: name, mask: redact}
      code: string
      born: {type: date, phi: date, mask: date_shift}
    conserves: {patients: $}
  lab:
    where: {type: Lab}
    subject: patient.reference
    schema:
      patient: {struct: {reference: {type: string, phi: identifier, mask: hash, domain: patient}}}
      name: string
      code: bigint
      taken: {type: date, phi: date, mask: date_shift}
      parts: {list: {n: int}}
    conserves: {parts: \"parts[]\"}
";

fn project(database: &Database, input: &str, rest: &str) -> Project {
    let table = |name: &str, columns: &str| {
        format!(
            "create table {name} ({columns}, source text not null, batch_date date not null) partition by list (source);\n"
        )
    };
    let project = Project::new()
        .file(
            "pipeline.yaml",
            "name: kinds\nentities:\n  patients:\n    columns: {id: text, name: text, code: text, born: date}\n  labs:\n    \
             columns: {id: text, name: text, code: int8, taken: date, owner: text}\n  parts:\n    columns: {id: text, n: int4}\n",
        )
        .file(
            "pipelines/clinic.yaml",
            format!("name: clinic\ninput:\n  path: in/{{date:%Y-%m-%d}}.txt\n{input}{KINDS}{rest}"),
        )
        .file("sql/clinic/patients.sql", "select id, name, code, born from patient\n")
        .file(
            "sql/clinic/labs.sql",
            "select l.patient['reference'] as id, l.name, l.code, l.taken, p.code as owner\nfrom lab l left join patient p on \
             p.id = l.patient['reference']\n",
        )
        .file(
            "sql/clinic/parts.sql",
            "with p as (select patient['reference'] as id, unnest(parts) as item from lab) select id, item['n'] as n from p\n",
        )
        .file(
            "migrations/V1__tables.sql",
            [
                table("patients", "id text, name text, code text, born date"),
                table("labs", "id text, name text, code int8, taken date, owner text"),
                table("parts", "id text, n int4"),
            ]
            .concat(),
        )
        .on(database);
    project.run(&["migrate"]).code(0);
    project
}

fn load(project: &Project, text: impl AsRef<[u8]>) -> Outcome {
    project.write(&format!("in/{DATE}.txt"), text);
    project.run(&["run", "--source", "clinic", "--date", DATE])
}

fn records() -> Vec<Value> {
    vec![
        json!({"type": "Patient", "id": "p1", "name": "Anna", "code": "x", "born": "1970-01-10"}),
        json!({"code": 7, "patient": {"reference": "p1"}, "name": "Sodium", "type": "Lab", "taken": "1970-01-31",
            "parts": [{"n": 1}, {"n": 2}]}),
        json!({"type": "Person", "id": "p2", "name": "Bert", "code": "y"}),
        json!({"type": "Lab", "patient": {"reference": "p2"}, "code": 8}),
    ]
}

#[test]
fn each_kind_is_a_table_with_its_own_types_and_masks() {
    // With large input, and with input that is kept in memory.
    for text in [json!(records()).to_string(), padded(json!(records()).to_string())] {
        let database = Database::fresh();
        let project = project(&database, "", "");
        let run = load(&project, text).code(0);
        let (one, two) = (hashed("p1"), hashed("p2"));
        assert_eq!(
            database.rows("select id || '|' || (name <> 'Anna') || '|' || code from patients order by code"),
            [format!("{one}|true|x"), format!("{two}|true|y")]
        );
        // The join reads both kinds.
        assert_eq!(
            database
                .rows("select id || '|' || coalesce(name, '-') || '|' || code || '|' || owner from labs order by code"),
            [format!("{one}|Sodium|7|x"), format!("{two}|-|8|y")]
        );
        assert_eq!(database.rows("select n::text from parts order by n"), ["1", "2"]);
        // The dates of one person move alike in both kinds.
        assert_eq!(
            database
                .rows("select (l.taken - p.born)::text from labs l join patients p on p.id = l.id where l.code = 7"),
            ["21"]
        );
        assert_eq!(
            database.value("select account -> 'kinds' from pipeline.runs"),
            r#"{"lab": {"read": 2, "accepted": 2, "quarantined": 0}, "patient": {"read": 2, "accepted": 2, "quarantined": 0}}"#
        );
        assert!(!run.stderr.contains("undeclared"), "{}", run.stderr);
    }
}

#[test]
fn a_kind_has_checks_of_its_own() {
    let database = Database::fresh();
    let project = project(&database, "", "max_quarantined: 50%\n");
    let checks = "    checks: {patients: [{accepted_values: {column: code, values: [x]}}]}\n  lab:\n";
    project.edit("pipelines/clinic.yaml", "  lab:\n", checks);
    load(&project, json!(records()).to_string()).code(0);
    assert_eq!(database.rows("select code from patients"), ["x"]);
    assert_eq!(database.count("labs"), 2);
    assert_eq!(
        database.rows("select entity, check_name like '%accepted_values%' from pipeline.quarantine"),
        ["patients|t"]
    );
}

#[test]
fn the_embedded_database_loads_kinds_one_after_the_other() {
    let database = Database::fresh();
    let project = project(&database, "", "").env("DATABASE_URL", "");
    let run = load(&project, json!(records()).to_string()).code(0);
    assert!(run.stdout.contains("loaded"), "{}", run.stdout);
    assert_eq!(project.query("select count(*) from labs"), ["2"]);
}

#[test]
fn csv_and_a_header_serve_two_kinds() {
    let database = Database::fresh();
    let project = project(&database, "  format: csv\n", "");
    project.edit("pipelines/clinic.yaml", KINDS, CSV_KINDS);
    project.write("sql/clinic/parts.sql", "select id, cast(1 as int) as n from lab\n");
    project.write(
        "sql/clinic/labs.sql",
        "select id, name, code, cast(null as date) as taken, cast(null as varchar) as owner from lab\n",
    );
    load(
        &project,
        "type,id,name,code,born\nPatient,p1,Anna,x,1970-01-10\nLab,p1,Sodium,7,\n",
    )
    .code(0);
    assert_eq!(database.rows("select code from patients"), ["x"]);
    assert_eq!(database.rows("select code::text from labs"), ["7"]);
}

const CSV_KINDS: &str = "\
kinds:
  patient: {where: {type: Patient}, schema: {id: string, name: string, code: string, born: date}}
  lab: {where: {type: Lab}, schema: {id: string, name: string, code: bigint}}
";

/// Values that stand under a masked field of one kind: in a record of no kind, of another kind, and in damaged ones.
fn hostile() -> String {
    let records = [
        json!({"type": "Patient", "id": "p1", "name": "QKINDQ-1"}).to_string(),
        json!({"type": "QKINDQ-2", "id": "QKINDQ-3", "name": "QKINDQ-4"}).to_string(),
        json!({"type": "Lab", "id": "QKINDQ-5", "born": "QKINDQ-6", "code": 1}).to_string(),
        json!({"type": "Lab", "code": "QKINDQ-7"}).to_string(),
        r#"{"type": "Patient", "id": "QKINDQ-8", "name": QKINDQ-9}"#.to_owned(),
        r#"{"ty": "QKINDQ-10", "name": QKINDQ-11}"#.to_owned(),
        json!({"id": "QKINDQ-12", "name": "QKINDQ-13"}).to_string(),
        json!(["QKINDQ-14"]).to_string(),
    ];
    records.join("\n")
}

#[test]
fn no_value_leaves_through_another_kind_or_damage() {
    for rest in ["", "on_unknown_kind: ignore\n", "on_unknown_kind: fail\n"] {
        let database = Database::fresh();
        talkative(&database);
        let limit = "max_quarantined: 100%\n";
        let project = project(&database, "  format: ndjson\n", &format!("{limit}{rest}"));
        let run = load(&project, hostile()).code(i32::from(rest.contains("fail")));
        assert!(!everything(&database).contains("QKINDQ"));
        assert!(!server().log().contains("QKINDQ"));
        assert!(!format!("{}{}", run.stdout, run.stderr).contains("QKINDQ"));
        for args in [
            &["quarantine", "list", "--output", "json"][..],
            &["preview", "--source", "clinic", "--date", DATE, "--refused"],
            &["status", "--output", "json"],
        ] {
            project.run(args).output_lacks("QKINDQ");
        }
        if rest.is_empty() {
            assert_eq!(
                database.value("select account -> 'records' from pipeline.runs"),
                r#"{"read": 8, "accepted": 2, "quarantined": 4}"#
            );
            assert_eq!(
                database.value("select account -> 'unknown_kinds' -> 'count' from pipeline.runs"),
                "2"
            );
            assert!(run.stderr.contains("of no declared kind"), "{}", run.stderr);
            assert!(run.stderr.contains("(none): 1"), "{}", run.stderr);
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_told_in_the_encoding_of_the_source() {
    let database = Database::fresh();
    let input = "  format: ndjson\n  encoding: windows-1252\n";
    let project = project(&database, input, "max_quarantined: 100%\n");
    // The kind is read before the damage, and can't be read behind it.
    let damaged = b"{\"type\": \"Patient\", \"id\": \"\x81\"}\n{\"\x81\": 1, \"type\": \"Lab\"}\n";
    let whole = b"{\"type\": \"Patient\", \"id\": \"a\", \"code\": \"J\xFCrgen\"}\n";
    load(&project, [&damaged[..], whole].concat()).code(0);
    assert_eq!(database.rows("select code from patients"), ["Jürgen"]);
    assert_eq!(
        database.rows("select record, reason from pipeline.quarantine order by record"),
        [1, 2].map(|record| format!("{record}|not valid windows-1252: a byte that stands for no character"))
    );
}

#[test]
fn a_kind_that_is_lost_fails_the_batch_although_the_whole_is_within_its_limit() {
    let database = Database::fresh();
    let project = project(&database, "", "max_quarantined: 5%\n");
    let many = (0..200).map(|n| json!({"type": "Lab", "code": n}));
    let broken = json!({"type": "Patient", "id": "p1", "born": "no date"});
    let run = load(&project, json!(many.chain([broken]).collect::<Vec<_>>()).to_string()).code(1);
    assert!(run.stderr.contains("too much is refused: 1 of 1 "), "{}", run.stderr);
    assert_eq!(database.count("labs"), 0);
    // An entity that nothing is counted for is no excuse.
    project.write(
        "sql/clinic/patients.sql",
        "select id, name, code, born from patient where false\n",
    );
    project.edit("pipelines/clinic.yaml", "    conserves: {patients: $}\n", "");
    let run = project.run(&["run", "--source", "clinic", "--date", DATE]).code(1);
    run.stderr_contains("1 of 1 records of the kind patient, where 5% are allowed");
}

/// A limit of a kind holds beside that of the source.
#[test]
fn a_kind_may_have_a_limit_of_its_own() {
    let labs = (0..9).map(|n| json!({"type": "Lab", "code": n}));
    let records: Vec<Value> = labs.chain([json!({"type": "Lab", "code": "no number"})]).collect();
    for (limit, code) in [("9%", 1), ("10%", 0), ("0", 1), ("1", 0)] {
        let database = Database::fresh();
        let project = project(&database, "", "max_quarantined: 50%\n");
        let conserves = "    conserves: {parts: \"parts[]\"}\n";
        let own = format!("{conserves}    max_quarantined: {limit}\n");
        project.edit("pipelines/clinic.yaml", conserves, &own);
        let run = load(&project, json!(records).to_string()).code(code);
        let said = format!("too much is refused: 1 of 10 records of the kind lab, where {limit} are allowed");
        assert_eq!(run.stderr.contains(&said), code == 1, "{limit}: {}", run.stderr);
        assert_eq!(database.count("labs"), if code == 0 { 9 } else { 0 }, "{limit}");
    }
}

/// A field that another kind declares is undeclared in this one, and each kind says what becomes of such fields.
#[test]
fn undeclared_fields_are_those_of_the_kind() {
    let records = json!([
        {"type": "Patient", "id": "p1", "taken": "1970-01-31"},
        {"type": "Patient", "id": "p2", "code": "y"},
        {"type": "Lab", "code": 7, "born": "1970-01-31"},
    ])
    .to_string();
    let database = Database::fresh();
    let project = project(&database, "", "max_quarantined: 50%\n");
    let run = load(&project, &records).code(0);
    let warnings: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.contains("undeclared fields"))
        .collect();
    // `type` chooses the kind, so it needs no declaration.
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for kind in ["clinic.patient", "clinic.lab"] {
        let of_kind = warnings.iter().find(|line| line.contains(&format!("source={kind} ")));
        assert!(
            of_kind.is_some_and(|line| line.contains("path=$ count=1 ")),
            "{warnings:?}"
        );
    }
    project.edit(
        "pipelines/clinic.yaml",
        "  lab:\n",
        "  lab:\n    on_unknown_field: ignore\n",
    );
    let run = load(&project, &records).code(0);
    assert!(
        run.stderr.contains("source=clinic.patient") && !run.stderr.contains("source=clinic.lab"),
        "{}",
        run.stderr
    );
    // One that is not allowed fails the batch.
    project.edit(
        "pipelines/clinic.yaml",
        "    subject: id\n",
        "    subject: id\n    on_unknown_field: fail\n",
    );
    load(&project, &records)
        .code(1)
        .stderr_contains("$: a field that is not declared");
}

fn check(from: &str, to: &str) -> String {
    let database = Database::fresh();
    let project = project(&database, "", "");
    project.edit("pipelines/clinic.yaml", from, to);
    project.run(&["check"]).code(2).stderr
}

#[test]
fn check_finds_kinds_that_can_not_be_meant() {
    for (from, to, said) in [
        (
            "where: {type: Lab}",
            "where: {type: [Lab, Person]}",
            "a record can be of both kinds, `patient` and `lab`",
        ),
        (
            "where: {type: Lab}",
            "where: {type: Person, sub: x}",
            "a record can be of both kinds, `patient` and `lab`",
        ),
        ("  lab:\n", "  source:\n", "a kind can't be called `source`"),
        ("  lab:\n", "  patient:\n", "the key `patient` is given twice"),
        (
            "    where: {type: Lab}\n",
            "",
            "nothing says which records are of the kind `lab`",
        ),
        ("where: {type: Lab}", "where: {}", "`where` holds no condition"),
        (
            "where: {type: Lab}",
            "where: {\"type[]\": Lab}",
            "`type[]` is no path to one value",
        ),
        (
            "    subject: patient.reference\n",
            "",
            "`taken` is shifted, but nothing says whose date it is",
        ),
        (
            "subject: patient.reference",
            "subject: patient.ref",
            "the subject `patient.ref` is no field of clinic.lab",
        ),
        ("kinds:\n", "subject: id\nkinds:\n", "`subject` stands beside `kinds`"),
        ("  lab:\n", "  labs:\n", "did you mean `labs`?"),
        (
            "kinds:\n",
            "kinds:\n  other: {where: {type: Other}, schema: {id: string}}\n",
            "no transform of clinic reads the kind `other`",
        ),
    ] {
        let stderr = check(from, to);
        assert!(stderr.contains(said), "{to}: {stderr}");
    }
    let database = Database::fresh();
    let project = project(&database, "", "");
    project.run(&["check"]).code(0);
    project.write("sql/clinic/patients.sql", "select id, name, code, born from source\n");
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("a transform reads the tables `patient` and `lab`");
}

/// Which kind a record is of tells its value, before any mask.
#[test]
fn a_masked_field_chooses_no_kind() {
    for (from, to, said) in [
        // `name` is masked in `patient` alone.
        (
            "where: {type: Lab}",
            "where: {name: Smith}",
            "`name`, which `mask: redact` hides",
        ),
        (
            "where: {type: Lab}",
            "where: {type: Lab, patient.reference: p1}",
            "`patient.reference`, which `mask: hash` hides",
        ),
        // A value within a masked document, and free text that has no mask of its own.
        (
            "      name: string\n      code: bigint\n",
            "      name: string\n      type: {type: json, phi: free_text}\n      code: bigint\n",
            "`type`, which `mask: null` hides",
        ),
        (
            "where: {type: Lab}\n    subject: patient.reference\n    schema:\n",
            "where: {doc.kind: Lab}\n    subject: patient.reference\n    schema:\n      doc: {type: json, phi: quasi, mask: hash}\n",
            "`doc.kind`, which `mask: hash` hides",
        ),
        (
            "where: {type: Lab}\n    subject: patient.reference\n    schema:\n",
            "where: {born: 1970-01-01}\n    subject: patient.reference\n    schema:\n",
            "`born`, which `mask: date_shift` hides",
        ),
    ] {
        let stderr = check(from, to);
        assert!(stderr.contains(said), "{to}: {stderr}");
    }
    // What is kept may choose.
    let database = Database::fresh();
    let project = project(&database, "", "");
    project.edit(
        "pipelines/clinic.yaml",
        "      name: string\n",
        "      name: string\n      type: {type: string, phi: quasi, mask: keep, reason: it names the kind}\n",
    );
    project.run(&["check"]).code(0);
}

#[test]
fn lineage_names_the_field_that_chooses_the_kind() {
    let database = Database::fresh();
    let project = project(&database, "", "");
    project.write(
        "sql/clinic/patients.sql",
        "select id, name, 'is a patient' as code, born from patient\n",
    );
    project
        .run(&["lineage", "patients.code"])
        .code(0)
        .stdout_contains("patient.type (indirect)");
    // Also below a struct, whether the field is declared or not.
    project.edit(
        "pipelines/clinic.yaml",
        "where: {type: Lab}",
        "where: {type: Lab, meta.from: x}",
    );
    let json = project.run(&["lineage", "labs.code", "--output", "json"]).code(0);
    assert!(json.stdout.contains("lab.meta.from"), "{}", json.stdout);
    // A field that chooses a kind and is not declared has no class.
    let report = project.run(&["privacy", "report"]).code(0).stdout;
    let unclassed = report.split("without a class, and in a table").nth(1).unwrap();
    assert!(
        unclassed.contains("lab.meta.from (no mask)") && unclassed.contains("patient.type (no mask)"),
        "{report}"
    );
    project.edit(
        "pipelines/clinic.yaml",
        "      code: string\n",
        "      code: string\n      type: {type: string, phi: quasi, mask: keep, reason: it names the kind}\n",
    );
    project
        .run(&["privacy", "report"])
        .code(0)
        .stdout_contains("patient.type (mask keep)\n   └─ tables, indirect: patients, labs");
}

#[test]
fn a_record_of_two_kinds_by_different_fields_is_refused() {
    let database = Database::fresh();
    let project = project(&database, "", "max_quarantined: 100%\n");
    project.edit("pipelines/clinic.yaml", "where: {type: Lab}", "where: {event: lab}");
    let records = json!([{"type": "Patient", "id": "p1", "event": "lab"}, {"event": "lab", "code": 1}]);
    load(&project, records.to_string()).code(0);
    assert_eq!(
        database.rows("select reason from pipeline.quarantine"),
        ["the record is of two kinds, patient and lab"]
    );
    assert_eq!((database.count("patients"), database.count("labs")), (0, 1));
}

#[test]
fn a_record_of_a_kind_fulfils_all_its_conditions() {
    let database = Database::fresh();
    let project = project(&database, "", "");
    project.edit(
        "pipelines/clinic.yaml",
        "where: {type: Lab}",
        "where: {type: Lab, meta.from: [x, 7]}",
    );
    let lab = |code: u8, from: Value| json!({"type": "Lab", "code": code, "meta": {"from": from}});
    let records = json!([
        lab(1, json!("x")),
        lab(2, json!("y")),
        lab(3, json!(7)),
        lab(4, json!({"x": "x"})),
        lab(5, Value::Null),
        {"type": "Lab", "code": 6, "from": "x"},
        {"type": "Visit", "code": 7, "meta": {"from": "x"}},
    ]);
    load(&project, records.to_string()).code(0);
    assert_eq!(database.rows("select code::text from labs order by 1"), ["1", "3"]);
    let unknown = "select account -> 'unknown_kinds' -> 'count' from pipeline.runs";
    assert_eq!(database.value(unknown), "5");
}

#[test]
fn lineage_and_the_privacy_report_tell_kinds_apart() {
    let database = Database::fresh();
    let project = project(&database, "", "");
    let lineage = project.run(&["lineage", "labs.owner"]).code(0);
    assert!(lineage.stdout.contains("patient.code"), "{}", lineage.stdout);
    assert!(!lineage.stdout.contains("lab.code"), "{}", lineage.stdout);
    let report = project.run(&["privacy", "report"]).code(0);
    assert!(report.stdout.contains("patient.name"), "{}", report.stdout);
    assert!(report.stdout.contains("lab.patient.reference"), "{}", report.stdout);
    // Masks are remembered by kind: another mask of one kind makes its batch stale.
    load(&project, json!(records()).to_string()).code(0);
    project.edit(
        "pipelines/clinic.yaml",
        "name: {type: string, phi: name, mask: redact}",
        "name: {type: string, phi: name, mask: hash}",
    );
    project
        .run(&["run", "--stale-masks"])
        .code(0)
        .stdout_contains("2023-05-01");
    assert_eq!(database.rows("select length(name)::text from patients"), ["32", "32"]);
}

#[test]
fn previews_and_test_cases_route_records_as_a_run_does() {
    let database = Database::fresh();
    let project = project(&database, "", "");
    project.write(&format!("in/{DATE}.txt"), json!(records()).to_string());
    let preview = project
        .run(&[
            "preview", "--source", "clinic", "--date", DATE, "--entity", "labs", "--output", "json",
        ])
        .code(0);
    assert!(preview.stdout.contains("Sodium"), "{}", preview.stdout);
    project.write(
        "sql/clinic/tests/kinds.yaml",
        "tests:\n  - name: two kinds\n    date: 2023-05-01\n    records:\n      - {type: Patient, id: p1, code: x}\n      \
         - {type: Lab, code: 7, patient: {reference: p1}}\n      - {type: Other, what: 1}\n    rows:\n      labs: [{code: 7, owner: x}]\n",
    );
    project.run(&["test"]).code(0);
    project.edit(
        "sql/clinic/tests/kinds.yaml",
        "{type: Lab, code: 7,",
        "{type: Lab, code: 7, id: 1,",
    );
    project
        .run(&["test"])
        .code(2)
        .stderr_contains("the source declares no field `id` here");
}

#[test]
fn a_path_can_tell_the_kind_of_its_records() {
    let database = Database::fresh();
    let project = project(&database, "", "");
    project.edit(
        "pipelines/clinic.yaml",
        "  path: in/{date:%Y-%m-%d}.txt\n",
        "  format: ndjson\n  on_missing: skip\n  path:\n    - {path: \"in/{date:%Y-%m-%d}/Patient*.ndjson\", kind: patient}\n    - {path: \
         \"in/{date:%Y-%m-%d}/Lab.ndjson\", kind: lab}\n",
    );
    project.edit("pipelines/clinic.yaml", "    where: {type: [Patient, Person]}\n", "");
    let run = || project.run(&["run", "--source", "clinic", "--date", DATE]);
    project.write(&format!("in/{DATE}/Patient.1.ndjson"), r#"{"id": "p1", "code": "x"}"#);
    project.write(&format!("in/{DATE}/Patient.2.ndjson"), r#"{"id": "p2", "code": "y"}"#);
    // A kind that has conditions as well must fulfil them.
    project.write(
        &format!("in/{DATE}/Lab.ndjson"),
        "{\"type\": \"Lab\", \"code\": 7, \"patient\": {\"reference\": \"p1\"}}\n{\"type\": \"Patient\", \"code\": 8}\n",
    );
    run().code(0).stderr_contains("of no declared kind");
    assert_eq!(database.rows("select code from patients order by 1"), ["x", "y"]);
    assert_eq!(database.rows("select code || owner from labs"), ["7x"]);
    // A file that is not there is told; `fail` is the default.
    project.remove(&format!("in/{DATE}/Lab.ndjson"));
    run().code(0).stderr_contains("the input has no file here");
    assert_eq!(database.count("labs"), 0);
    project.write(
        "sql/clinic/tests/paths.yaml",
        "tests:\n  - name: by path\n    date: 2023-05-01\n    records:\n      patient: [{id: p1, code: x}]\n      lab: [{type: Lab, code: \
         7, patient: {reference: p1}}]\n    rows:\n      labs: [{code: 7, owner: x}]\n",
    );
    project.run(&["test"]).code(0);
    let create = [
        "test", "create", "--source", "clinic", "--date", DATE, "--record", "1", "--name", "made",
    ];
    project.run(&create).code(0);
    assert!(
        project
            .read("sql/clinic/tests/made.yaml")
            .contains("      patient:\n        - ")
    );
    project.run(&["test"]).code(0);
    project.edit("pipelines/clinic.yaml", "  on_missing: skip\n", "");
    run().code(1).stderr_contains("is missing: in/2023-05-01/Lab.ndjson");
    project.edit("pipelines/clinic.yaml", "/Lab.ndjson", "/Patient.2.ndjson");
    run().code(1).stderr_contains("two paths of clinic match one file");
}

/// A sender renames a kind. What is there stays, and nobody needs to read a warning.
#[test]
fn unknown_records_in_place_of_a_whole_kind_fail_the_batch() {
    for rest in ["", "on_unknown_kind: ignore\n"] {
        let database = Database::fresh();
        let project = project(&database, "", rest);
        let lab = |number: usize| json!({"type": "Lab", "code": number});
        let patient = |of: &str, id: &str| json!({"type": of, "id": id});
        load(
            &project,
            json!([patient("Patient", "p1"), lab(1), {"type": "Visit"}]).to_string(),
        )
        .code(0);
        let renamed = |kinds: &[&str]| {
            let records = kinds.iter().map(|of| patient(of, "p1")).chain([lab(1), lab(2)]);
            json!(records.collect::<Vec<Value>>()).to_string()
        };
        let next = |date: &str, text: String| {
            project.write(&format!("in/{date}.txt"), text);
            project.run(&["run", "--source", "clinic", "--date", date])
        };
        // On the same day, and on the next.
        for date in [DATE, "2023-05-02"] {
            let failed = next(date, renamed(&["Patients"])).code(1);
            failed
                .stderr_contains("the kind patient has no record, and 1 records are of no declared kind")
                .stderr_contains("an older batch had 1 records of patient")
                .stderr_contains("set `max_quarantined: 100%` in it");
        }
        assert_eq!(database.rows("select id from patients"), [hashed("p1")]);
        // Kinds that were there before replace nothing, and a day may lack a kind.
        next("2023-05-02", renamed(&["Visit", "Visit"])).code(0);
        next("2023-05-03", renamed(&[])).code(0);
        // The kind is remembered beyond a day without it.
        next("2023-05-04", renamed(&["Patients"])).code(1);
        next("2023-05-04", renamed(&["Patients", "Patient"])).code(0);
        // Whoever knows of it says so.
        project.edit(
            "pipelines/clinic.yaml",
            "  lab:\n",
            "    max_quarantined: 100%\n  lab:\n",
        );
        next("2023-05-05", renamed(&["Persons"])).code(0);
    }
}

/// In a first batch nothing tells whether a kind is misspelt or just missing.
#[test]
fn a_kind_without_a_record_in_a_first_batch_is_told_beside_unknown_records() {
    let database = Database::fresh();
    let project = project(&database, "", "on_unknown_kind: ignore\n");
    let run = |date: &str, kinds: &[&str]| {
        let records: Vec<Value> = kinds.iter().map(|of| json!({"type": of, "id": "p1"})).collect();
        project.write(&format!("in/{date}.txt"), json!(records).to_string());
        project.run(&["run", "--source", "clinic", "--date", date]).code(0)
    };
    let said = "no record is of the kind patient, and 1 are of no declared kind";
    run(DATE, &["Lab", "Patients"]).stderr_contains(said);
    run("2023-05-02", &["Lab", "Patients"]).output_lacks("no record is");
    run("2023-04-30", &["Person", "Patients"]).stderr_contains("no record is of the kind lab, and 1");
    run("2023-04-01", &["Visit"]).stderr_contains("no record is of the kinds patient and lab, and 1");
    run("2023-03-01", &["Lab"]).output_lacks("no record is");
    project.edit(
        "pipelines/clinic.yaml",
        "  lab:\n",
        "    max_quarantined: 100%\n  lab:\n",
    );
    run("2023-02-01", &["Lab", "Patients"]).output_lacks("no record is");
}

/// Another file stands in for all paths of a source.
#[test]
fn another_file_can_be_previewed_where_paths_tell_the_kinds() {
    let database = Database::fresh();
    let project = project(&database, "", "");
    let path = "  path: in/{date:%Y-%m-%d}.txt\n";
    project.edit(
        "pipelines/clinic.yaml",
        path,
        "  path: [{path: \"in/{date}/p.json\", kind: patient}, {path: \"in/{date}/l.json\", kind: lab}]\n",
    );
    project.write(
        "patients.json",
        json!([{"type": "Patient", "id": "p1", "code": "x"}]).to_string(),
    );
    let look = |more: &[&str]| {
        let args = [
            "preview", "--source", "clinic", "--date", DATE, "--entity", "patients", "--output", "csv",
        ];
        project.run(&[&args[..], &["--input", "patients.json"], more].concat())
    };
    // The records tell by `where`, or the kind is named.
    look(&[]).code(0).stdout_contains(",x,");
    project.edit("pipelines/clinic.yaml", "    where: {type: [Patient, Person]}\n", "");
    project.edit("pipelines/clinic.yaml", "    where: {type: Lab}\n", "");
    look(&[])
        .code(2)
        .stderr_contains("nothing says of which kind the records of --input are")
        .stderr_contains("add --kind NAME; its kinds are patient and lab");
    look(&["--kind", "patient"]).code(0).stdout_contains(",x,");
    look(&["--kind", "patent"])
        .code(2)
        .stderr_contains("did you mean `patient`?");
}

#[test]
fn check_warns_of_kinds_that_shift_one_person_by_different_domains() {
    let database = Database::fresh();
    let project = project(&database, "", "");
    project.run(&["check"]).code(0).output_lacks("shift the dates");
    project.edit(
        "pipelines/clinic.yaml",
        "{reference: {type: string, phi: identifier, mask: hash, domain: patient}}",
        "{reference: {type: string, phi: identifier, mask: hash}}",
    );
    let checked = project.run(&["check"]).code(0);
    checked
        .stderr_contains(
            "the kinds `patient` and `lab` of clinic shift the dates of one person by different numbers of days",
        )
        .stderr_contains("are patient and clinic.lab.patient.reference")
        .stdout_contains("no problem found");
    let warnings = &project.run(&["check", "--output", "json"]).code(0).json()["warnings"];
    assert_eq!(warnings[0]["file"], "pipelines/clinic.yaml", "{warnings}");
    // A reference has the domain of its type.
    let plain = "{reference: {type: string, phi: identifier, mask: hash}}";
    let labs = "select patient['reference']['id'] as id, name, code, taken, cast(null as varchar) as owner from lab\n";
    project.write("sql/clinic/labs.sql", labs);
    project.write(
        "sql/clinic/parts.sql",
        "with p as (select unnest(parts) as item from lab) select cast(null as varchar) as id, item['n'] as n from p\n",
    );
    for (to, warns) in [
        ("", false),
        (", to: Patient", false),
        (", to: [Group, Patient]", false),
        (", to: Group", true),
        (", to: Group, domain: patient", false),
    ] {
        let reference = format!("{{reference: {{type: reference{to}, phi: identifier, mask: hash}}}}");
        project.edit("pipelines/clinic.yaml", plain, &reference);
        let checked = project.run(&["check"]).code(0);
        assert_eq!(
            checked.stderr.contains("are patient and group"),
            warns,
            "{to}: {}",
            checked.stderr
        );
        assert_eq!(
            checked.stderr.contains("shift the dates"),
            warns,
            "{to}: {}",
            checked.stderr
        );
        project.edit("pipelines/clinic.yaml", &reference, plain);
    }
}

/// Kinds of a Parquet file: told by a field of a struct, each with its columns, masks and account.
#[test]
fn parquet_serves_two_kinds() {
    let texts = |values: &[Option<&str>]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let kind = texts(&[Some("Patient"), Some("Lab"), Some("Other"), None, Some("Lab")]);
    let meta = StructArray::from(vec![(Arc::new(Field::new("kind", DataType::Utf8, true)), kind)]);
    let columns: [(&str, ArrayRef); 5] = [
        ("meta", Arc::new(meta)),
        ("id", texts(&[Some("p1"), Some("l1"), Some("o1"), Some("n1"), None])),
        (
            "name",
            texts(&[
                Some("QKINDQ-1"),
                Some("Sodium"),
                Some("QKINDQ-2"),
                Some("QKINDQ-3"),
                Some("QKINDQ-4"),
            ]),
        ),
        (
            "code",
            Arc::new(Int64Array::from(vec![None, Some(7), Some(1), Some(2), Some(8)])),
        ),
        (
            "born",
            Arc::new(Date32Array::from(vec![Some(10), Some(20), None, None, None])),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let file = writer.into_inner().unwrap();

    let database = Database::fresh();
    let project = project(&database, "  format: parquet\n", "max_quarantined: {records: 100%}\n");
    let kinds = "kinds:
  patient:
    where: {meta.kind: Patient}
    subject: id
    schema:
      id: {type: string, phi: identifier, mask: hash, domain: patient}
      name: {type: string, phi: name, mask: redact}
      born: {type: date, phi: date, mask: date_shift}
  lab:
    where: {meta.kind: Lab}
    schema: {id: {type: string, required: true}, name: string, code: bigint}
";
    project.edit("pipelines/clinic.yaml", KINDS, kinds);
    project.write(
        "sql/clinic/patients.sql",
        "select id, name, cast(null as varchar) as code, born from patient\n",
    );
    project.write("sql/clinic/parts.sql", "select id, cast(1 as int) as n from lab\n");
    project.write(
        "sql/clinic/labs.sql",
        "select l.id, l.name, l.code, cast(null as date) as taken, p.id as owner from lab l left join patient p on p.id <> l.id\n",
    );
    let run = load(&project, file).code(0);
    assert_eq!(database.rows("select id from patients"), [hashed("p1")]);
    assert_eq!(
        database.rows("select id, name, code, owner from labs"),
        [format!("l1|Sodium|7|{}", hashed("p1"))]
    );
    let account: Value = serde_json::from_str(&database.value("select account from pipeline.runs")).unwrap();
    assert_eq!(
        account["kinds"]["patient"],
        json!({"read": 1, "accepted": 1, "quarantined": 0})
    );
    assert_eq!(
        account["kinds"]["lab"],
        json!({"read": 2, "accepted": 1, "quarantined": 1})
    );
    assert_eq!(account["unknown_kinds"]["count"], 2);
    assert_eq!(
        database.value("select record || ' ' || path from pipeline.quarantine"),
        "5 $.id"
    );
    let all = everything(&database) + &run.stdout + &run.stderr;
    assert!(!all.contains("QKINDQ"), "{all}");
}

/// Records of each kind and of none, with references in this field that can be loaded and that can't.
fn hostile_references(field: &str) -> String {
    let of = |kind: &str, value: Value| {
        let mut record = json!({"type": kind, "id": "p", "code": if kind == "Lab" { json!(1) } else { json!("c") }});
        record[field] = value;
        record.to_string()
    };
    let doctor = |number: usize| format!("Practitioner/QKINDQ-{number}");
    let mut records = Vec::new();
    for kind in ["Patient", "Lab", "Visit", "QKINDQ"] {
        records.extend([
            of(kind, json!(doctor(1))),
            of(
                kind,
                json!({"reference": doctor(2), "display": "QKINDQ-3", "identifier": {"value": "QKINDQ-4"}}),
            ),
            of(kind, json!({"reference": "QKINDQ-5", "type": "QKINDQ-6"})),
            of(kind, json!({"reference": {"QKINDQ-7": "QKINDQ-8"}})),
            of(kind, json!("#QKINDQ-9")),
            of(kind, json!("Practitioner?identifier=QKINDQ-10")),
            of(kind, json!("QKINDQ-11/1")),
            of(
                kind,
                json!("https://QKINDQ-12.example/Practitioner/QKINDQ-13/_history/QKINDQ-14"),
            ),
            of(kind, json!(["Practitioner/QKINDQ-15"])),
            of(kind, json!({"QKINDQ-16": "QKINDQ-17"})),
            of(kind, json!(doctor(18))).replace("\"id\":\"p\"", "\"id\":QKINDQ"),
            of(kind, json!({"reference": doctor(19)})).replace("}}", "}, \"x\": QKINDQ}"),
            of(kind, json!({"reference": doctor(20)})).replace('}', ""),
        ]);
    }
    records.join("\n")
}

/// A reference that one kind masks, in every place in which it could be taken for something else.
#[test]
fn no_reference_leaves_unmasked_through_any_kind() {
    // The field of the patient, of both kinds, and of none.
    for field in ["doctor", "by", "other"] {
        let database = Database::fresh();
        talkative(&database);
        let project = project(
            &database,
            "  format: ndjson\n",
            "max_quarantined: 100%\non_unknown_kind: ignore\n",
        );
        let masked = "{type: reference, to: [Practitioner], phi: identifier, mask: hash}";
        project.edit(
            "pipelines/clinic.yaml",
            "      born: ",
            &format!("      doctor: {masked}\n      by: {masked}\n      born: "),
        );
        project.edit(
            "pipelines/clinic.yaml",
            "      taken: ",
            &format!("      by: {masked}\n      taken: "),
        );
        project.write(
            "sql/clinic/patients.sql",
            "select coalesce(doctor['id'], by['id'], by['contained'], by['query']) as id, by['contained'] as name, by['query'] as code, born from patient\n",
        );
        project.write(
            "sql/clinic/labs.sql",
            "select by['id'] as id, by['contained'] as name, code, taken, by['query'] as owner from lab\n",
        );
        let run = load(&project, hostile_references(field)).code(0);
        assert!(database.count("patients") > 0 && database.count("labs") > 0);
        for (place, text) in [
            ("the database", everything(&database)),
            ("the server's log", server().log()),
            ("the output", format!("{}{}", run.stdout, run.stderr)),
        ] {
            let at = text
                .find("QKINDQ")
                .map(|at| &text[at.saturating_sub(200)..(at + 80).min(text.len())]);
            assert_eq!(at, None, "{field}: {place}");
        }
        for args in [
            &["quarantine", "list", "--output", "json"][..],
            &["preview", "--source", "clinic", "--date", DATE, "--refused"],
            &["preview", "--source", "clinic", "--date", DATE],
            &["status", "--output", "json"],
        ] {
            project.run(args).output_lacks("QKINDQ");
        }
    }
}
