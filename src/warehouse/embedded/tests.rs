//! The database of a folder: what survives a kill, and who may open it.

use crate::warehouse::connect::{Database, Warehouse};

/// Not a test of its own: the process that the next one kills.
#[tokio::test(flavor = "multi_thread")]
async fn held_by_a_child() {
    let Ok(dir) = std::env::var("PIPELINE_TEST_HOLD") else {
        return;
    };
    let warehouse = Warehouse::open(Database::Embedded { dir: dir.into() }, 1)
        .await
        .unwrap();
    let mut connection = warehouse.acquire().await.unwrap();
    connection
        .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let open = connection.transaction().await.unwrap();
    open.batch_execute("INSERT INTO t SELECT generate_series(2, 1000)")
        .await
        .unwrap();
    eprintln!("held");
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_survives_a_kill() {
    use std::io::BufRead;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(".pipeline").join("warehouse");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "warehouse::embedded::tests::held_by_a_child", "--nocapture"])
        .env("PIPELINE_TEST_HOLD", &dir)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"));
    let open = || Warehouse::open(Database::Embedded { dir: dir.clone() }, 1);
    let refused = open().await.err().unwrap();
    assert!(
        refused.message.ends_with(&format!("(process {})", child.id())),
        "{refused}"
    );
    child.kill().unwrap();
    let warehouse = open().await.unwrap();
    child.wait().unwrap();
    let row = warehouse
        .acquire()
        .await
        .unwrap()
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_outlive_the_process_that_wrote_them() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(".pipeline").join("warehouse");
    let open = || Warehouse::open(Database::Embedded { dir: dir.clone() }, 8);
    let first = open().await.unwrap();
    assert_eq!(first.connections(), 1);
    first
        .acquire()
        .await
        .unwrap()
        .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
        .await
        .unwrap();
    let refused = open().await.err().unwrap();
    assert!(
        refused
            .message
            .starts_with("the embedded database is in use by `pipeline"),
        "{refused}"
    );
    first.close().await;
    let second = open().await.unwrap();
    let row = second
        .acquire()
        .await
        .unwrap()
        .query_one("SELECT a FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    drop(second);
    // Dropped without closing, on a live runtime: the folder is free again in a moment.
    let third = open().await.unwrap();
    assert!(
        third.describe().ends_with(".pipeline/warehouse"),
        "{}",
        third.describe()
    );
    assert_eq!(
        std::fs::read_to_string(root.path().join(".pipeline/.gitignore")).unwrap(),
        "*\n"
    );
}
