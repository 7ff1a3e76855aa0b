//! What a feed says is gone: `deletes` of a kind fills the table of an entity's deleted keys, which its `latest` view
//! does not show.
use serde_json::{Value, json};

use crate::harness::{Database, Project, hashed};

const CONTRACT: &str = "name: deletions
entities:
  patients:
    columns: {patient_id: {type: text, nullable: false}, name: text}
    key: [patient_id]
    latest: patients_latest
    deletions: patients_deleted
  visits:
    columns:
      patient_id: {type: text, nullable: false}
      number: {type: int8, nullable: false}
      key_deleted: boolean
      note: text
    key: [patient_id, number]
    latest: {view: visits_latest, deleted: key_deleted, materialized: true}
    deletions: visits_deleted
";

const SOURCE: &str = "name: feed
input: {path: \"in/{date:%Y-%m-%d}.json\", on_empty: replace}
kinds:
  patient:
    where: {type: patient}
    schema:
      id: {type: string, phi: identifier, mask: hash, domain: patient}
      name: string
  visit:
    where: {type: visit}
    schema:
      of: {type: string, phi: identifier, mask: hash, domain: patient}
      number: bigint
      void: bool
  removal:
    where: {type: removal}
    schema:
      id: {type: string, phi: identifier, mask: hash, domain: patient}
      visits: {list: bigint}
    deletes:
      patients: select id as patient_id from removal where visits is null -- all of them
      visits: |
        with each as (select id, unnest(visits) as number from removal)
        select number, id as patient_id from each;
  correction:
    where: {type: correction}
    schema:
      wrong: {type: string, phi: identifier, mask: hash, domain: patient}
    deletes: {patients: \"select wrong as patient_id from correction\"}
max_quarantined: 50%
";

const MIGRATION: &str = "
create table patients (patient_id text not null, name text, source text not null, batch_date date not null,
  primary key (patient_id, source, batch_date)) partition by list (source);
create table patients_deleted (patient_id text not null, source text not null, batch_date date not null,
  primary key (patient_id, source, batch_date)) partition by list (source);
create table visits (patient_id text not null, number int8 not null, key_deleted boolean, note text,
  source text not null, batch_date date not null,
  primary key (patient_id, number, source, batch_date)) partition by list (source);
create table visits_deleted (patient_id text not null, number int8 not null, source text not null,
  batch_date date not null, primary key (patient_id, number, source, batch_date)) partition by list (source);
";

fn project() -> (Database, Project) {
    let database = Database::fresh();
    let project = Project::new()
        .file("pipeline.yaml", CONTRACT)
        .file("pipelines/feed.yaml", SOURCE)
        .file("sql/feed/patients.sql", "select id as patient_id, name from patient\n")
        .file(
            "sql/feed/visits.sql",
            "select of as patient_id, number, void as key_deleted, cast(null as varchar) as note from visit\n",
        )
        .file("migrations/V1__tables.sql", MIGRATION)
        .on(&database);
    project.run(&["migrate"]).code(0);
    (database, project)
}

fn day(project: &Project, date: &str, records: &[Value]) {
    project.write(&format!("in/{date}.json"), json!(records).to_string());
}

fn patient(id: &str) -> Value {
    json!({"type": "patient", "id": id, "name": format!("name of {id}")})
}

fn visit(of: &str, number: i64) -> Value {
    json!({"type": "visit", "of": of, "number": number})
}

const FIRST: &str = "2023-05-01";
const SECOND: &str = "2023-05-02";
const LATEST: &str = "select name from patients_latest order by 1";
const VISITS: &str = "select number::text from visits_latest order by 1";

/// Two days: the second deletes two patients, one twice, one that was never there, and two visits.
fn two_days() -> (Database, Project) {
    let (database, project) = project();
    let first = [
        patient("P1"),
        patient("P2"),
        patient("P3"),
        visit("P1", 1),
        visit("P1", 2),
        visit("P1", 3),
    ];
    day(&project, FIRST, &first);
    project.load("feed", FIRST).code(0);
    let second = [
        json!({"type": "removal", "id": "P1"}),
        json!({"type": "correction", "wrong": "P1"}),
        json!({"type": "correction", "wrong": "P2"}),
        json!({"type": "removal", "id": "P9"}),
        json!({"type": "removal", "id": "P1", "visits": [1, 2, 7]}),
        visit("P1", 4),
        json!({"type": "visit", "of": "P1", "number": 3, "void": true}),
    ];
    day(&project, SECOND, &second);
    (database, project)
}

#[test]
fn the_view_does_not_show_what_a_later_batch_deletes() {
    let (database, project) = two_days();
    project.run(&["views"]).code(0);
    assert_eq!(database.rows(LATEST), ["name of P1", "name of P2", "name of P3"]);
    project.load("feed", SECOND).code(0);
    assert_eq!(database.rows(LATEST), ["name of P3"]);
    assert_eq!(database.rows(VISITS), ["4"]);
    // The ids are masked as those of the rows are, and a key that two records delete is one row.
    let mut deleted = [hashed("P1"), hashed("P2"), hashed("P9")];
    deleted.sort();
    assert_eq!(
        database.rows("select patient_id from patients_deleted order by 1"),
        deleted
    );
    assert_eq!(
        database
            .rows("select column_name from information_schema.columns where table_name = 'visits_latest' order by 1"),
        [""; 0],
        "a materialized view"
    );
    let columns =
        "select attname from pg_attribute where attrelid = 'visits_latest'::regclass and attnum > 0 order by attnum";
    assert_eq!(database.rows(columns), ["source", "patient_id", "number", "note"]);

    // A deletion holds until a later batch brings the row again.
    day(&project, "2023-05-03", &[patient("P2")]);
    project.load("feed", "2023-05-03").code(0);
    assert_eq!(database.rows(LATEST), ["name of P2", "name of P3"]);
    // An older day that is loaded again does not bring it back.
    project.load("feed", FIRST).code(0);
    assert_eq!(database.rows(LATEST), ["name of P2", "name of P3"]);
}

#[test]
fn a_row_below_a_deleted_one_is_an_orphan_from_that_day_on() {
    let (database, project) = two_days();
    let deletions = "    deletions: visits_deleted\n";
    let check = "    checks: [{relationships: {entity: patients, columns: [patient_id], scope: source}}]\n";
    project.edit("pipeline.yaml", deletions, &format!("{deletions}{check}"));
    project.edit("pipelines/feed.yaml", "max_quarantined: 50%", "max_quarantined: 100%");
    let visits = |date: &str| {
        project.load("feed", date).code(0);
        database.rows(&format!(
            "select number::text from visits where batch_date = '{date}' order by 1"
        ))
    };
    assert_eq!(visits(FIRST), ["1", "2", "3"]);
    // The batch that deletes the patient brings visits of the same patient.
    assert_eq!(visits(SECOND), [""; 0]);
    // One batch brings P4 and deletes it.
    let gone = json!({"type": "removal", "id": "P4"});
    let third = [
        patient("P2"),
        patient("P4"),
        gone,
        visit("P1", 5),
        visit("P2", 6),
        visit("P3", 7),
        visit("P4", 8),
    ];
    day(&project, "2023-05-03", &third);
    assert_eq!(visits("2023-05-03"), ["6", "7"]);
    day(
        &project,
        "2023-05-04",
        &[visit("P1", 8), visit("P2", 9), visit("P4", 10)],
    );
    assert_eq!(visits("2023-05-04"), ["9"], "a later batch brought the row again");
    // A day before the deletion loads again as it did.
    assert_eq!(visits(FIRST), ["1", "2", "3"]);
}

/// That a kind of rows is missing beside unknown records fails a batch, as if the sender had renamed it. That nothing is
/// deleted does not.
#[test]
fn a_day_without_deletions_is_normal_beside_unknown_records() {
    let (_database, project) = two_days();
    for date in [FIRST, SECOND] {
        project.load("feed", date).code(0);
    }
    let unheard = |of: &str| json!({"type": of});
    day(&project, "2023-05-03", &[patient("P2"), visit("P2", 1), unheard("bed")]);
    project.load("feed", "2023-05-03").code(0);
    day(&project, "2023-05-04", &[patient("P2"), unheard("ward")]);
    let failed = project
        .run(&["run", "--source", "feed", "--date", "2023-05-04"])
        .code(1);
    failed.stderr_contains("the kind visit has no record");
}

#[test]
fn a_batch_takes_its_deletions_back() {
    let (database, project) = two_days();
    project.run(&["views"]).code(0);
    project.load("feed", SECOND).code(0);
    // Loaded again without one of them.
    day(&project, SECOND, &[json!({"type": "removal", "id": "P2"})]);
    project.load("feed", SECOND).code(0);
    assert_eq!(database.rows(LATEST), ["name of P1", "name of P3"]);
    assert_eq!(database.rows(VISITS), ["1", "2", "3"]);
    // A run that fails changes nothing.
    day(
        &project,
        SECOND,
        &[json!({"type": "removal"}), json!({"type": "removal", "id": "P3"})],
    );
    project.edit("pipelines/feed.yaml", "max_quarantined: 50%", "max_quarantined: 1%");
    project.run(&["run", "--source", "feed", "--date", SECOND]).code(1);
    assert_eq!(database.rows(LATEST), ["name of P1", "name of P3"]);
    project
        .run(&["drop", "--source", "feed", "--date", SECOND, "--yes"])
        .code(0);
    assert_eq!(database.rows(LATEST), ["name of P1", "name of P2", "name of P3"]);
    assert_eq!(database.count("patients_deleted"), 0);
}

#[test]
fn a_row_and_its_deletion_in_one_batch_are_a_deletion() {
    let (database, project) = project();
    day(
        &project,
        FIRST,
        &[patient("P1"), json!({"type": "removal", "id": "P1"}), patient("P2")],
    );
    project.load("feed", FIRST).code(0);
    project.run(&["views"]).code(0);
    assert_eq!(database.rows(LATEST), ["name of P2"]);
    let account = "select account -> 'entities' -> 'patients_deleted' ->> 'never_loaded' from pipeline.runs";
    assert_eq!(database.value(account), "0");
}

#[test]
fn the_batch_says_how_many_keys_it_deletes() {
    let (database, project) = two_days();
    let run = project.load("feed", SECOND).code(0);
    run.stdout_contains("feed 2023-05-02: 3 keys of patients are deleted, of which <10 were never loaded")
        .stdout_contains("feed 2023-05-02: 3 keys of visits are deleted, of which <10 were never loaded");
    let account =
        "select account -> 'entities' -> 'patients_deleted' from pipeline.runs where batch_date = '2023-05-02'";
    assert_eq!(
        serde_json::from_str::<Value>(&database.value(account)).unwrap(),
        json!({"produced": 3, "loaded": 3, "quarantined": 0, "warnings": {}, "deletes_from": "patients", "never_loaded": "<10"})
    );
    let run = project
        .run(&["run", "--source", "feed", "--date", SECOND, "--output", "json"])
        .code(0)
        .json();
    let entity = &run["batches"][0]["entities"]["visits_deleted"];
    assert_eq!(
        (&entity["deletes_from"], &entity["never_loaded"]),
        (&json!("visits"), &json!("<10"))
    );
    assert_eq!(entity["rows"], 3);
    assert_eq!(run["batches"][0]["entities"]["visits"]["deletes_from"], Value::Null);

    let status = project.run(&["status", "--date", SECOND, "--limit", "1"]).code(0);
    let (header, line) = (
        status.stdout.lines().next().unwrap(),
        status.stdout.lines().last().unwrap(),
    );
    let at = |name: &str| header.split_whitespace().position(|word| word == name).unwrap();
    // `started (UTC)` is two words in the header and in a row, and so is the batch in a row.
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[at("deleted") + 1], "6", "{line}");
    assert_eq!(cells[at("rows") + 1], "2", "{line}");
    let status = project.run(&["status", "--date", FIRST]).code(0);
    status.output_lacks("deleted");
}

#[test]
fn a_key_of_a_deletion_is_checked_as_a_row_is() {
    let (database, project) = project();
    day(
        &project,
        FIRST,
        &[
            patient("P1"),
            json!({"type": "removal"}),
            json!({"type": "removal", "id": "P1"}),
        ],
    );
    project.load("feed", FIRST).code(0);
    assert_eq!(
        database.rows("select entity, check_name from pipeline.quarantine"),
        ["patients_deleted|not_null(patient_id)"]
    );
}

#[test]
fn a_source_without_kinds_deletes() {
    let (database, project) = project();
    let yaml = "name: feed
input: {path: \"in/{date:%Y-%m-%d}.json\"}
schema: {id: {type: string, phi: identifier, mask: hash, domain: patient}, name: string, gone: bool}
deletes:
  patients: select id as patient_id from source where gone
";
    project.write("pipelines/feed.yaml", yaml);
    project.remove("sql/feed/visits.sql");
    project.write(
        "sql/feed/patients.sql",
        "select id as patient_id, name from source where gone is not true\n",
    );
    day(
        &project,
        FIRST,
        &[json!({"id": "P1", "name": "one"}), json!({"id": "P2", "name": "two"})],
    );
    day(&project, SECOND, &[json!({"id": "P1", "gone": true})]);
    project.load("feed", FIRST).code(0);
    project.load("feed", SECOND).code(0);
    project.run(&["views"]).code(0);
    assert_eq!(database.rows(LATEST), ["two"]);
}

#[test]
fn what_is_wrong_with_deletions_is_told_at_its_place() {
    let (_, project) = project();
    project.run(&["check"]).code(0);
    project.edit(
        "pipelines/feed.yaml",
        "select wrong as patient_id",
        "select wrogn as patient_id",
    );
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("pipelines/feed.yaml:29:33")
        .stderr_contains("wrogn");
    project.edit(
        "pipelines/feed.yaml",
        "select wrogn as patient_id",
        "select wrong as patient",
    );
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("patient_id")
        .stderr_contains("pipelines/feed.yaml:");
    project.edit(
        "pipelines/feed.yaml",
        "select wrong as patient ",
        "select wrong as patient_id ",
    );
    project.edit("pipelines/feed.yaml", "      visits: |", "      visit: |");
    project.edit("pipeline.yaml", "    deletions: patients_deleted\n", "");
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("`patients` has no table for deletions")
        .stderr_contains("add `deletions: patients_deleted` to `patients` in pipeline.yaml")
        .stderr_contains("`deletes` names no entity `visit`")
        .stderr_contains("did you mean `visits`?");
    project.edit("pipelines/feed.yaml", "      visit: |", "      visits: |");
    project.edit(
        "pipeline.yaml",
        "    latest: patients_latest\n",
        "    latest: patients_latest\n    deletions: visits\n",
    );
    project.edit("pipeline.yaml", "    key: [patient_id, number]\n", "");
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("`visits` is an entity already")
        .stderr_contains("`visits` has no key by which its rows could be deleted");
}

#[test]
fn two_places_can_not_say_what_is_deleted() {
    let (_, project) = project();
    project.write(
        "sql/feed/patients_deleted.sql",
        "select id as patient_id from removal\n",
    );
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("two places say what is deleted from `patients`")
        .stderr_contains("sql/feed/patients_deleted.sql says it already");
}

#[test]
fn an_id_that_is_masked_otherwise_would_delete_nothing() {
    let (_, project) = project();
    project.edit(
        "pipelines/feed.yaml",
        "wrong: {type: string, phi: identifier, mask: hash, domain: patient}",
        "wrong: {type: string, phi: identifier, mask: hash, domain: person}",
    );
    // One of the two kinds still deletes.
    project.run(&["check"]).code(0);
    project.edit(
        "pipelines/feed.yaml",
        "id: {type: string, phi: identifier, mask: hash, domain: patient}\n      visits",
        "id: {type: string, phi: identifier, mask: hash}\n      visits",
    );
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("the ids that are deleted from `patients` are masked otherwise than those of its rows")
        .stderr_contains("domain");
}

#[test]
fn a_reference_to_any_type_may_delete_rows_in_the_domain_of_a_type_alone() {
    let (_, project) = project();
    let edit = |from: &str, to: &str| project.edit("pipelines/feed.yaml", from, to);
    let id = |domain: &str, next: &str| {
        format!("id: {{type: string, phi: identifier, mask: hash, domain: {domain}}}\n      {next}")
    };
    edit(
        "wrong: {type: string, phi: identifier, mask: hash, domain: patient}",
        "wrong: {type: reference, phi: identifier, mask: hash}",
    );
    edit("select wrong as patient_id", "select wrong['id'] as patient_id");
    edit(&id("patient", "visits"), &id("other", "visits"));
    let check = || project.run(&["check"]).code(2);
    check()
        .stderr_contains("deleted from `visits`")
        .output_lacks("deleted from `patients`");
    edit(&id("patient", "name"), &id("human", "name"));
    check()
        .stderr_contains("deleted from `patients`")
        .stderr_contains("hash in the domain its type in lower case");
}
