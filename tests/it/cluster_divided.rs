//! One batch whose input several executors read: real processes, as in `cluster_processes`.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster_processes::{Cluster, state, tags};
use crate::harness::{Database, MASK_KEY, Project, Running, SOURCE_A, batch, until};
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
    below(
        &project.path(&format!("executor{executor}/.pipeline/spill")),
        &mut found,
    );
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
    let cluster = Cluster::start(&project, 2);
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
    for round in 0..4_u32 {
        let tag = format!("round{round}");
        project.input("source_a", "20230501", lines(&patients(&tag, count)));
        let (running, begun) = (project.spawn(&divided(&cluster, "100KB")), Instant::now());
        // From the first part to the last table.
        std::thread::sleep(whole.mul_f64(f64::from(round).mul_add(0.25, 0.15)));
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
    assert_eq!(tags(&database), format!("round3|{count}"));
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
    people[200]["visits"] = json!("bad");
    project.input("source_a", "20230501", lines(&people));
    let cluster = Cluster::start(&project, 2);
    let outcome = project.run(&divided(&cluster, "20KB")).code(1);
    outcome.stderr_contains("visit_events.json, record 201 at byte");
    let whole = project.run(&[&RUN[..], &["--cluster", &cluster.url, "--part-size", "none"]].concat());
    whole.code(1).stderr_contains("visit_events.json, record 201 at byte");
    assert_eq!(database.count("patients"), 0);
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}
