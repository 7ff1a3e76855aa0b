//! One batch whose input several executors read: real processes, as in `cluster_processes`.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster_operations::{certificates, tls};
use crate::cluster_processes::{Cluster, SLOW, state, tags};
use crate::harness::{Bucket, Database, MASK_KEY, Project, Running, SOURCE_A, batch, until};
use crate::person::{ERASE, with_id};

const RUN: [&str; 5] = ["run", "--source", "a", "--date", "2023-05-01"];

/// Runs the batch on a cluster, in parts of about a size.
fn divided<'a>(cluster: &'a Cluster, size: &'a str) -> Vec<&'a str> {
    [&RUN[..], &["--cluster", &cluster.url, "--part-size", size]].concat()
}

/// The repository's project, which reads its source a from lines.
fn of_lines(project: Project) -> Project {
    project.edit("pipelines/source_a.yaml", "format: json", "format: ndjson");
    project.edit("pipelines/source_a.yaml", "name:", "max_quarantined: 50%\nname:");
    project
}

fn lines(patients: &[Value]) -> String {
    let lines: Vec<String> = patients.iter().map(Value::to_string).collect();
    lines.join("\n")
}

fn patients(tag: &str, count: usize) -> Vec<Value> {
    serde_json::from_str(&batch(SOURCE_A, tag, count)).unwrap()
}

/// The files of rows that an executor has now, by the folder of their stage. Some may go while this looks.
fn files(project: &Project, executor: usize) -> Vec<(PathBuf, Vec<u8>)> {
    fn below(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        for path in fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
        {
            if path.is_dir() {
                below(&path, found);
            } else if let Ok(bytes) = fs::read(&path) {
                found.push((folder.to_owned(), bytes));
            }
        }
    }
    let mut found = Vec::new();
    let spill = project.path(&format!("executor{executor}/.pipeline/spill"));
    for folder in fs::read_dir(spill).into_iter().flatten().flatten() {
        below(&folder.path().join("reports"), &mut found);
    }
    found
}

/// Of how many stages an executor has rows now.
fn stages(project: &Project, executor: usize) -> usize {
    let folders: BTreeSet<PathBuf> = files(project, executor).into_iter().map(|(folder, _)| folder).collect();
    folders.len()
}

#[test]
fn a_batch_that_two_executors_read_is_the_one_that_is_read_here() {
    let here = Database::migrated();
    let project = of_lines(Project::of_repository()).on(&here);
    let mut people = patients("new", 900);
    for (number, person) in people.iter_mut().enumerate() {
        // What the source declares as sensitive.
        person["patient_id"] = json!(format!("CANARY-{number}"));
        person["name"] = json!("CANARY");
        for visit in person["visits"].as_array_mut().unwrap() {
            visit["provider_notes"] = json!({"text": "CANARY", "author": "CANARY"});
        }
    }
    people.insert(7, json!({"name": "CANARY nobody", "undeclared": 1}));
    people.push(people[20].clone());
    people[30]["visits"][0]["date"] = json!("2023-02-31");
    people[111]["visits"] = json!("CANARY");
    // Of these persons nothing may be loaded or counted as refused.
    let erased = [30, 90].map(|at| people[at]["patient_id"].as_str().unwrap().to_owned());
    project.input("source_a", "20230501", lines(&people));
    let erase = |project: &Project| {
        for id in &erased {
            with_id(project, &ERASE, &format!("{id}\n")).code(0);
        }
    };
    erase(&project);
    project.run(&RUN).code(0);
    assert!(here.count("patients") > 300 && here.count("pipeline.quarantine") > 0);
    let expected = state(&here);
    // The same folder, so that the file has the same time.
    let elsewhere = Database::migrated();
    let project = project.on(&elsewhere);
    erase(&project);
    let cluster = Cluster::start_with(&project, 2, &["-vv"]);
    let mut running = project.spawn(&[&divided(&cluster, "40KB")[..], &["-vv"]].concat());
    let mut written = [0, 0];
    while !running.is_over() {
        for (executor, most) in written.iter_mut().enumerate() {
            let files = files(&project, executor);
            let folders: BTreeSet<&PathBuf> = files.iter().map(|(folder, _)| folder).collect();
            *most = folders.len().max(*most);
            for text in ["CANARY", MASK_KEY, &erased[1]] {
                let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
                assert!(!files.iter().any(|(_, bytes)| holds(bytes)), "a file holds {text}");
            }
        }
    }
    running.wait().code(0).output_lacks("CANARY").output_lacks(MASK_KEY);
    assert_eq!(state(&elsewhere), expected);
    assert_eq!(elsewhere.staging_tables(), [] as [&str; 0]);
    assert!(written.iter().sum::<usize>() > 3, "{written:?}: it was not divided");
    assert!(
        written.iter().all(|stages| *stages > 0),
        "{written:?}: one executor did all"
    );
    let said = [&cluster.scheduler, &cluster.executors[0], &cluster.executors[1]].map(Running::stderr_so_far);
    for text in ["CANARY", MASK_KEY] {
        assert!(said.iter().all(|said| !said.contains(text)), "{said:?}");
    }
}

#[test]
fn a_divided_batch_survives_its_executors_being_killed() {
    let count = 4000;
    let database = Database::migrated();
    let project = of_lines(Project::of_repository().in_clear()).on(&database);
    project.input("source_a", "20230501", lines(&patients("old", count)));
    let mut cluster = Cluster::start(&project, 2);
    let started = Instant::now();
    project.run(&divided(&cluster, "100KB")).code(0);
    let whole = started.elapsed();
    assert_eq!(tags(&database), format!("old|{count}"));
    let mut moved = 0;
    for round in 0..ROUNDS {
        let tag = format!("round{round}");
        project.input("source_a", "20230501", lines(&patients(&tag, count)));
        let (running, begun) = (project.spawn(&divided(&cluster, "100KB")), Instant::now());
        std::thread::sleep(moment(whole, round));
        let killed = usize::try_from(round % 2).unwrap();
        cluster.executors[killed].kill();
        let outcome = running.wait();
        moved += usize::from(begun.elapsed() > Duration::from_secs(6));
        if outcome.exit() == Some(0) {
            assert_eq!(tags(&database), format!("{tag}|{count}"));
            assert_eq!(database.count("treatments"), 8 * count);
        } else {
            assert!(!tags(&database).contains(&tag), "{outcome:?}");
        }
        assert_eq!(database.staging_tables(), [] as [&str; 0]);
        drop(cluster.executors.remove(killed));
        cluster.add(&project, 2 + usize::try_from(round).unwrap());
        cluster.executors.swap(0, 1);
    }
    assert!(moved > 0, "no executor was killed while it had work");
    project.run(&divided(&cluster, "100KB")).code(0);
    assert_eq!(tags(&database), format!("round{}|{count}", ROUNDS - 1));
}

/// How many times something is killed.
const ROUNDS: u32 = 10;

/// A random moment of what takes so long: in each round from another tenth of it.
fn moment(whole: Duration, round: u32) -> Duration {
    whole.mul_f64((f64::from(round) + rand::random::<f64>()) / f64::from(ROUNDS))
}

/// Loads a batch in parts. Returns how long that takes.
fn loaded_in_parts(count: usize) -> (Database, Project, Cluster, Duration) {
    let database = Database::migrated();
    let project = of_lines(Project::of_repository().in_clear()).on(&database);
    project.input("source_a", "20230501", lines(&patients("old", count)));
    let cluster = Cluster::start(&project, 2);
    let started = Instant::now();
    project.run(&divided(&cluster, "60KB")).code(0);
    (database, project, cluster, started.elapsed())
}

fn no_files_are_left(project: &Project) {
    until("the files of rows are removed", || {
        files(project, 0).is_empty() && files(project, 1).is_empty()
    });
}

#[test]
fn nothing_is_left_of_divided_batches_whose_runs_are_killed() {
    let count = 3000;
    let (database, project, cluster, whole) = loaded_in_parts(count);
    let mut killed = 0;
    for round in 0..ROUNDS {
        let tag = format!("round{round}");
        project.input("source_a", "20230501", lines(&patients(&tag, count)));
        let before = tags(&database);
        let mut running = project.spawn(&divided(&cluster, "60KB"));
        std::thread::sleep(moment(whole, round));
        running.kill();
        killed += usize::from(running.wait().exit().is_none());
        let now = tags(&database);
        assert!(now == before || now == format!("{tag}|{count}"), "{now}");
    }
    assert!(killed > 3, "{killed} runs were killed before their end");
    project.input("source_a", "20230501", lines(&patients("new", count)));
    project.run(&divided(&cluster, "60KB")).code(0);
    assert_eq!(tags(&database), format!("new|{count}"));
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
    assert_eq!(database.count("pipeline.runs where status = 'running'"), 0);
    assert_eq!(database.count("pipeline.progress"), 0);
    no_files_are_left(&project);
}

#[test]
fn nothing_is_left_of_a_divided_batch_whose_scheduler_is_killed() {
    let count = 3000;
    let (database, project, mut cluster, _) = loaded_in_parts(count);
    no_files_are_left(&project);
    project.input("source_a", "20230501", lines(&patients("new", count)));
    let running = project.spawn(&divided(&cluster, "60KB"));
    until("both executors have read parts", || {
        stages(&project, 0) > 0 && stages(&project, 1) > 0
    });
    cluster.scheduler.kill();
    running
        .wait()
        .code(3)
        .stderr_contains("the scheduler at df://127.0.0.1:");
    assert_eq!(tags(&database), format!("old|{count}"));
    // No scheduler tells the executors to remove them.
    no_files_are_left(&project);
    let address = cluster.url.strip_prefix("df://").unwrap().to_owned();
    cluster.scheduler = Cluster::scheduler(&project, &address, &[]).0;
    project.run(&divided(&cluster, "60KB")).code(0);
    assert_eq!(tags(&database), format!("new|{count}"));
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn with_certificates_rows_go_from_one_executor_to_another() {
    let count = 2000;
    let database = Database::migrated();
    let project = of_lines(Project::of_repository().in_clear()).on(&database);
    project.input("source_a", "20230501", lines(&patients("new", count)));
    let folder = project.path("certificates");
    certificates(&folder);
    let node = tls(&folder, "node", "ca");
    let options: Vec<&str> = node.iter().map(String::as_str).collect();
    let cluster = Cluster::start_with(&project, 2, &options);
    let mut running = project.spawn(&[&divided(&cluster, "40KB")[..], &options].concat());
    let mut written = [0, 0];
    while !running.is_over() {
        for (executor, most) in written.iter_mut().enumerate() {
            *most = stages(&project, executor).max(*most);
        }
    }
    running.wait().code(0);
    assert!(written.iter().all(|stages| *stages > 0), "{written:?}: one did all");
    assert_eq!(tags(&database), format!("new|{count}"));
    assert_eq!(database.count("treatments"), 8 * count);
}

#[test]
fn parts_are_read_from_an_object_store() {
    let bucket = Bucket::serve();
    let here = Database::migrated();
    let project = of_lines(Project::of_repository()).on(&here).with_bucket(&bucket);
    project.edit("pipelines/source_a.yaml", "path: examples/data/", "path: s3://bucket/");
    let mut people = patients("new", 900);
    people.insert(700, json!({"name": "nobody"}));
    bucket.put("source_a/20230501/visit_events.json", lines(&people));
    project.run(&RUN).code(0);
    assert_eq!((here.count("patients"), here.count("pipeline.quarantine")), (900, 1));
    let elsewhere = Database::migrated();
    let project = project.on(&elsewhere);
    let cluster = Cluster::start(&project, 2);
    let outcome = project.run(&[&divided(&cluster, "60KB")[..], &["-v"]].concat());
    outcome.code(0).stderr_contains("the input is read in parts");
    assert_eq!(state(&elsewhere), state(&here));
}

#[test]
fn a_run_shows_how_far_the_readers_of_parts_are() {
    let database = Database::migrated();
    let project = of_lines(Project::of_repository().in_clear()).on(&database);
    let project = project.env("PIPELINE_PROGRESS_MS", "300").env("FAILPOINTS", SLOW);
    let input = lines(&patients("new", 1000));
    let size = input.len();
    project.input("source_a", "20230501", input);
    let cluster = Cluster::start(&project, 2);
    let running = project.spawn(&divided(&cluster, "100KB"));
    // The parts are read by then, and the tables are being filled.
    let filling = "pipeline.progress where part = 0 and (entities->'patients'->>'rows')::int = 1000";
    until("rows are copied", || database.count(filling) == 1);
    let parts = database.value("select count(*) || '|' || sum(records) from pipeline.progress where part > 0");
    assert_eq!(parts, format!("{}|1000", size / 100_000));
    let status = project.run(&["status", "--output", "json"]).code(0).json();
    let progress = &status[0]["progress"];
    assert_eq!(progress["records"], 1000, "{status}");
    assert_eq!(progress["bytes"], size, "{status}");
    assert_eq!(progress["entities"]["patients"]["rows"], 1000);
    let shown = project.run(&["status"]).code(0);
    shown.stdout_contains("running").stdout_contains(" goes on: ");
    let said = running.wait().code(0).stderr;
    assert!(said.contains(" read, 1,000 records, "), "{said}");
    let status = project.run(&["status", "--output", "json"]).code(0).json();
    assert!(status[0]["progress"].is_null(), "{status}");
}

#[test]
fn rows_that_are_lost_with_their_executor_are_read_again() {
    let count = 3000;
    let database = Database::migrated();
    let project = of_lines(Project::of_repository().in_clear()).on(&database);
    project.input("source_a", "20230501", lines(&patients("new", count)));
    let mut cluster = Cluster::start(&project, 2);
    let running = project.spawn(&divided(&cluster, "60KB"));
    until("both executors have read parts", || {
        stages(&project, 0) > 0 && stages(&project, 1) > 0
    });
    cluster.executors[1].kill();
    running.wait().code(0);
    assert_eq!(tags(&database), format!("new|{count}"));
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn a_part_that_can_not_be_read_fails_the_batch_with_the_message_of_one_machine() {
    let database = Database::migrated();
    let project = of_lines(Project::of_repository()).on(&database);
    project.edit(
        "pipelines/source_a.yaml",
        "  format: ndjson",
        "  format: ndjson\n  on_malformed: fail",
    );
    let mut people = patients("new", 300);
    people[200]["visits"] = json!("CANARY");
    project.input("source_a", "20230501", lines(&people));
    let cluster = Cluster::start_with(&project, 2, &["-vv"]);
    let outcome = project
        .run(&[&divided(&cluster, "20KB")[..], &["-vv"]].concat())
        .code(1);
    outcome
        .stderr_contains("visit_events.json, record 201 at byte")
        .output_lacks("CANARY");
    let said = [&cluster.scheduler, &cluster.executors[0], &cluster.executors[1]].map(Running::stderr_so_far);
    assert!(said.iter().all(|said| !said.contains("CANARY")), "{said:?}");
    let whole = project.run(&[&RUN[..], &["--cluster", &cluster.url, "--part-size", "none"]].concat());
    whole.code(1).stderr_contains("visit_events.json, record 201 at byte");
    assert_eq!(database.count("patients"), 0);
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}
