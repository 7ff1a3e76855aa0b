//! A run that is killed or breaks at any point leaves the old content, and the next run heals.
use std::time::{Duration, Instant};

use crate::harness::{Database, Project, SOURCE_A, batch};

const RUN: [&str; 5] = ["run", "--source", "a", "--date", "2023-05-01"];
const STATE: &str = "select (select string_agg(distinct name, ',') from patients), (select count(*) from patients),
    (select count(*) from visits), (select count(*) from diagnoses), (select count(*) from treatments)";

fn expected(tag: &str, patients: usize) -> String {
    format!("{tag}|{patients}|{}|{}|{}", 2 * patients, 4 * patients, 8 * patients)
}

fn loaded(patients: usize) -> (Database, Project, String) {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "old", patients));
    project.run(&RUN).code(0);
    (database, project, expected("old", patients))
}

#[test]
fn killed_ten_times_at_random_moments() {
    let patients = 1500;
    let (database, project, mut state) = loaded(patients);
    assert_eq!(database.value(STATE), state);
    let started = Instant::now();
    project.run(&RUN).code(0);
    let whole = started.elapsed();
    // No clock decides whether the test passes; it only spreads the kills over a run's length.
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
            running.wait().killed();
            killed += 1;
        }
        // Its connections may end a moment later; a commit that was sent may still be done.
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
