//! A cluster of real processes: a scheduler and two executors, which meet over loopback addresses. Only builds with the
//! feature `cluster` have it.
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::{Database, Project, Running, SOURCE_A, batch, repository, until};

/// A scheduler and its executors. All end with this.
pub struct Cluster {
    pub url: String,
    pub scheduler: Running,
    pub executors: Vec<Running>,
}

impl Cluster {
    /// Starts them in the project's folder, with its environment.
    pub fn start(project: &Project, executors: usize) -> Self {
        Self::start_with(project, executors, &[])
    }

    /// The same with more options for all of them.
    pub fn start_with(project: &Project, executors: usize, options: &[&str]) -> Self {
        let (scheduler, url) = Self::scheduler(project, "127.0.0.1:0", options);
        let mut cluster = Self {
            url,
            scheduler,
            executors: Vec::new(),
        };
        for number in 0..executors {
            let url = cluster.url.clone();
            cluster.add_at(project, number, &url, options);
        }
        cluster
    }

    pub fn scheduler(project: &Project, bind: &str, options: &[&str]) -> (Running, String) {
        let args = ["cluster", "scheduler", "--bind", bind, "--lost-after", "6"];
        let scheduler = project.spawn(&[&args[..], options].concat());
        let url = word_after(&scheduler, "the scheduler listens on ");
        (scheduler, url)
    }

    pub fn add(&mut self, project: &Project, number: usize) {
        let url = self.url.clone();
        self.add_at(project, number, &url, &[]);
    }

    /// Adds an executor that finds the scheduler at another address.
    pub fn add_at(&mut self, project: &Project, number: usize, url: &str, options: &[&str]) {
        let folder = format!("executor{number}");
        fs::create_dir_all(project.path(&folder)).unwrap();
        let args = [
            "cluster",
            "executor",
            "--scheduler",
            url,
            "--tasks",
            "2",
            "--work-dir",
            &folder,
        ];
        let executor = project.spawn(&[&args[..], options].concat());
        word_after(&executor, "the executor listens on ");
        self.executors.push(executor);
    }
}

/// Waits until a process says this on stderr, and returns the word after it.
pub fn word_after(process: &Running, said: &str) -> String {
    let word = || {
        let text = process.stderr_so_far();
        let rest = text.split_once(said)?.1;
        // Until the end of the line, it may be half a word.
        let (word, _) = rest.split_once('\n')?;
        Some(word.to_owned())
    };
    until(said, || word().is_some());
    word().unwrap()
}

/// The hash of each table's rows, the quarantine, and the accounts of the batches.
pub(crate) fn state(database: &Database) -> Vec<String> {
    let tables =
        "select relname from pg_class where relkind = 'p' and relnamespace = 'public'::regnamespace order by 1";
    let tables = database.rows(tables);
    assert!(!tables.is_empty());
    let mut state: Vec<String> = tables
        .iter()
        .map(|table| {
            database.value(&format!(
                "select '{table} ' || count(*) || ' ' || md5(coalesce(string_agg(t::text, E'\\n' order by t::text), '')) from {table} t"
            ))
        })
        .collect();
    state.extend(database.rows(
        "select source, batch_date, entity, check_name, file, record, byte_offset, path, reason from pipeline.quarantine
         order by 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ));
    state.extend(database.rows(
        "select source, batch_date, status, records, counts, fingerprint from pipeline.runs order by source, batch_date",
    ));
    state
}

/// A migrated database for the project.
fn database(project: Project) -> (Database, Project) {
    let database = Database::fresh();
    let project = project.on(&database);
    project.run(&["migrate"]).code(0);
    project.run(&["views"]).code(0);
    (database, project)
}

fn dates(project: &Project) -> (String, String) {
    let expected: serde_json::Value = serde_json::from_str(&project.read("expected.json")).unwrap();
    let batches = expected["batches"].as_array().unwrap();
    let dates = batches.iter().map(|batch| batch["date"].as_str().unwrap().to_owned());
    let mut dates: Vec<String> = dates.collect();
    dates.sort();
    (dates[0].clone(), dates[dates.len() - 1].clone())
}

/// Loads the same batches here and on a cluster, and compares what they leave.
fn compare(folder: &Path, start: &str, end: &str) {
    let copy = || {
        if folder == repository() {
            Project::with_examples()
        } else {
            Project::copy_of(folder)
        }
    };
    let (here, local) = database(copy());
    let args = ["run", "--all-sources", "--start", start, "--end", end];
    local.run(&args).code(0);
    let elsewhere = Database::fresh();
    // The same folder, so that the files have the same times.
    let remote = local.on(&elsewhere);
    remote.run(&["migrate"]).code(0);
    remote.run(&["views"]).code(0);
    let cluster = Cluster::start(&remote, 2);
    let args = [&args[..], &["--cluster", &cluster.url]].concat();
    remote.run(&args).code(0);
    assert_eq!(state(&elsewhere), state(&here), "{}", folder.display());
    assert_eq!(elsewhere.staging_tables(), [] as [&str; 0]);
}

#[test]
fn this_repository_loads_on_a_cluster_as_it_does_here() {
    compare(repository(), "2023-05-01", "2023-05-02");
}

#[test]
fn every_example_loads_on_a_cluster_as_it_does_here() {
    let mut run = 0;
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("pipeline.yaml").exists() {
            let (start, end) = dates(&Project::copy_of(&folder));
            compare(&folder, &start, &end);
            run += 1;
        }
    }
    assert!(run > 0, "examples/ holds no project");
}

/// Holds each table of a batch after its rows are copied, so that a test meets the batch on its way on any machine.
pub const SLOW: &str = "stage.after_copy=sleep(4000)";

pub const RUN: [&str; 6] = ["run", "--source", "a", "--date", "2023-05-01", "--cluster"];

pub fn loaded(patients: usize) -> (Database, Project, Cluster) {
    let database = Database::migrated();
    let project = Project::of_repository().in_clear().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "old", patients));
    let cluster = Cluster::start(&project, 2);
    project.run(&[&RUN[..], &[&cluster.url]].concat()).code(0);
    assert_eq!(tags(&database), format!("old|{patients}"));
    (database, project, cluster)
}

pub fn tags(database: &Database) -> String {
    database.value("select string_agg(distinct name, ',') || '|' || count(*) from patients")
}

#[test]
fn a_batch_survives_its_executors_being_killed() {
    let patients = 4000;
    let (database, project, mut cluster) = loaded(patients);
    let started = Instant::now();
    project.run(&[&RUN[..], &[&cluster.url]].concat()).code(0);
    let whole = started.elapsed();
    let mut moved = 0;
    for round in 0..10_usize {
        let tag = format!("round{round}");
        project.input("source_a", "20230501", batch(SOURCE_A, &tag, patients));
        let (running, begun) = (project.spawn(&[&RUN[..], &[&cluster.url]].concat()), Instant::now());
        std::thread::sleep(whole.mul_f64(rand::random::<f64>()));
        // One of them has the batch: the other gets it once the first counts as lost, if it was the first.
        cluster.executors[round % 2].kill();
        running.wait().code(0);
        moved += usize::from(begun.elapsed() > Duration::from_secs(6));
        assert_eq!(tags(&database), format!("{tag}|{patients}"));
        assert_eq!(database.count("treatments"), 8 * patients);
        assert_eq!(database.staging_tables(), [] as [&str; 0]);
        drop(cluster.executors.remove(round % 2));
        cluster.add(&project, 2 + round);
        cluster.executors.swap(0, 1);
    }
    assert!(moved > 0, "no executor was killed while it had the batch");
}

#[test]
fn a_batch_whose_executor_loses_the_database_fails_whole() {
    let (database, project, cluster) = loaded(20);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
    let running = project.spawn(&[&RUN[..], &[&cluster.url]].concat());
    let copying = "pg_stat_activity where datname = current_database() and query like 'COPY%' and state = 'active'";
    until("rows are copied", || database.count(copying) > 0);
    database.rows(&format!("select pg_terminate_backend(pid) from {copying}"));
    let outcome = running.wait();
    assert!(matches!(outcome.exit(), Some(1 | 3)), "{outcome:?}");
    assert_eq!(tags(&database), "old|20");
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
    project.run(&[&RUN[..], &[&cluster.url]].concat()).code(0);
    assert_eq!(tags(&database), "new|6000");
}

#[test]
fn a_run_whose_scheduler_is_killed_fails_whole() {
    let (database, project, mut cluster) = loaded(20);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
    let running = project.spawn(&[&RUN[..], &[&cluster.url]].concat());
    until("the run has begun", || {
        database.count("pipeline.runs where status = 'running'") == 1
    });
    std::thread::sleep(Duration::from_millis(300));
    cluster.scheduler.kill();
    let outcome = running.wait();
    outcome.code(3).stderr_contains("the scheduler at df://127.0.0.1:");
    assert_eq!(tags(&database), "old|20");
    until("the executor has given the batch up", || {
        database.count("pg_stat_activity where datname = current_database() and state like '%transaction%' and pid <> pg_backend_pid()") == 0
    });
    project.run(&RUN[..5]).code(0);
    assert_eq!(tags(&database), "new|6000");
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn nothing_is_left_of_a_run_that_is_killed() {
    let (database, project, cluster) = loaded(20);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
    let mut running = project.spawn(&[&RUN[..], &[&cluster.url]].concat());
    until("the run has begun", || {
        database.count("pipeline.runs where status = 'running'") == 1
    });
    std::thread::sleep(Duration::from_millis(500));
    running.kill();
    let _ = running.wait();
    assert_eq!(tags(&database), "old|20");
    // The executor finds out that nobody waits for it.
    until("the executor has given the batch up", || {
        database.count("pg_stat_activity where datname = current_database() and state like '%transaction%' and pid <> pg_backend_pid()") == 0
    });
    project.run(&[&RUN[..], &[&cluster.url]].concat()).code(0);
    assert_eq!(tags(&database), "new|6000");
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
    assert_eq!(database.count("pipeline.runs where status = 'running'"), 0);
}

#[test]
fn a_signal_ends_a_run_on_a_cluster() {
    let (database, project, cluster) = loaded(20);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
    let running = project.spawn(&[&RUN[..], &[&cluster.url]].concat());
    until("the run has begun", || {
        database.count("pipeline.runs where status = 'running'") == 1
    });
    running.signal("INT");
    running.wait().code(130);
    assert_eq!(tags(&database), "old|20");
    project.run(&[&RUN[..], &[&cluster.url]].concat()).code(0);
    assert_eq!(tags(&database), "new|6000");
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn an_executor_with_another_key_is_refused_and_no_file_holds_a_value() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "CANARY", 300));
    let other = Project::copy_of(&project.path("")).on(&database);
    let other = other.env("PIPELINE_MASK_KEY", "HxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4=");
    let cluster = Cluster::start(&other, 1);
    let outcome = project.run(&[&RUN[..], &[&cluster.url]].concat());
    outcome
        .code(2)
        .stderr_contains("an executor has another key for the masks than the run");
    assert_eq!(database.count("patients"), 0);

    let mut cluster = Cluster::start(&project, 1);
    project.run(&[&RUN[..], &[&cluster.url, "-vv"]].concat()).code(0);
    assert_eq!(database.count("patients"), 300);
    let mut seen = 0;
    for folder in [project.path("executor0"), project.path(".pipeline")] {
        seen += lacks(&folder, "CANARY") + lacks(&folder, crate::harness::MASK_KEY);
    }
    assert!(seen > 0, "no report lies there");
    let executor = cluster.executors.remove(0);
    executor.signal("TERM");
    let outcome = executor.wait().code(0);
    for said in [&outcome.stdout, &outcome.stderr, &cluster.scheduler.stderr_so_far()] {
        assert!(
            !said.contains("CANARY") && !said.contains(crate::harness::MASK_KEY),
            "{said}"
        );
    }
    assert!(
        !project
            .path("executor0/.pipeline/spill")
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().path().is_dir() })
    );
}

/// How many files below a folder lack a text. All must.
fn lacks(folder: &Path, text: &str) -> usize {
    let mut seen = 0;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            seen += lacks(&path, text);
        } else {
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!found, "{} holds it", path.display());
            seen += 1;
        }
    }
    seen
}

#[test]
fn what_an_executor_warns_of_is_shown_by_the_run() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    let mut patients: serde_json::Value = serde_json::from_str(&batch(SOURCE_A, "new", 3)).unwrap();
    patients[1]["undeclared"] = "x".into();
    project.input("source_a", "20230501", patients.to_string());
    let cluster = Cluster::start(&project, 1);
    let outcome = project.run(&[&RUN[..], &[&cluster.url]].concat());
    outcome
        .code(0)
        .stderr_contains("source_a: 1 undeclared fields were left out of $");
}

#[test]
fn a_cluster_that_is_not_there_is_said() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 3));
    let outcome = project.run(&[&RUN[..], &["df://127.0.0.1:9"]].concat());
    outcome
        .code(3)
        .stderr_contains("the scheduler of the cluster at df://127.0.0.1:9 can't be reached");
    let executor = ["cluster", "executor", "--bind", "192.0.2.1:1"];
    project
        .run(&executor)
        .code(3)
        .stderr_contains("192.0.2.1:1 can't be listened on");
}
