//! Input with the structure of the original system's samples gives the counts and lists in that system's README.
use crate::harness::{Database, Project, hashed, sample_batches};

const RUN: [&str; 6] = ["run", "--all-sources", "--start", "20230501", "--end", "20230502"];

fn project(database: &Database) -> Project {
    let project = Project::of_repository().on(database);
    for (source, date, records) in sample_batches() {
        project.input(source, date, serde_json::to_string_pretty(&records).unwrap());
    }
    project
}

fn assert_all_there(database: &Database) {
    for (entity, rows) in [("patients", 2), ("visits", 2), ("diagnoses", 2), ("treatments", 4)] {
        let counts = format!("select source, batch_date, count(*) from {entity} group by 1, 2 order by 1, 2");
        let expected: Vec<String> = [
            "source_a|2023-05-01",
            "source_a|2023-05-02",
            "source_b|2023-05-01",
            "source_b|2023-05-02",
        ]
        .iter()
        .map(|batch| format!("{batch}|{rows}"))
        .collect();
        assert_eq!(database.rows(&counts), expected, "{entity}");
    }
    let masked = |known: &[&str]| -> Vec<String> {
        let mut masked: Vec<String> = known
            .iter()
            .map(|known| known.split_once('|').unwrap())
            .map(|(source, id)| format!("{source}|{}", hashed(id)))
            .collect();
        masked.sort();
        masked
    };
    let known = masked(&[
        "source_a|P-1001",
        "source_a|P-1002",
        "source_a|P-1003",
        "source_b|P-100144",
        "source_b|P-1001491",
        "source_b|P-1002",
        "source_b|P-1003",
    ]);
    let ids = |from: &str| {
        database.rows(&format!(
            "select source, patient_id from {from} order by 1, patient_id collate \"C\""
        ))
    };
    assert_eq!(ids("patients_as_of('2023-05-02')"), known);
    assert_eq!(ids("patients_current"), known);
    assert_eq!(
        ids("patients_as_of('2023-05-01')"),
        masked(&[
            "source_a|P-1001",
            "source_a|P-1002",
            "source_b|P-100144",
            "source_b|P-1002"
        ])
    );
    assert_eq!(ids("patients_as_of('2023-04-30')"), [] as [&str; 0]);
    assert_eq!(
        database
            .rows("select created_date, updated_date from patients_current where source = 'source_a' order by 1, 2"),
        [
            "2023-05-01|2023-05-01",
            "2023-05-01|2023-05-02",
            "2023-05-02|2023-05-02"
        ]
    );
    assert_eq!(database.count("patient_treatment_summary"), 16);
    assert_eq!(
        database.count("patient_treatment_summary where treatments_drug = 'Metformin'"),
        4
    );
}

#[test]
fn in_order_and_again() {
    let database = Database::migrated();
    let project = project(&database);
    project.run(&RUN).code(0);
    assert_all_there(&database);
    let content = database.content();
    project.run(&RUN).code(0);
    assert_all_there(&database);
    assert_eq!(database.content(), content);
}

#[test]
fn in_reverse_order() {
    let database = Database::migrated();
    let project = project(&database);
    project.run(&["run", "--all-sources", "--date", "2023-05-02"]).code(0);
    project.run(&["run", "--source", "b", "--date", "20230501"]).code(0);
    project.run(&["run", "--source", "a", "--date", "20230501"]).code(0);
    assert_all_there(&database);
}

#[test]
fn many_batches_at_once() {
    let database = Database::migrated();
    let project = project(&database);
    let mut run = RUN.to_vec();
    run.extend(["--threads", "4", "--connections", "16"]);
    project.run(&run).code(0);
    assert_all_there(&database);
}

#[test]
fn with_one_connection_and_one_thread() {
    let database = Database::migrated();
    let project = project(&database);
    let mut run = RUN.to_vec();
    run.extend(["--threads", "1", "--connections", "1"]);
    project.run(&run).code(0);
    assert_all_there(&database);
}
