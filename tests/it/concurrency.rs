//! Tests with several processes at the same time.
use crate::harness::{Database, Project, SOURCE_A, SOURCE_B, batch, until};

fn project(database: &Database) -> Project {
    with_input(Project::of_repository().in_clear(), database)
}

fn with_input(project: Project, database: &Database) -> Project {
    let project = project.on(database);
    for date in ["20230501", "20230502"] {
        project.input("source_a", date, batch(SOURCE_A, "a", 50));
        project.input("source_b", date, batch(SOURCE_B, "b", 50));
    }
    project
}

const TWICE: [&str; 5] = ["run", "--source", "a", "--date", "2023-05-01"];

#[test]
fn different_batches_run_as_processes_at_the_same_moment() {
    let database = Database::migrated();
    let project = project(&database);
    // The first loads of two new sources, with two dates each.
    let running: Vec<_> = ["a", "b"]
        .iter()
        .flat_map(|source| {
            ["20230501", "20230502"].map(|date| project.spawn(&["run", "--source", source, "--date", date]))
        })
        .collect();
    for process in running {
        process.wait().code(0);
    }
    assert_eq!(
        database.rows("select source, batch_date, count(*) from treatments group by 1, 2 order by 1, 2"),
        [
            "source_a|2023-05-01|400",
            "source_a|2023-05-02|400",
            "source_b|2023-05-01|400",
            "source_b|2023-05-02|400"
        ]
    );
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

/// A run that is stopped in the middle of its batch and keeps the batch locked.
fn holding(project: &Project, database: &Database) -> (crate::harness::Running, postgres::Client) {
    // It can't swap while a reader locks the tables, so it keeps its batch lock.
    let mut reader = database.client();
    reader
        .batch_execute("begin; select count(*) from patients; select count(*) from treatments")
        .unwrap();
    let running = project.spawn(&TWICE);
    until("the first run holds its batch", || {
        database.count("pg_tables where schemaname = 'pipeline' and tablename = 'runs'") == 1
            && database.count("pipeline.runs where status = 'running'") == 1
    });
    (running, reader)
}

#[test]
fn the_same_batch_twice_at_once_is_refused_by_name() {
    let database = Database::migrated();
    let project = project(&database);
    project.run(&TWICE).code(0);
    let (first, mut reader) = holding(&project, &database);
    project
        .run(&TWICE)
        .code(1)
        .stderr_contains("source_a")
        .stderr_contains("2023-05-01")
        .stderr_contains("--wait");
    // Another batch of the same source can be loaded.
    let other = project.spawn(&["run", "--source", "a", "--date", "2023-05-02"]);
    reader.batch_execute("commit").unwrap();
    other.wait().code(0);
    first.wait().code(0);
    assert_eq!(database.count("treatments where batch_date = '2023-05-01'"), 400);
}

#[test]
fn the_same_batch_twice_with_wait_runs_one_after_the_other() {
    let database = Database::migrated();
    let project = project(&database);
    project.run(&TWICE).code(0);
    let (first, mut reader) = holding(&project, &database);
    let mut wait = TWICE.to_vec();
    wait.push("--wait");
    let mut second = project.spawn(&wait);
    until("the second run waits", || {
        second.is_over() || !second.stderr_so_far().is_empty()
    });
    assert!(!second.is_over(), "it should wait: {}", second.stderr_so_far());
    reader.batch_execute("commit").unwrap();
    first.wait().code(0);
    second.wait().code(0);
    assert_eq!(database.count("treatments where batch_date = '2023-05-01'"), 400);
    assert_eq!(
        database.count("pipeline.runs where status = 'committed' and source = 'source_a'"),
        3
    );
}

#[test]
fn many_starts_of_one_batch_leave_no_row_twice() {
    let database = Database::migrated();
    let project = with_input(Project::of_repository(), &database);
    for _ in 0..3 {
        let running: Vec<_> = (0..4).map(|_| project.spawn(&TWICE)).collect();
        let codes: Vec<_> = running.into_iter().map(|process| process.wait().exit()).collect();
        assert!(codes.contains(&Some(0)), "one should win: {codes:?}");
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 1))), "{codes:?}");
        assert_eq!(database.count("patients"), 50);
        assert_eq!(database.count("treatments"), 400);
    }
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn a_reader_that_holds_the_tables_is_waited_for_and_keeps_nobody_else_out() {
    let database = Database::migrated();
    let project = project(&database);
    project.run(&TWICE).code(0);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 10));
    let (mut running, mut reader) = holding(&project, &database);
    // The run tries to swap and gives up again and again. Other readers can read meanwhile.
    for _ in 0..30 {
        assert_eq!(database.count("patients where name = 'a'"), 50);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!running.is_over());
    reader.batch_execute("commit").unwrap();
    running.wait().code(0);
    assert_eq!(
        database.rows("select name, count(*) from patients group by 1"),
        ["new|10"]
    );
}
