//! A batch that another process fills is the batch that this process would fill. These tests have no network between the
//! two: the bytes that would cross it go from one to the other. `cluster_processes` has one.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use healthcare_insights::error::Result;
use healthcare_insights::model::Batch;
use healthcare_insights::project;
use healthcare_insights::run::remote::{Capacity, Cluster, Job, OnCluster, PartRows, Worker};
use healthcare_insights::run::{self, BatchOutcome, Options, Silent};
use serde_json::{Value, json};

use crate::harness::{Database, Project, SOURCE_A, batch};

/// What the run has written of its batch, but for times and ids.
pub(crate) const ACCOUNT: &str =
    "select status, records, counts, fingerprint, files, error from pipeline.runs order by run_id";
pub(crate) const QUARANTINE: &str = "select entity, check_name, file, record, byte_offset, path, reason from pipeline.quarantine \
                          order by entity nulls first, check_name, record, path, reason";

/// What happens to a task on its way.
pub(crate) type OnItsWay = fn(&mut Value);

/// An executor in this process.
struct Elsewhere {
    worker: Worker,
    changed: OnItsWay,
    /// How many times the task is done. The last report counts.
    times: usize,
    /// Into how many parts the last batch was divided.
    parts: Arc<AtomicUsize>,
}

impl Elsewhere {
    /// Reads a part as another executor does.
    async fn read(&self, task: &[u8]) -> PartRows {
        let (sender, mut rows) = tokio::sync::mpsc::channel(1);
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let reading = async {
            self.worker.read(task, &sender).await;
            drop(sender);
        };
        let taking = async {
            while let Some(piece) = rows.recv().await {
                pieces.push(piece);
            }
        };
        futures::join!(reading, taking);
        Arc::new(move || stream::iter(pieces.clone()).map(Ok).boxed())
    }
}

impl Cluster for Elsewhere {
    fn run(&self, _: i64, job: Job) -> BoxFuture<'_, Result<Vec<u8>>> {
        async move {
            let on_its_way = |task: &[u8]| {
                let mut task: Value = serde_json::from_slice(task).unwrap();
                (self.changed)(&mut task);
                serde_json::to_vec(&task).unwrap()
            };
            let mut parts: Vec<PartRows> = Vec::new();
            for part in &job.parts {
                parts.push(self.read(&on_its_way(part)).await);
            }
            let task = on_its_way(&job.fill);
            self.parts.store(parts.len(), Relaxed);
            let mut report = Vec::new();
            for _ in 0..self.times {
                report = self.worker.work(&task, parts.clone()).await;
            }
            Ok(report)
        }
        .boxed()
    }
}

fn server(database: &Database) -> healthcare_insights::warehouse::Database {
    healthcare_insights::warehouse::Database::choose(Some(&database.url()), Path::new(".")).unwrap()
}

/// Loads the batch of source a on 1 May by an executor that works on the database `of_executor`.
fn load(
    project: &Project,
    database: &Database,
    of_executor: &Database,
    changed: OnItsWay,
    times: usize,
) -> BatchOutcome {
    load_in_parts(project, database, of_executor, changed, times, ("source_a", None)).0
}

/// Loads a batch of 1 May by an executor, in parts of about a size. Returns how many there were.
pub(crate) fn load_in_parts(
    project: &Project,
    database: &Database,
    of_executor: &Database,
    changed: OnItsWay,
    times: usize,
    (source, part_size): (&str, Option<u64>),
) -> (BatchOutcome, usize) {
    let (files, texts) = project::load_with_texts(&project.path("")).unwrap();
    let batches = vec![Batch {
        source: source.into(),
        date: "2023-05-01".parse().unwrap(),
    }];
    let parts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&parts);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome = runtime.block_on(async {
        let capacity = Capacity {
            tasks: 1,
            memory: 64 << 20,
            connections: 6,
        };
        let worker = Worker::open(server(of_executor), folder.path(), capacity, true, project::load_sent).await;
        let cluster = OnCluster {
            cluster: Arc::new(Elsewhere {
                worker: worker.unwrap(),
                changed,
                times,
                parts: counted,
            }),
            texts: Arc::new(texts),
            part_size,
        };
        let options = Options::new(&files, 1, None, None, 64 << 20)
            .as_superuser(true)
            .on_cluster(cluster, 1, None, None);
        let outcome = Box::pin(run::run(files, server(database), batches, options, Arc::new(Silent))).await;
        outcome.unwrap().batches.remove(0)
    });
    (outcome, parts.load(Relaxed))
}

pub(crate) fn as_sent(_: &mut Value) {}

/// 300 patients, of which one has no id, one comes twice and one has a visit on no day.
fn dirty() -> Project {
    let project = Project::of_repository().in_clear();
    project.edit("pipelines/source_a.yaml", "name:", "max_quarantined: 5%\nname:");
    let mut patients: Vec<Value> = serde_json::from_str(&batch(SOURCE_A, "old", 300)).unwrap();
    patients.insert(7, json!({"name": "nobody", "undeclared": 1}));
    patients.push(patients[20].clone());
    patients[30]["visits"][0]["date"] = json!("2023-02-31");
    project.input("source_a", "20230501", Value::Array(patients).to_string());
    project
}

#[test]
fn a_batch_that_an_executor_fills_is_the_one_that_is_filled_here() {
    let project = dirty();
    let (here, elsewhere) = (Database::migrated(), Database::migrated());
    let project = project.on(&here);
    project.load("source_a", "2023-05-01");
    let outcome = load(&project, &elsewhere, &elsewhere, as_sent, 1);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(elsewhere.content(), here.content());
    assert_eq!(elsewhere.rows(QUARANTINE), here.rows(QUARANTINE));
    assert!(here.count("pipeline.quarantine") >= 3);
    assert_eq!(elsewhere.rows(ACCOUNT), here.rows(ACCOUNT));
    assert_eq!(elsewhere.staging_tables(), [] as [&str; 0]);
}

#[test]
fn two_executors_that_fill_one_batch_give_its_rows_once() {
    let (project, database) = (Project::of_repository().in_clear(), Database::migrated());
    project.input("source_a", "20230501", batch(SOURCE_A, "twice", 20));
    let outcome = load(&project, &database, &database, as_sent, 2);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(database.count("patients"), 20);
    assert_eq!(database.count("treatments"), 160);
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

/// The message of a run whose executor does not take the task, which has left nothing.
fn refused(of_executor: Option<&Database>, changed: OnItsWay) -> String {
    let (project, database) = (Project::of_repository().in_clear(), Database::migrated());
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 3));
    let outcome = load(&project, &database, of_executor.unwrap_or(&database), changed, 1);
    assert_eq!(database.count("patients"), 0);
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
    assert_eq!(database.rows("select status from pipeline.runs"), ["failed"]);
    outcome.error.unwrap().to_string()
}

#[test]
fn an_executor_of_another_version_is_refused() {
    let message = refused(None, |task| task["version"] = json!("9.9.9/1"));
    assert!(message.starts_with("an executor has another version of the program than the run: the run has 9.9.9/1"));
}

#[test]
fn an_executor_with_another_key_is_refused() {
    let message = refused(None, |task| task["key_id"] = json!("0123456789abcdef"));
    assert_eq!(
        message,
        "an executor has another key for the masks than the run: the run has the one with the id 0123456789abcdef, the \
         executor has none"
    );
}

/// Takes the input away, so that whoever opened it would say so.
fn without_input(task: &Value) {
    let root = Path::new(task["root"].as_str().unwrap());
    let _ = std::fs::remove_file(root.join("examples/data/source_a/20230501/visit_events.json"));
}

#[test]
fn an_executor_of_another_version_or_with_another_key_reads_no_byte() {
    let others: [(OnItsWay, &str); 2] = [
        (
            |task| {
                without_input(task);
                task["version"] = json!("9.9.9/1");
            },
            "an executor has another version of the program than the run",
        ),
        (
            |task| {
                without_input(task);
                task["key_id"] = json!("0123456789abcdef");
            },
            "an executor has another key for the masks than the run",
        ),
    ];
    for (changed, said) in others {
        assert!(refused(None, changed).starts_with(said));
        // The same of a batch that is divided.
        let (project, database) = (Project::of_repository().in_clear(), Database::migrated());
        project.edit("pipelines/source_a.yaml", "format: json", "format: ndjson");
        let patients: Vec<Value> = serde_json::from_str(&batch(SOURCE_A, "new", 20)).unwrap();
        let lines: Vec<String> = patients.iter().map(Value::to_string).collect();
        project.input("source_a", "20230501", lines.join("\n"));
        let (outcome, parts) = load_in_parts(&project, &database, &database, changed, 1, ("source_a", Some(3000)));
        assert!(parts > 1, "{parts} parts");
        let error = outcome.error.unwrap().to_string();
        assert!(error.starts_with(said), "{error}");
        assert_eq!(database.count("patients"), 0);
    }
}

#[test]
fn an_executor_with_another_database_is_refused() {
    let message = refused(Some(&Database::migrated()), as_sent);
    assert_eq!(
        message,
        "run 1 of source_a 2023-05-01 is not in the database of the executor, or it is over"
    );
}

#[test]
fn an_executor_whose_database_is_empty_is_refused() {
    let message = refused(Some(&Database::fresh()), as_sent);
    assert_eq!(
        message,
        "run 1 of source_a 2023-05-01 is not in the database of the executor, or it is over"
    );
}

#[test]
fn a_file_that_an_executor_does_not_see_is_named() {
    let message = refused(None, |task| task["root"] = json!("/nowhere"));
    assert_eq!(
        message,
        "an executor does not see examples/data/source_a/20230501/visit_events.json"
    );
}

#[test]
fn a_file_that_an_executor_sees_otherwise_is_named() {
    let message = refused(None, |task| task["files"][0]["size"] = json!(1));
    assert_eq!(
        message,
        "an executor sees another version of examples/data/source_a/20230501/visit_events.json"
    );
}

#[test]
fn an_executor_with_another_project_is_refused() {
    let message = refused(None, |task| {
        let sql = &mut task["texts"]["sql/source_a/patients.sql"];
        *sql = json!(format!("{}\n-- changed on its way", sql.as_str().unwrap()));
    });
    assert_eq!(
        message,
        "an executor does not have the project and the input of the run"
    );
}

#[test]
fn what_is_sent_names_no_database_and_no_key() {
    refused(None, |task| {
        let keys: Vec<&String> = task.as_object().unwrap().keys().collect();
        let known = [
            "version",
            "root",
            "texts",
            "source",
            "date",
            "run_id",
            "key_id",
            "fingerprint",
            "files",
            "today",
            "work",
        ];
        assert!(keys.iter().all(|key| known.contains(&key.as_str())), "{keys:?}");
        let text = task.to_string();
        assert!(!text.contains("postgres://") && !text.contains("127.0.0.1"), "{text}");
        task["version"] = json!("0");
    });
}

#[test]
fn a_cluster_needs_a_server() {
    let project = Project::of_repository();
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 3));
    let args = [
        "run",
        "--source",
        "a",
        "--date",
        "2023-05-01",
        "--cluster",
        "df://127.0.0.1:1",
    ];
    let said = if cfg!(feature = "cluster") {
        "executors of a cluster can't use the embedded database"
    } else {
        "this build of the program works on one machine only"
    };
    project.run(&args).code(2).stderr_contains(said);
}

#[test]
fn an_executor_reads_no_project_file_of_its_own() {
    let (project, database) = (Project::of_repository().in_clear(), Database::migrated());
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 3));
    let appears = |task: &mut Value| {
        let root = Path::new(task["root"].as_str().unwrap());
        std::fs::create_dir_all(root.join("sql/checks")).unwrap();
        std::fs::write(root.join("sql/checks/late.sql"), "-- severity: none\nselect 1").unwrap();
        std::fs::write(root.join("pipelines/source_a.yaml"), "name: [").unwrap();
    };
    let outcome = load(&project, &database, &database, appears, 1);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(database.count("patients"), 3);
}
