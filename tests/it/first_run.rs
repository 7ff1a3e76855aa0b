//! The first minutes of a new user: this repository's project runs on the embedded database without any setup.
use crate::examples::run_and_compare;
use crate::harness::{CONTENT, Project};

const RUN: [&str; 6] = ["run", "--all-sources", "--start", "20230501", "--end", "20230502"];

#[test]
fn the_sample_data_loads_without_any_server_and_again_gives_the_same() {
    let project = Project::with_examples();
    run_and_compare(&project, &project.read("examples/expected.json"));
    assert!(
        project.path(".pipeline/warehouse").is_dir(),
        "the embedded database should be kept in the project"
    );

    let before = project.query(CONTENT);
    project.run(&RUN).code(0);
    assert_eq!(project.query(CONTENT), before);
}

#[test]
fn what_was_loaded_is_printed_per_batch_and_entity() {
    let project = Project::with_examples();
    let outcome = project.run(&RUN).code(0);
    let shown = format!("{}{}", outcome.stdout, outcome.stderr);
    for part in [
        "source_a",
        "source_b",
        "2023-05-01",
        "2023-05-02",
        "patients",
        "visits",
        "diagnoses",
        "treatments",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
}

#[test]
fn a_query_prints_a_table_csv_or_json() {
    let project = Project::with_examples();
    let sql = "select 1 as one, 'a,b' as text, null::int as nothing";
    project
        .run(&["query", sql])
        .code(0)
        .stdout_contains("one")
        .stdout_contains("a,b");
    project
        .run(&["query", sql, "--output", "csv"])
        .code(0)
        .stdout_is("one,text,nothing\n1,\"a,b\",\n");
    let json = project.run(&["query", sql, "--output", "json"]).code(0).json();
    assert_eq!(json, serde_json::json!([{"one": 1, "text": "a,b", "nothing": null}]));
}
