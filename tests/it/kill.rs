//! If a run is killed or fails at any point, the old rows stay and the next run cleans up.
use std::time::{Duration, Instant};

use crate::harness::{Database, Project, SOURCE_A, batch, padded};

const RUN: [&str; 5] = ["run", "--source", "a", "--date", "2023-05-01"];
const STATE: &str = "select (select string_agg(distinct name, ',') from patients), (select count(*) from patients),
    (select count(*) from visits), (select count(*) from diagnoses), (select count(*) from treatments)";

fn expected(tag: &str, patients: usize) -> String {
    format!("{tag}|{patients}|{}|{}|{}", 2 * patients, 4 * patients, 8 * patients)
}

fn loaded(patients: usize) -> (Database, Project, String) {
    let (database, project, _) = load(Project::of_repository().in_clear(), patients);
    (database, project, expected("old", patients))
}

fn load(project: Project, patients: usize) -> (Database, Project, String) {
    let database = Database::migrated();
    let project = project.on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "old", patients));
    project.run(&RUN).code(0);
    let state = database.value(STATE);
    (database, project, state)
}

#[test]
fn killed_ten_times_at_random_moments() {
    let patients = 1500;
    let (database, project, mut state) = loaded(patients);
    assert_eq!(database.value(STATE), state);
    let started = Instant::now();
    project.run(&RUN).code(0);
    let whole = started.elapsed();
    // The result does not depend on a clock. The clock only spreads the kills over a run's duration.
    let mut killed = 0;
    for round in 0..10 {
        let tag = format!("round{round}");
        project.input("source_a", "20230501", batch(SOURCE_A, &tag, patients));
        let mut running = project.spawn(&RUN);
        let moment = whole
            .mul_f64(0.1 + 0.085 * f64::from(round))
            .mul_f64(0.8 + 0.4 * rand::random::<f64>());
        let until = Instant::now() + moment;
        while Instant::now() < until && !running.is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if running.is_over() {
            running.wait().code(0);
        } else {
            running.kill();
            let outcome = running.wait();
            // It may have ended between the look and the signal: such a run is over, not killed.
            if outcome.exit().is_none() {
                outcome.killed();
                killed += 1;
            } else {
                outcome.code(0);
            }
        }
        // The killed run's connections may end a moment later, and a commit that was already sent may still finish.
        crate::harness::until("the killed run's connections end", || {
            database.count("pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'") == 0
        });
        let now = database.value(STATE);
        let new = expected(&tag, patients);
        assert!(now == state || now == new, "after {moment:?}: {now}, before {state}");
        state = now;
    }
    assert!(killed >= 5, "only {killed} runs were killed in the middle");
    project.input("source_a", "20230501", batch(SOURCE_A, "healed", patients));
    project.run(&RUN).code(0);
    assert_eq!(database.value(STATE), expected("healed", patients));
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
    assert_eq!(database.count("pipeline.runs where status = 'running'"), 0);
}

/// Every place where a test may stop a batch, in the order in which a batch reaches them (src/warehouse/failpoint.rs).
const FAILPOINTS: [&str; 8] = [
    "stage.before_copy",
    "stage.mid_copy",
    "stage.after_copy",
    "stage.after_index",
    "swap.before_lock",
    "swap.after_lock",
    "swap.before_commit",
    "swap.after_commit",
];

/// A tag that is so long that a table's rows are sent in several pieces.
fn long(tag: &str) -> String {
    tag.repeat(500)
}

/// The project with new input, ready to run with this failpoint.
fn fail_at(project: &Project, database: &Database, tag: &str, action: &str) -> Project {
    let failing = Project::copy_of(&project.path(""))
        .on(database)
        .env("FAILPOINTS", action);
    failing.input("source_a", "20230501", batch(SOURCE_A, &long(tag), 30));
    failing
}

#[test]
fn a_crash_at_any_step_leaves_one_whole_content() {
    let (database, project, old) = loaded(20);
    for name in FAILPOINTS {
        project.input("source_a", "20230501", batch(SOURCE_A, "old", 20));
        project.run(&RUN).code(0);
        let crashed = fail_at(&project, &database, "new", &format!("{name}=return(abort)")).run(&RUN);
        assert_eq!(crashed.exit(), None, "{name} should end the process: {crashed:?}");
        let state = if name == "swap.after_commit" {
            expected(&long("new"), 30)
        } else {
            old.clone()
        };
        assert_eq!(database.value(STATE), state, "after a crash at {name}");
    }
    project.run(&RUN).code(0);
    assert_eq!(database.value(STATE), old);
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
    assert_eq!(database.count("pipeline.runs where status = 'running'"), 0);
}

#[test]
fn an_error_at_any_step_leaves_the_old_content_and_nothing_else() {
    let (database, project, old) = load(Project::of_repository(), 20);
    for name in FAILPOINTS.iter().filter(|name| **name != "swap.after_commit") {
        fail_at(&project, &database, "new", &format!("{name}=return"))
            .run(&RUN)
            .code(1);
        assert_eq!(database.value(STATE), old, "after an error at {name}");
        assert_eq!(database.staging_tables(), [] as [&str; 0], "after an error at {name}");
    }
    assert_eq!(
        database.count("pipeline.runs where status = 'failed'"),
        FAILPOINTS.len() - 1
    );
}

/// Loads once from input that is kept in memory for one entity after the other, and once with all entities together.
#[test]
fn a_panic_while_rows_are_staged_is_an_error_like_others() {
    let (database, project, old) = loaded(20);
    let small = batch(SOURCE_A, "new", 30);
    for input in [small.clone(), padded(small)] {
        let failing = Project::copy_of(&project.path(""))
            .on(&database)
            .env("FAILPOINTS", "stage.after_copy=1*panic");
        failing.input("source_a", "20230501", input);
        failing
            .run(&RUN)
            .code(1)
            .stderr_contains("an internal error ended the batch");
        assert_eq!(database.value(STATE), old);
        assert_eq!(database.staging_tables(), [] as [&str; 0]);
    }
    assert_eq!(database.count("pipeline.runs where status = 'failed'"), 2);
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_out() {
    let (database, project, _) = loaded(20);
    fail_at(&project, &database, "new", "swap.after_commit=return")
        .run(&RUN)
        .code(0);
    assert_eq!(database.value(STATE), expected(&long("new"), 30));
    assert_eq!(
        database.rows("select status from pipeline.runs order by run_id"),
        ["committed", "committed"]
    );
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn a_run_whose_connections_are_ended_says_so() {
    let (database, project, old) = loaded(20);
    let mut reader = database.client();
    reader.batch_execute("begin; select count(*) from patients").unwrap();
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 30));
    let running = project.spawn(&RUN);
    // The run waits at the swap for this reader.
    crate::harness::until("everything is staged", || database.staging_tables().len() == 4);
    database.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
         and state <> 'idle in transaction'",
    );
    // A run that goes on with new connections must find the tables free, or it waits for the reader longer than a test may.
    drop(reader);
    let outcome = running.wait();
    // It may have given up, or gone on with new connections; it may not have done half of it.
    match outcome.exit() {
        Some(0) => assert_eq!(database.value(STATE), expected("new", 30)),
        Some(1 | 3) => assert_eq!(database.value(STATE), old),
        _ => panic!("{outcome:?}"),
    }
    project.run(&RUN).code(0);
    assert_eq!(database.value(STATE), expected("new", 30));
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}
