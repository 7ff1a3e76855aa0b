//! One person: traced everywhere, erased from everywhere, and not brought back by later loads.
use std::fs::{self, File};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{
    DATE, Database, Outcome, Project, RUN_TWO_DAYS, Running, SOURCE_A, Small, batch, everything, hashed, psql,
    sample_batches, server, talkative, until,
};

/// Runs a command that reads an id from standard input.
pub(crate) fn with_id(project: &Project, args: &[&str], id: &str) -> Outcome {
    start(project, args, id).wait()
}

fn start(project: &Project, args: &[&str], id: &str) -> Running {
    let path = project.path(".id");
    fs::write(&path, id).unwrap();
    let mut command = project.command(args);
    command.stdin(File::open(&path).unwrap());
    let running = Running::start(command, &project.path(""));
    fs::remove_file(path).unwrap();
    running
}

pub(crate) fn traced(project: &Project, id: &str) -> Value {
    with_id(project, &["privacy", "trace", "--output", "json"], id)
        .code(0)
        .json()
}

pub(crate) const ERASE: [&str; 3] = ["privacy", "erase", "--yes"];

/// The repository's project with its four sample batches, in which the two sources say whose records they hold.
fn loaded() -> (Database, Project) {
    let database = Database::migrated();
    talkative(&database);
    let project = Project::of_repository().on(&database);
    for (source, date, records) in sample_batches() {
        project.input(source, date, records.to_string());
    }
    project
        .run(&["run", "--all-sources", "--start", "20230501", "--end", "20230502"])
        .code(0);
    (database, project)
}

/// The rows of a trace, as `source date table rows`.
pub(crate) fn rows(trace: &Value) -> Vec<String> {
    let batches = trace["batches"].as_array().unwrap();
    let rows = batches.iter().flat_map(|batch| {
        let tables = batch["tables"].as_object().unwrap();
        tables.iter().map(move |(table, rows)| {
            format!(
                "{} {} {table} {rows}",
                batch["source"].as_str().unwrap(),
                batch["date"].as_str().unwrap()
            )
        })
    });
    rows.collect()
}

#[test]
fn a_person_is_found_in_every_table_view_and_file() {
    let (_database, project) = loaded();
    let found = traced(&project, "P-1002");
    // In two sources that share the domain, and below the patient by visit and by diagnosis.
    assert_eq!(
        rows(&found),
        [
            "source_a 2023-05-01 diagnoses 1",
            "source_a 2023-05-01 patients 1",
            "source_a 2023-05-01 treatments 2",
            "source_a 2023-05-01 visits 1",
            "source_b 2023-05-01 diagnoses 1",
            "source_b 2023-05-01 patients 1",
            "source_b 2023-05-01 treatments 2",
            "source_b 2023-05-01 visits 1",
        ]
    );
    let views: Vec<&str> = found["views"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| view["name"].as_str().unwrap())
        .collect();
    assert!(
        views.contains(&"patients_current") && views.contains(&"patient_treatment_summary"),
        "{views:?}"
    );
    assert_eq!(found["files"].as_array().unwrap().len(), 2);
    assert_eq!(found["files"][0]["records"], json!([2]));
    assert_eq!(
        (&found["unsearched"], &found["suppressed"]),
        (&json!([]), &json!(false))
    );
}

#[test]
fn an_erased_person_stays_away() {
    let (database, project) = loaded();
    let before = ["patients", "visits", "diagnoses", "treatments"].map(|table| database.count(table));
    with_id(&project, &["privacy", "erase"], "P-1002\n")
        .code(0)
        .stdout_contains("DELETE FROM \"public\".\"treatments\"")
        .stderr_contains("nothing was changed");
    assert_eq!(
        before,
        ["patients", "visits", "diagnoses", "treatments"].map(|table| database.count(table))
    );
    assert_eq!(database.count("pipeline.suppression_list"), 0);

    let erased = with_id(
        &project,
        &[&ERASE[..], &["--receipt", "receipt.json"]].concat(),
        "P-1002",
    );
    erased
        .code(0)
        .stdout_contains("source_a 2023-05-01: erased 1 diagnoses, 1 patients, 2 treatments, 1 visits")
        .stdout_contains("refreshed ")
        .stderr_contains("the input file examples/data/source_b/20230501/visit_events.json")
        .stderr_contains("backups");
    let receipt: Value = serde_json::from_str(&project.read("receipt.json")).unwrap();
    assert_eq!(receipt["batches"][1]["tables"]["treatments"], 2);
    assert_eq!(receipt["domains"], json!(["patient"]));
    assert_eq!(database.count("pipeline.erasures"), 1);
    // Nothing is left of the person, in no view either; of the others everything is.
    let gone = |place: &str| assert!(!everything(&database).contains(&hashed("P-1002")), "{place}");
    gone("after the erasure");
    assert_eq!(
        [before[0] - 2, before[1] - 2, before[2] - 2, before[3] - 4],
        [
            database.count("patients"),
            database.count("visits"),
            database.count("diagnoses"),
            database.count("treatments")
        ]
    );
    assert_eq!(rows(&traced(&project, "P-1002")), [] as [&str; 0]);

    // The input still holds the person.
    let again = project
        .run(&["run", "--all-sources", "--date", "20230501", "--output", "json"])
        .code(0)
        .json();
    for batch in again["batches"].as_array().unwrap() {
        assert_eq!(
            (&batch["records"], &batch["records_suppressed"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(batch["entities"]["patients"]["rows"], 1);
    }
    gone("after a rerun");
    let account = "select distinct account -> 'records' from pipeline.runs where run_id > 4";
    assert_eq!(
        database.value(account),
        r#"{"read": 2, "accepted": 1, "suppressed": 1, "quarantined": 0}"#
    );
    project
        .run(&["run", "--source", "source_b", "--date", "20230501"])
        .code(0)
        .stdout_contains("1 records of persons on the suppression list were left out");
    assert_eq!(traced(&project, "P-1002")["suppressed"], true);

    project
        .run(&["privacy", "suppression"])
        .code(0)
        .stdout_contains("865174565c84e8db");
    with_id(&project, &["privacy", "suppression", "--remove"], "P-1002")
        .code(0)
        .stdout_contains("taken off");
    project.load("source_b", "20230501");
    assert_eq!(rows(&traced(&project, "P-1002")).len(), 4);
}

#[test]
fn the_id_is_nowhere() {
    let database = Database::migrated();
    talkative(&database);
    let id = "Zq-7741-Quillon";
    let project = Project::of_repository().on(&database);
    let mut records = sample_batches().swap_remove(0).2;
    records[0]["patient_id"] = json!(id);
    project.input("source_a", "20230501", records.to_string());
    project.load("source_a", "20230501");
    for args in [
        &["privacy", "trace"][..],
        &["privacy", "trace", "--output", "json", "-v", "-v"],
        &["privacy", "erase"],
        &["privacy", "erase", "--output", "json"],
        &["privacy", "erase", "--yes", "--receipt", "one.json", "-v", "-v"],
        &["privacy", "erase", "--yes", "--output", "json"],
        &["privacy", "suppression", "--remove"],
    ] {
        with_id(&project, args, id).code(0).output_lacks(id);
    }
    // An id among the arguments is refused, and not repeated.
    for args in [
        &["privacy", "trace", "--subject", id][..],
        &["privacy", "trace", id],
        &["privacy", "erase", "--yes", id],
        &["privacy", "suppression", id],
        &["privacy", "suppression", "--remove", "--subject", id],
    ] {
        project
            .run(args)
            .code(2)
            .stderr_contains("standard input")
            .output_lacks(id);
    }
    for wrong in ["", "\n", &format!("{id}\n{id}\n")] {
        with_id(&project, &["privacy", "trace"], wrong).code(2).output_lacks(id);
    }
    assert!(!everything(&database).contains(id));
    assert!(!server().log().contains(id));
    assert!(!project.read("one.json").contains(id));
    assert!(
        !fs::read_dir(project.path(".pipeline"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| { fs::read(entry.path()).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(id)) })
    );
}

#[test]
fn the_printed_sql_does_the_same() {
    let (database, project) = loaded();
    let script = with_id(&project, &["privacy", "erase"], "P-1002").code(0).stdout;
    project.write("erase.sql", &script);
    let done = Command::new(psql())
        .args(["-X", "-d", &database.url(), "-f"])
        .arg(project.path("erase.sql"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    project
        .run(&["views", "--refresh"])
        .code(0)
        .stdout_contains("refreshed materialized view patients_current");
    assert!(!everything(&database).contains(&hashed("P-1002")));
    assert_eq!(database.value("select domains from pipeline.erasures"), "{patient}");
    project.load("source_a", "20230501");
    assert!(!everything(&database).contains(&hashed("P-1002")));
}

/// A project with a nested subject, whose bad records are refused.
fn nested(id: &str, sql: &str) -> Small {
    Small::new()
        .quarantine()
        .schema(&format!("subject:\n  struct:\n    reference: {id}\nn: bigint"))
        .sql(sql)
        .rest("subject: subject.reference\nmax_quarantined: 100%")
}

const HASHED: &str =
    "{type: string, required: true, normalize: [trim, upper], phi: identifier, mask: hash, domain: patient}";
const COPIED: &str = "select subject['reference'] as item_id, n from source";

fn record(id: &str, n: &str) -> String {
    format!(r#"{{"subject": {{"reference": "{id}"}}, "n": {n}}}"#)
}

fn records(list: &[(&str, &str)]) -> String {
    let records: Vec<String> = list.iter().map(|(id, n)| record(id, n)).collect();
    format!("[{}]", records.join(",\n"))
}

#[test]
fn refused_records_of_the_person_are_found_and_go_too() {
    let (database, project) = nested(HASHED, COPIED).on_server();
    let project = project.json(records(&[("p1", "1"), ("p1 ", "\"x\""), ("p2", "\"x\""), ("p3", "3")]));
    project.run_clinic().code(0);
    assert_eq!(database.count("pipeline.quarantine"), 2);
    let found = traced(&project, " P1");
    assert_eq!(rows(&found), ["clinic 2023-05-01 items 1"]);
    assert_eq!(
        found["quarantine"][0]["records"],
        json!([{"file": "in/2023-05-01.json", "record": 2}])
    );
    assert_eq!(found["files"][0]["records"], json!([1, 2]));
    with_id(&project, &ERASE, "P1")
        .code(0)
        .stdout_contains("erased 1 items, 1 of the quarantine");
    assert_eq!(database.rows("select record from pipeline.quarantine"), ["3"]);
    // A rerun counts both records as suppressed, the refused one as well.
    project.run_clinic().code(0);
    assert_eq!(
        database.value("select account -> 'records' from pipeline.runs order by run_id desc limit 1"),
        r#"{"read": 4, "accepted": 1, "suppressed": 2, "quarantined": 1}"#
    );
    assert_eq!(database.rows("select distinct record from pipeline.quarantine"), ["3"]);
    assert_eq!(database.rows("select n from items"), ["3"]);
}

#[test]
fn an_id_that_sql_or_a_type_changes_is_found() {
    let number = "{type: bigint, required: true, phi: identifier, mask: keep, reason: a test}";
    for (id, sql, given) in [
        (
            HASHED,
            "select 'P/' || upper(subject['reference']) as item_id, n from source",
            "p1",
        ),
        // No row comes of so empty a record as the one that is tried.
        (
            HASHED,
            "select subject['reference'] as item_id, n from source where n > 5",
            "p1",
        ),
        (
            number,
            "select cast(subject['reference'] + 5 as varchar) as item_id, n from source",
            "41",
        ),
    ] {
        let (database, project) = nested(id, sql).on_server();
        let other = if given == "p1" { "p2" } else { "42" };
        let mut input = records(&[(given, "6"), (other, "7")]);
        if id == number {
            input = input.replace("\"41\"", "41").replace("\"42\"", "42");
        }
        let project = project.json(input);
        project.run_clinic().code(0);
        assert_eq!(rows(&traced(&project, given)), ["clinic 2023-05-01 items 1"], "{sql}");
        // That the SQL copies the id is then assumed, and said.
        let code = i32::from(sql.contains("where"));
        with_id(&project, &ERASE, given).code(code);
        assert_eq!(database.rows("select n from items"), ["7"], "{sql}");
        project.run_clinic().code(0);
        assert_eq!(database.rows("select n from items"), ["7"], "{sql}");
    }
}

#[test]
fn what_can_not_be_searched_is_said_and_goes_with_the_next_load() {
    let surrogate = "{type: string, required: true, phi: identifier, mask: surrogate, domain: patient}";
    let (database, project) = nested(surrogate, COPIED).on_server();
    let project = project.json(records(&[("p1", "1"), ("p2", "2")]));
    project.run_clinic().code(0);
    with_id(&project, &["privacy", "trace"], "p1")
        .code(0)
        .stderr_contains(
            "not searched: clinic 2023-05-01: the mask `surrogate` leaves nothing by which a person is found",
        )
        .stderr_contains("pipeline run");
    let erased = with_id(&project, &[&ERASE[..], &["--output", "json"]].concat(), "p1")
        .code(1)
        .json();
    assert_eq!(erased["unsearched"][0]["source"], "clinic");
    assert_eq!(database.count("items"), 2);
    project.run_clinic().code(0);
    assert_eq!(database.rows("select n from items"), ["2"]);
}

/// The search goes by the SQL of today, which says nothing of what other SQL has made of the id.
#[test]
fn batches_that_other_sql_has_loaded_are_named_until_they_are_loaded_again() {
    let (database, project) = nested(HASHED, "select 'all' as item_id, n from source").on_server();
    let project = project.json(records(&[("p1", "1")]));
    project.run_clinic().code(0);
    project.write("sql/clinic/items.sql", format!("{COPIED}\n"));
    let found = traced(&project, "p1");
    assert_eq!(rows(&found), [] as [&str; 0]);
    let gap = &found["unsearched"][0];
    assert_eq!(
        (&gap["source"], &gap["dates"], &gap["table"]),
        (&json!("clinic"), &json!([DATE]), &Value::Null)
    );
    assert!(gap["why"].as_str().unwrap().starts_with("loaded by other SQL"), "{gap}");
    with_id(&project, &["privacy", "trace"], "p1")
        .code(0)
        .stderr_contains("not searched: clinic 2023-05-01: loaded by other SQL than that of today")
        .stderr_contains("`pipeline run` loads these batches by the SQL of today");
    let erased = with_id(&project, &[&ERASE[..], &["--output", "json"]].concat(), "p1")
        .code(1)
        .json();
    assert_eq!(erased["unsearched"][0], *gap);
    assert!(
        database
            .value("select unsearched::text from pipeline.erasures")
            .contains("loaded by other SQL")
    );
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 0);
    assert_eq!(traced(&project, "p1")["unsearched"], json!([]));
    // What changes nothing of the SQL raises no alarm; what is not recorded does.
    project.write("sql/clinic/items.sql", format!("-- as it was\n  {COPIED}\n"));
    assert_eq!(traced(&project, "p1")["unsearched"], json!([]));
    database.execute("update pipeline.runs set sql_fingerprint = null");
    assert_eq!(traced(&project, "p1")["unsearched"].as_array().unwrap().len(), 1);
}

#[test]
fn batches_under_other_masks_are_searched_as_they_were_loaded() {
    let kept = "{type: string, required: true, phi: identifier, mask: keep, reason: a test}";
    let (database, project) = nested(kept, COPIED).on_server();
    talkative(&database);
    let id = "Zq-9917-Oxtonby";
    let project = project.json(records(&[(id, "1"), ("P2", "2")]));
    project.write("in/2023-05-02.json", records(&[(id, "3"), ("P2", "4")]));
    project.run_clinic().code(0);
    project.edit("pipelines/clinic.yaml", kept, HASHED);
    project
        .run(&["run", "--source", "clinic", "--date", "2023-05-02"])
        .code(0);
    assert_eq!(database.count(&format!("items where item_id = '{id}'")), 1);
    let found = with_id(&project, &["privacy", "trace", "--output", "json"], id).code(0);
    assert_eq!(
        rows(&found.json()),
        ["clinic 2023-05-01 items 1", "clinic 2023-05-02 items 1"]
    );
    // The server was asked for the id that a table holds in clear, and not told it.
    with_id(&project, &ERASE, id).code(0).output_lacks(id);
    assert_eq!(database.rows("select n from items order by 1"), ["2", "4"]);
    let log = server().log();
    let told = log
        .lines()
        .filter(|line| line.contains(id) && !line.contains("count(*) from items where"))
        .count();
    assert_eq!(told, 0);
}

#[test]
fn a_run_at_the_same_time_brings_nobody_back() {
    let (database, project) = loaded();
    project.input("source_a", "20230503", batch(SOURCE_A, "a", 20));
    // It holds its batch until the reader lets it swap.
    let mut reader = database.client();
    reader
        .batch_execute("begin; select count(*) from patients; select count(*) from treatments")
        .unwrap();
    let run = project.spawn(&["run", "--source", "a", "--date", "2023-05-03"]);
    until("the run is staged", || {
        database.count("pipeline.runs where status = 'running'") == 1 && database.staging_tables().len() == 4
    });
    with_id(&project, &[&ERASE[..], &["--receipt", "none.json"]].concat(), "P-7")
        .code(1)
        .stderr_contains("source_a 2023-05-03 is held by another run");
    assert!(!project.path("none.json").exists());
    assert_eq!(database.count("pipeline.suppression_list"), 0);
    let erasing = start(&project, &[&ERASE[..], &["--wait"]].concat(), "P-7");
    reader.batch_execute("commit").unwrap();
    run.wait().code(0);
    erasing
        .wait()
        .code(0)
        .stdout_contains("source_a 2023-05-03: erased 4 diagnoses, 1 patients, 8 treatments, 2 visits");
    assert!(!everything(&database).contains(&hashed("P-7")));
    assert_eq!(database.count("patients where batch_date = '2023-05-03'"), 19);
}

#[test]
fn under_another_key_the_list_is_useless_and_everybody_is_told() {
    let (database, project) = nested(HASHED, COPIED).on_server();
    let project = project.json(records(&[("p1", "1"), ("p2", "2")]));
    project.run_clinic().code(0);
    with_id(&project, &ERASE, "p1").code(0);
    let project = project.env("PIPELINE_MASK_KEY", "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=");
    let refused = project
        .run(&["run", "--source", "clinic", "--date", DATE, "--output", "json"])
        .code(2)
        .json();
    assert_eq!(refused["batches"][0]["error"]["code"], "suppression_key");
    assert_eq!(database.rows("select n from items"), ["2"]);
    for command in [&["check"][..], &["privacy", "suppression"]] {
        project
            .run(command)
            .code(0)
            .stderr_contains("1 entry of the domain patient under the key 865174565c84e8db that keep nobody out");
    }
    let doctor = project.run(&["doctor"]).code(1);
    assert!(doctor.stdout.contains("suppression list"), "{}", doctor.stdout);
    project
        .run(&["privacy", "suppression", "--remove-key", "865174565c84e8db"])
        .code(0)
        .stdout_contains("1 entries taken off");
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 2);
}

#[test]
fn the_same_id_of_another_domain_is_another_person() {
    let (database, project) = nested(HASHED, COPIED).on_server();
    let other = HASHED.replace("domain: patient", "domain: other");
    let yaml = project
        .read("pipelines/clinic.yaml")
        .replace(HASHED, &other)
        .replace("name: clinic", "name: lab");
    project.write("pipelines/lab.yaml", yaml);
    project.write("sql/lab/items.sql", COPIED);
    let project = project.json(records(&[("p1", "1"), ("p2", "2")]));
    project.run(&["run", "--all-sources", "--date", DATE]).code(0);
    assert_eq!(rows(&traced(&project, "p1")).len(), 2);
    with_id(&project, &ERASE, "p1")
        .code(2)
        .stderr_contains("--domain: other and patient");
    with_id(&project, &[&ERASE[..], &["--domain", "patien"]].concat(), "p1")
        .code(2)
        .stderr_contains("`patient`");
    with_id(&project, &[&ERASE[..], &["--domain", "patient"]].concat(), "p1").code(0);
    assert_eq!(
        database.rows("select source, n from items order by 1, 2"),
        ["clinic|2", "lab|1", "lab|2"]
    );
    project.run(&["run", "--all-sources", "--date", DATE]).code(0);
    assert_eq!(
        database.rows("select source, n from items order by 1, 2"),
        ["clinic|2", "lab|1", "lab|2"]
    );
}

#[test]
fn rows_that_are_anothers_too_stay() {
    // Items belong to stays by the ward alone, which several persons share.
    let database = Database::fresh();
    let project = Project::new()
        .file(
            "pipeline.yaml",
            "name: wards\nentities:\n  stays:\n    columns:\n      person: {type: text}\n      ward: {type: text}\n  \
             meals:\n    columns:\n      ward: {type: text}\n      meal: {type: text}\n    parent: {entity: stays, columns: [ward]}\n",
        )
        .file(
            "pipelines/clinic.yaml",
            "name: clinic\ninput: {path: \"in{date:%Y}.json\"}\nschema:\n  person: {type: string, phi: identifier, mask: hash, domain: patient}\n  \
             ward: string\n  meals: {list: string}\nsubject: person\n",
        )
        .file("sql/clinic/stays.sql", "select person, ward from source\n")
        .file("sql/clinic/meals.sql", "select ward, unnest(meals) as meal from source\n")
        .file(
            "in2023.json",
            r#"[{"person": "p1", "ward": "w1", "meals": ["a"]}, {"person": "p1", "ward": "w2", "meals": ["b"]},
                {"person": "p2", "ward": "w2", "meals": ["c"]}]"#,
        )
        .on(&database)
        .migrated();
    project.load("clinic", DATE);
    with_id(&project, &ERASE, "p1").code(0);
    assert_eq!(database.count("stays"), 1);
    assert_eq!(database.rows("select meal from meals order by 1"), ["b", "c"]);
}

#[test]
fn the_embedded_database_can_do_it_too() {
    let project = nested(HASHED, COPIED)
        .project()
        .json(records(&[("p1", "1"), ("p2", "2")]));
    project.write("in/2023-05-02.json", records(&[("p1", "3")]));
    project.run(&RUN_TWO_DAYS).code(0);
    assert_eq!(rows(&traced(&project, "p1")).len(), 2);
    with_id(&project, &ERASE, "p1")
        .code(0)
        .stdout_contains("clinic 2023-05-02: erased 1 items");
    project.run(&RUN_TWO_DAYS).code(0);
    let left = project
        .run(&["query", "select n from items", "--output", "json"])
        .code(0)
        .json();
    assert_eq!(left, json!([{"n": 2}]));
}

#[test]
fn who_has_no_subject_or_fits_none_is_told() {
    let (_database, project) = Small::new().on_server();
    with_id(&project, &["privacy", "trace"], "p1")
        .code(2)
        .stderr_contains("subject: patient_id");
    let strict = HASHED.replace("phi:", "matches: 'P[0-9]+', phi:");
    let (_database, project) = nested(&strict, COPIED).on_server();
    let said = with_id(&project, &["privacy", "trace"], "somebody").code(2);
    said.stderr_contains("no source can hold this id")
        .output_lacks("somebody");
    with_id(&project, &["privacy", "trace"], "p1")
        .code(0)
        .stdout_contains("no table holds a row of this person");
}

#[test]
fn a_source_that_does_not_say_whose_records_it_holds_is_named() {
    let (_database, project) = nested(HASHED, COPIED).on_server();
    let source = |fields: &str| {
        let input = "input: {path: \"in/{date:%Y-%m-%d}.json\"}\non_unknown_field: ignore";
        format!("name: lab\n{input}\nschema:\n{fields}  n: bigint\n")
    };
    project.write(
        "sql/lab/items.sql",
        "select cast(n as varchar) as item_id, n from source\n",
    );
    let project = project.json(records(&[("p1", "1")]));
    // A source without anything sensitive is of nobody.
    project.write("pipelines/lab.yaml", source(""));
    project.run(&["run", "--all-sources", "--date", DATE]).code(0);
    assert_eq!(traced(&project, "p1")["unsearched"], json!([]));
    project.write(
        "pipelines/lab.yaml",
        source("  name: {type: string, phi: name, mask: redact}\n"),
    );
    let found = traced(&project, "p1");
    assert_eq!(found["unsearched"][0]["source"], "lab");
    assert_eq!(found["unsearched"][0]["why"], "the source names no subject");
}

/// A list that names a domain which no subject has any more keeps nobody out: a run must not go on as if it did.
#[test]
fn a_domain_that_is_gone_brings_nobody_back() {
    let (database, project) = nested(HASHED, COPIED).on_server();
    let project = project.json(records(&[("p1", "1"), ("p2", "2")]));
    project.run_clinic().code(0);
    with_id(&project, &ERASE, "p1").code(0);
    let yaml = project.read("pipelines/clinic.yaml");
    for (from, to) in [
        ("domain: patient", "domain: person"),
        ("subject: subject.reference\n", ""),
    ] {
        assert!(yaml.contains(from), "{yaml}");
        project.write("pipelines/clinic.yaml", yaml.replace(from, to));
        let refused = project
            .run(&["run", "--source", "clinic", "--date", DATE, "--output", "json"])
            .code(2)
            .json();
        let error = &refused["batches"][0]["error"];
        assert_eq!(error["code"], "suppression_domain", "{to}: {refused}");
        assert!(
            error["hint"].as_str().unwrap().contains("--remove-domain patient"),
            "{error}"
        );
        assert_eq!(database.rows("select n from items"), ["2"], "{to}");
        project
            .run(&["check"])
            .code(0)
            .stderr_contains("1 entry of the domain patient")
            .stderr_contains("--remove-domain patient");
    }
    // A source that holds nothing of anybody goes on.
    project.write(
        "pipelines/clinic.yaml",
        yaml.replace("subject: subject.reference\n", "")
            .replace(", phi: identifier, mask: hash, domain: patient", ""),
    );
    project.run_clinic().code(0);
    project.write(
        "pipelines/clinic.yaml",
        yaml.replace("domain: patient", "domain: person"),
    );
    project.run_clinic().code(2);
    project
        .run(&["privacy", "suppression", "--remove-domain", "patien"])
        .code(0)
        .stdout_contains("0 entries taken off");
    project
        .run(&["privacy", "suppression", "--remove-domain", "patient"])
        .code(0)
        .stdout_contains("1 entries taken off");
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 2);
}

/// A part of an id, and a row that is made of several records, are nobody's alone: nothing is deleted by them.
#[test]
fn rows_of_others_that_share_a_part_of_the_id_stay() {
    let kept = "{type: string, required: true, phi: identifier, mask: keep, reason: a test}";
    let ids = [("CAN1001", "1"), ("CAN1002", "2"), ("CAN1003", "3"), ("CAN2003", "4")];
    for subject in [HASHED, kept] {
        let (database, project) = nested(subject, "")
            .columns(&[("item_id", "text"), ("bucket", "text"), ("n", "int8")])
            .sql("select subject['reference'] as item_id, left(subject['reference'], 1) as bucket, n from source")
            .on_server();
        let project = project.json(records(&ids));
        project.run_clinic().code(0);
        assert_eq!(rows(&traced(&project, "CAN1001")), ["clinic 2023-05-01 items 1"]);
        with_id(&project, &ERASE, "CAN1001")
            .code(0)
            .stdout_contains("erased 1 items");
        assert_eq!(database.rows("select n from items order by 1"), ["2", "3", "4"]);
    }
    for (sql, why) in [
        (
            "select left(subject['reference'], 4) || cast(n as varchar) as item_id, n from source",
            "item_id: it is computed from other fields, too",
        ),
        (
            "select left(subject['reference'], 4) as item_id, sum(n) as n from source group by 1",
            "item_id: a row of it may be of several persons",
        ),
        (
            "select substr(subject['reference'], 4) as item_id, n from source",
            "item_id: it holds the same for other ids",
        ),
        (
            "select max(subject['reference']) as item_id, cast(count(*) as bigint) as n from source",
            "item_id: a row of it may be of several persons",
        ),
    ] {
        let (database, project) = nested(kept, sql).on_server();
        let project = project.json(records(&ids));
        project.run_clinic().code(0);
        let before = database.count("items");
        with_id(&project, &ERASE, "CAN2003").code(1).stderr_contains(why);
        assert_eq!(database.count("items"), before, "{sql}");
    }
}

/// The mother's id in the record of her child.
#[test]
fn rows_of_others_that_name_the_person_are_listed_and_stay() {
    let mothers = "{type: string, phi: identifier, mask: hash, domain: patient, normalize: [trim, upper]}";
    for (declared, sql) in [
        (format!("mother: {mothers}"), "mother"),
        (
            "mother: {list: string, phi: identifier, mask: hash, domain: patient}".to_owned(),
            "mother[1] as mother",
        ),
    ] {
        let (database, project) = Small::new()
            .quarantine()
            .schema(&format!(
                "subject:\n  struct:\n    reference: {HASHED}\n{declared}\nn: bigint"
            ))
            .columns(&[("item_id", "text"), ("mother", "text"), ("n", "int8")])
            .sql(&format!("select subject['reference'] as item_id, {sql}, n from source"))
            .rest("subject: subject.reference")
            .on_server();
        let list = |id: &str| {
            if declared.contains("list") {
                format!("[\"{id}\"]")
            } else {
                format!("\"{id}\"")
            }
        };
        let of = |id: &str, mother: &str, n: u8| {
            format!(
                r#"{{"subject": {{"reference": "{id}"}}, "mother": {}, "n": {n}}}"#,
                list(mother)
            )
        };
        let project = project
            .file("sql/views/mothers.sql", "select mother from items\n")
            .json(format!(
                "[{},{},{}]",
                of("p1", "p1", 1),
                of("p2", "p1", 2),
                of("p3", "p4", 3)
            ));
        project.run_clinic().code(0);
        let found = traced(&project, "p1");
        assert_eq!(rows(&found), ["clinic 2023-05-01 items 1"]);
        let named =
            json!([{"source": "clinic", "date": "2023-05-01", "table": "items", "columns": ["mother"], "rows": 1}]);
        assert_eq!(
            (&found["named"], &found["unsearched"]),
            (&named, &json!([])),
            "{declared}"
        );
        // Somebody who is in no record of their own is found as well.
        let only_named = traced(&project, "p4");
        assert_eq!(rows(&only_named), [] as [&str; 0]);
        assert_eq!(only_named["named"][0]["rows"], 1);
        assert_eq!(only_named["views"][0]["name"], "mothers");
        with_id(&project, &["privacy", "trace"], "p1")
            .code(0)
            .stdout_contains("clinic 2023-05-01: 1 row of others in items by mother");
        with_id(&project, &ERASE, "p1").code(0).stderr_contains(
            "1 row of items (clinic 2023-05-01), which are about others and name the person in mother",
        );
        assert_eq!(database.rows("select n from items order by 1"), ["2", "3"]);
        assert_eq!(
            database.value("select named -> 0 ->> 'rows' from pipeline.erasures"),
            "1"
        );
    }
}

/// The list knows an id as it was spelled when the person was erased.
#[test]
fn a_subject_that_is_read_otherwise_is_told() {
    let (_database, project) = nested(HASHED, COPIED).on_server();
    let project = project.json(records(&[("p1", "1"), ("p2", "2")]));
    project.run_clinic().code(0);
    with_id(&project, &ERASE, "p1").code(0);
    let said =
        "1 entry of the domain patient may not keep their persons out of clinic: its subject subject.reference is read";
    project.run(&["check"]).code(0).output_lacks(said);
    project.run_clinic().code(0).output_lacks(said);
    project.edit("pipelines/clinic.yaml", "normalize: [trim, upper]", "normalize: [trim]");
    project.run(&["check"]).code(0).stderr_contains(said);
    project.run(&["privacy", "suppression"]).code(0).stderr_contains(said);
    project.run_clinic().code(0).stderr_contains(said);
    // Nobody can tell whose the old entry is, so the list is made anew.
    with_id(&project, &ERASE, "p1").code(0);
    project.run(&["check"]).code(0).stderr_contains(said);
    project
        .run(&["privacy", "suppression", "--remove-domain", "patient"])
        .code(0);
    with_id(&project, &ERASE, "p1").code(0);
    project.run(&["check"]).code(0).output_lacks(said);
}
