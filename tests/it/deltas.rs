//! A day that brings only what is new: its rows refer to rows of the source's other batches, and `latest` shows of each
//! key the newest row.
use crate::harness::{Database, Project};

const CONTRACT: &str = "name: deltas
entities:
  patients:
    columns:
      patient_id: {type: text, nullable: false}
      name: text
      gone: boolean
    key: [patient_id]
    latest: {view: patients_latest, deleted: gone}
    checks:
      - {expression: \"name <> 'bad'\", name: good_name}
  observations:
    columns:
      observation_id: {type: text, nullable: false}
      patient_id: text
    key: [observation_id]
    parent: {entity: patients, scope: source}
    latest: observations_latest
    checks:
      - relationships: {entity: patients, columns: [patient_id], scope: source}
";

const SOURCE: &str = "input: {path: \"in/NAME/{date:%Y-%m-%d}.json\", format: ndjson}
schema:
  id: string
  name: string
  gone: bool
  observations: {list: {id: string, of: string}}
max_quarantined: 100%
";

const MIGRATION: &str = "
create table patients (patient_id text not null, name text, gone boolean, source text not null,
  batch_date date not null, primary key (patient_id, source, batch_date)) partition by list (source);
create table observations (observation_id text not null, patient_id text, source text not null,
  batch_date date not null, primary key (observation_id, source, batch_date)) partition by list (source);
";

fn project() -> (Database, Project) {
    let database = Database::fresh();
    let mut project = Project::new()
        .file("pipeline.yaml", CONTRACT)
        .file("migrations/V1__init.sql", MIGRATION);
    for name in ["feed", "other"] {
        let yaml = format!("name: {name}\n{}", SOURCE.replace("NAME", name));
        project = project
            .file(&format!("pipelines/{name}.yaml"), yaml)
            .file(
                &format!("sql/{name}/patients.sql"),
                "select id as patient_id, name, gone from source where id is not null",
            )
            .file(
                &format!("sql/{name}/observations.sql"),
                "with each as (select unnest(observations) as item from source)\n\
                 select item['id'] as observation_id, item['of'] as patient_id from each",
            );
    }
    let project = project.on(&database);
    project.run(&["migrate"]).code(0);
    (database, project)
}

fn day(project: &Project, source: &str, date: &str, records: &[&str]) {
    project.write(&format!("in/{source}/{date}.json"), records.join("\n"));
}

fn refused(database: &Database) -> Vec<String> {
    database.rows("select entity, check_name, record from pipeline.quarantine order by 1, 2, 3")
}

#[test]
fn a_row_may_belong_to_another_batch_of_its_source() {
    let (database, project) = project();
    day(&project, "feed", "2023-05-01", &[r#"{"id": "P1", "name": "Ann"}"#]);
    day(&project, "other", "2023-05-01", &[r#"{"id": "P9", "name": "Eve"}"#]);
    project.run(&["run", "--all-sources", "--date", "2023-05-01"]).code(0);
    let observations = r#"{"observations": [{"id": "O1", "of": "P1"}, {"id": "O9", "of": "P9"}, {"id": "O0"}]}"#;
    day(&project, "feed", "2023-05-02", &[observations]);
    project.load("feed", "2023-05-02").code(0);
    let loaded = "select observation_id from observations order by 1";
    assert_eq!(database.rows(loaded), ["O0", "O1"]);
    assert_eq!(
        refused(&database),
        ["observations|relationships(patients: patient_id)|1"]
    );
    let reason = database.rows("select distinct reason from pipeline.quarantine");
    assert_eq!(
        reason,
        ["patients has no row with the same patient_id, in no batch of the source, or it is deleted"]
    );

    // The batch's own old rows do not count: they are what the run replaces.
    day(
        &project,
        "feed",
        "2023-05-01",
        &[r#"{"id": "P2", "name": "Bob", "observations": [{"id": "O2", "of": "P1"}]}"#],
    );
    project.load("feed", "2023-05-01").code(0);
    assert_eq!(
        database.rows("select observation_id from observations where batch_date = '2023-05-01'"),
        [""; 0]
    );

    // Within the batch alone, the same rows are refused.
    project.edit(
        "pipeline.yaml",
        "columns: [patient_id], scope: source",
        "columns: [patient_id]",
    );
    day(&project, "feed", "2023-05-01", &[r#"{"id": "P1", "name": "Ann"}"#]);
    project
        .run(&[
            "run",
            "--source",
            "feed",
            "--start",
            "2023-05-01",
            "--end",
            "2023-05-02",
        ])
        .code(0);
    assert_eq!(database.rows(loaded), ["O0"]);
}

#[test]
fn the_batches_of_a_source_that_looks_beyond_run_by_date() {
    let (database, project) = project();
    let many: Vec<String> = (0..2000)
        .map(|n| format!(r#"{{"id": "P{n}", "name": "Ann"}}"#))
        .collect();
    project.write("in/feed/2023-05-01.json", many.join("\n"));
    for date in 2..=8 {
        let record = format!(r#"{{"observations": [{{"id": "O{date}", "of": "P1999"}}]}}"#);
        day(&project, "feed", &format!("2023-05-0{date}"), &[&record]);
    }
    let days = [
        "run",
        "--all-sources",
        "--start",
        "2023-05-01",
        "--end",
        "2023-05-08",
        "--threads",
        "4",
    ];
    project.remove("pipelines/other.yaml");
    project.run(&days).code(0);
    assert_eq!(database.count("observations"), 7);
    assert_eq!(refused(&database), [""; 0]);
}

#[test]
fn an_older_row_of_the_parent_stands_in_for_a_refused_one() {
    let (database, project) = project();
    day(&project, "feed", "2023-05-01", &[r#"{"id": "P1", "name": "Ann"}"#]);
    project.load("feed", "2023-05-01").code(0);
    let records = [
        r#"{"id": "P1", "name": "bad", "observations": [{"id": "O1", "of": "P1"}]}"#,
        r#"{"id": "P3", "name": "bad", "observations": [{"id": "O3", "of": "P3"}]}"#,
    ];
    day(&project, "feed", "2023-05-02", &records);
    project.load("feed", "2023-05-02").code(0);
    assert_eq!(database.rows("select observation_id from observations"), ["O1"]);
    assert_eq!(
        refused(&database),
        ["observations|parent|2", "patients|good_name|1", "patients|good_name|2"]
    );
}

#[test]
fn latest_shows_the_newest_row_of_each_key_unless_it_is_deleted() {
    let (database, project) = project();
    day(
        &project,
        "feed",
        "2023-05-01",
        &[r#"{"id": "P1", "name": "Ann"}"#, r#"{"id": "P2", "name": "Bob"}"#],
    );
    day(
        &project,
        "feed",
        "2023-05-02",
        &[r#"{"id": "P1", "name": "Anna"}"#, r#"{"id": "P2", "gone": true}"#],
    );
    day(&project, "other", "2023-05-01", &[r#"{"id": "P2", "name": "Ben"}"#]);
    project.run(&["run", "--all-sources", "--date", "2023-05-01"]).code(0);
    project.load("feed", "2023-05-02").code(0);
    project.run(&["views"]).code(0);
    let latest = "select * from patients_latest order by source, patient_id";
    assert_eq!(database.rows(latest), ["feed|P1|Anna", "other|P2|Ben"]);
    // An older day that is loaded again changes nothing.
    project.load("feed", "2023-05-01").code(0);
    assert_eq!(database.rows(latest), ["feed|P1|Anna", "other|P2|Ben"]);
    project
        .run(&["drop", "--source", "feed", "--date", "2023-05-02", "--yes"])
        .code(0);
    assert_eq!(database.rows(latest), ["feed|P1|Ann", "feed|P2|Bob", "other|P2|Ben"]);

    project.edit("pipeline.yaml", "deleted: gone}", "deleted: gone, materialized: true}");
    project.run(&["views"]).code(0);
    assert_eq!(database.rows(latest), ["feed|P1|Ann", "feed|P2|Bob", "other|P2|Ben"]);
    project.load("feed", "2023-05-02").code(0);
    assert_eq!(database.rows(latest), ["feed|P1|Anna", "other|P2|Ben"]);
}

/// A flag says the same as a table of deleted keys: see `a_row_below_a_deleted_one_is_an_orphan_from_that_day_on`.
#[test]
fn a_row_below_one_that_is_flagged_as_deleted_is_an_orphan_from_that_day_on() {
    let (database, project) = project();
    let gone = r#"{"id": "P2", "gone": true}"#;
    let of = |of: &str, ids: &[&str]| {
        let each: Vec<String> = ids
            .iter()
            .map(|id| format!(r#"{{"id": "{id}", "of": "{of}"}}"#))
            .collect();
        format!(r#"{{"observations": [{}]}}"#, each.join(", "))
    };
    let days = [
        vec![
            r#"{"id": "P1"}"#.to_owned(),
            r#"{"id": "P2", "gone": false}"#.to_owned(),
            of("P2", &["O1"]),
        ],
        vec![gone.to_owned(), of("P2", &["O2"]), of("P1", &["O3"])],
        vec![of("P2", &["O4"]), of("P1", &["O5"])],
        vec![r#"{"id": "P2"}"#.to_owned(), of("P2", &["O6"])],
        vec![of("P2", &["O7"])],
    ];
    for (number, records) in days.iter().enumerate() {
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        day(&project, "feed", &format!("2023-05-0{}", number + 1), &records);
    }
    project.remove("pipelines/other.yaml");
    project
        .run(&["run", "--all-sources", "--start", "2023-05-01", "--end", "2023-05-05"])
        .code(0);
    let loaded = "select observation_id from observations order by 1";
    assert_eq!(database.rows(loaded), ["O1", "O3", "O5", "O6", "O7"]);
    assert_eq!(
        database.rows("select batch_date, check_name from pipeline.quarantine order by 1"),
        [
            "2023-05-02|relationships(patients: patient_id)",
            "2023-05-03|relationships(patients: patient_id)"
        ]
    );
    // A day before the deletion loads again as it did.
    project.load("feed", "2023-05-01").code(0);
    assert_eq!(database.rows(loaded), ["O1", "O3", "O5", "O6", "O7"]);
    // A later day has brought the patient again by now.
    project.load("feed", "2023-05-02").code(0);
    assert_eq!(database.rows(loaded), ["O1", "O2", "O3", "O5", "O6", "O7"]);
    // A row that is deleted stands in for no refused one.
    day(&project, "feed", "2023-05-06", &[gone, r#"{"id": "P1", "gone": true}"#]);
    let bad = r#"{"id": "P2", "name": "bad", "observations": [{"id": "O8", "of": "P2"}]}"#;
    day(&project, "feed", "2023-05-07", &[bad]);
    project.load("feed", "2023-05-06").code(0);
    project.load("feed", "2023-05-07").code(0);
    assert_eq!(database.rows(loaded), ["O1", "O2", "O3", "O5", "O6", "O7"]);
    // Deletions of later days do not count, and rows of later days do.
    project.load("feed", "2023-05-03").code(0);
    assert_eq!(database.rows(loaded), ["O1", "O2", "O3", "O4", "O5", "O6", "O7"]);
}

#[test]
fn what_is_wrong_with_latest_and_scope_is_told_at_its_place() {
    let (_, project) = project();
    project.edit("pipeline.yaml", "deleted: gone}", "deleted: nmae}");
    project.edit("pipeline.yaml", "latest: observations_latest", "latest: patients");
    project.edit(
        "pipeline.yaml",
        "columns: [patient_id], scope: source",
        "columns: [patient_id], scope: sorce",
    );
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("`patients` has no column `nmae`")
        .stderr_contains("did you mean `name`?")
        .stderr_contains("`patients` is an entity, so no view can have that name")
        .stderr_contains("`scope` can't be `sorce`")
        .stderr_contains("did you mean `source`?");
    project.edit("pipeline.yaml", "nmae", "name");
    project.edit("pipeline.yaml", "    key: [observation_id]\n", "");
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("`deleted` names a column that is true or false; `name` is text")
        .stderr_contains("`observations` has no key, so no row of it is the latest of its key");
}
