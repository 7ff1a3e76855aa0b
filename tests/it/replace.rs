//! A batch is replaced as a whole or not at all.
use crate::harness::{DATE, Database, Project, SOURCE_A, Small, batch};

fn loaded() -> (Database, Project) {
    load(Project::of_repository().in_clear())
}

fn load(project: Project) -> (Database, Project) {
    let database = Database::migrated();
    let project = project.on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "a", 5));
    project.input("source_a", "20230502", batch(SOURCE_A, "b", 3));
    project.load("source_a", "2023-05-01");
    project.load("source_a", "2023-05-02");
    (database, project)
}

#[test]
fn a_rerun_replaces_its_batch_and_no_other() {
    let (database, project) = loaded();
    let before = database.content();
    project.load("source_a", "2023-05-01");
    assert_eq!(database.content(), before);
    project.input("source_a", "20230501", batch(SOURCE_A, "c", 2));
    project.load("source_a", "2023-05-01");
    assert_eq!(
        database.rows("select batch_date, name, count(*) from patients group by 1, 2 order by 1"),
        ["2023-05-01|c|2", "2023-05-02|b|3"]
    );
    assert_eq!(database.count("treatments"), 8 * 5);
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn a_batch_that_fails_anywhere_leaves_the_old_content() {
    let (database, project) = load(Project::of_repository());
    let before = database.content();
    let good = batch(SOURCE_A, "c", 200);
    let cut = &good[..good.len() - 40];
    let bad_date = good.replacen("\"2023-05-01\"", "\"2023-05-32\"", 10);
    let duplicate = format!("{}, {}", &good[..good.len() - 1], &good[1..]);
    for (what, text) in [
        ("cut short", cut),
        ("more bad dates than are tolerated", &bad_date),
        ("each key twice", &duplicate),
        ("empty", "[]"),
    ] {
        project.input("source_a", "20230501", text);
        project.run(&["run", "--source", "a", "--date", "20230501"]).code(1);
        assert_eq!(database.content(), before, "{what}");
        assert_eq!(database.staging_tables(), [] as [&str; 0], "{what}");
    }
    assert_eq!(
        database.rows("select status, count(*) from pipeline.runs group by 1 order by 1"),
        ["committed|2", "failed|4"]
    );
}

#[test]
fn one_failing_batch_does_not_keep_others_from_loading() {
    let (database, project) = loaded();
    project.input("source_a", "20230501", "[");
    project.input("source_a", "20230502", batch(SOURCE_A, "c", 2));
    project
        .run(&["run", "--source", "a", "--start", "20230501", "--end", "20230502"])
        .code(1);
    assert_eq!(
        database.rows("select batch_date, name, count(*) from patients group by 1, 2 order by 1"),
        ["2023-05-01|a|5", "2023-05-02|c|2"]
    );
}

#[test]
fn an_entity_that_the_source_serves_no_longer_loses_its_rows_in_the_same_swap() {
    let (database, project) = loaded();
    project.remove("sql/source_a/treatments.sql");
    let conserves = "  treatments: visits[].diagnoses[].treatments[]\n";
    project.edit("pipelines/source_a.yaml", conserves, "");
    project.load("source_a", "2023-05-01");
    assert_eq!(
        database.rows("select distinct batch_date from treatments"),
        ["2023-05-02"]
    );
    assert_eq!(
        database.rows("select distinct batch_date from diagnoses order by 1"),
        ["2023-05-01", "2023-05-02"]
    );
}

#[test]
fn a_dropped_batch_is_gone_from_every_table() {
    let (database, project) = loaded();
    // Nobody can answer the question here.
    project
        .run(&["drop", "--source", "a", "--date", "2023-05-01"])
        .code(2)
        .stderr_contains("--yes");
    assert_eq!(database.count("patients"), 8);
    project
        .run(&["drop", "--source", "a", "--date", "2023-05-01", "--yes"])
        .code(0);
    for entity in ["patients", "visits", "diagnoses", "treatments"] {
        assert_eq!(
            database.rows(&format!("select distinct batch_date from {entity}")),
            ["2023-05-02"],
            "{entity}"
        );
    }
    assert_eq!(
        database.rows("select action, status from pipeline.runs order by run_id desc limit 1"),
        ["drop|committed"]
    );
    // Drops the batch again, and drops a batch that never existed.
    project
        .run(&["drop", "--source", "a", "--date", "2023-05-01", "--yes"])
        .code(0);
    project.load("source_a", "2023-05-01");
    assert_eq!(database.count("patients"), 8);
}

#[test]
fn leaves_carry_the_contracts_keys_and_indexes_and_statistics() {
    let (database, project) = loaded();
    project.load("source_a", "2023-05-01");
    let leaves = database.rows(
        "select c.relname, c.reltuples::int from pg_class c join pg_partition_tree('visits') t on t.relid = c.oid where t.isleaf order by 2",
    );
    assert_eq!(
        leaves
            .iter()
            .map(|leaf| leaf.split('|').nth(1).unwrap())
            .collect::<Vec<_>>(),
        ["6", "10"]
    );
    for leaf in leaves {
        let name = leaf.split('|').next().unwrap();
        assert_eq!(
            database.count(&format!(
                "pg_indexes where schemaname = 'pipeline_partitions' and tablename = '{name}'"
            )),
            3
        );
        // Indexes are attached and not doubled: every index of the partition belongs to an index of the parent table.
        let attached = format!(
            "pg_index i join pg_class c on c.oid = i.indrelid join pg_inherits h on h.inhrelid = i.indexrelid where c.relname = '{name}'"
        );
        assert_eq!(database.count(&attached), 3);
    }
}

#[test]
fn a_key_twice_in_one_batch_is_refused_and_twice_in_two_batches_is_not() {
    let (database, project) = Small::new().on_server();
    let project = project.json(r#"[{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "a", "n": 3}]"#);
    project
        .run_clinic()
        .code(1)
        .stderr_contains("items")
        .stderr_contains("item_id");
    assert_eq!(database.count("items"), 0);
    let project = project
        .json(r#"{"id": "a"}"#)
        .file("in/2023-05-02.json", r#"{"id": "a"}"#);
    project
        .run(&["run", "--source", "clinic", "--start", DATE, "--end", "20230502"])
        .code(0);
    assert_eq!(database.count("items"), 2);
}

#[test]
fn no_index_lets_rows_of_other_batches_through() {
    // The check constraint of the staging table and the bound of the partition match the batch.
    let (database, project) = Small::new().on_server();
    let project = project.json(r#"{"id": "a"}"#);
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select source, batch_date from items"),
        [format!("clinic|{DATE}")]
    );
    assert_eq!(
        database.count(&format!("items where source = 'clinic' and batch_date = '{DATE}'")),
        1
    );
    assert_eq!(database.count("items where batch_date > '2023-05-01'"), 0);
}
