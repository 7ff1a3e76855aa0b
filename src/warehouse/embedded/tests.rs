//! Tests of a folder's database: it survives a kill, only one process may open it, and its port serves one client.

use std::time::Duration;

use tokio_postgres::NoTls;

use super::{Listen, serve_db};
use crate::warehouse::{Database, Warehouse};

/// Not a test by itself: the next test runs it as a child process and kills it.
#[tokio::test(flavor = "multi_thread")]
async fn held_by_a_child() {
    let Ok(dir) = std::env::var("PIPELINE_TEST_HOLD") else {
        return;
    };
    let warehouse = Warehouse::open(Database::Embedded { dir: dir.into() }, 1)
        .await
        .unwrap();
    let mut connection = warehouse.acquire_as_user().await.unwrap();
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
        .acquire_as_user()
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
        .acquire_as_user()
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
        .acquire_as_user()
        .await
        .unwrap()
        .query_one("SELECT a FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    drop(second);
    // Dropped without closing, on a live runtime: the folder is free again shortly after.
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

async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Every user of this machine can reach the port.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_password_is_not_let_in() {
    let root = tempfile::tempdir().unwrap();
    let served = serve_db(root.path(), Listen::Port(0)).await.unwrap();
    let url = served.url().to_owned();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(served.run(async {
        let _ = stopped.await;
    }));
    let (before, host) = url.split_once('@').unwrap();
    let (user, password) = before.rsplit_once(':').unwrap();
    assert_eq!(password.len(), 32);
    let wrong = format!("{}0", &password[..31]);
    let other = if wrong == password { "1" } else { wrong.as_str() };
    for given in ["", "postgres", &password[..31], &format!("{password}0"), other] {
        let error = connect(&format!("{user}:{given}@{host}")).await.err().unwrap();
        let said = error.as_db_error().unwrap();
        assert_eq!(said.code().code(), "28P01");
        assert!(!said.message().contains(password));
    }
    assert!(connect(&format!("{user}@{host}")).await.is_err());
    // A refused client does not keep the next one out.
    connect(&url).await.unwrap().batch_execute("SELECT 1").await.unwrap();
    drop(stop);
    serving.await.unwrap();
    let again = serve_db(root.path(), Listen::Port(0)).await.unwrap();
    assert!(!again.url().contains(password), "each start has a password of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_at_a_time_is_served_and_the_next_is_told() {
    let root = tempfile::tempdir().unwrap();
    let served = serve_db(root.path(), Listen::Port(0)).await.unwrap();
    let url = served.url().to_owned();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(served.run(async {
        let _ = stopped.await;
    }));
    let first = connect(&url).await.unwrap();
    first
        .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
        .await
        .unwrap();
    let second = connect(&url).await.err().unwrap();
    let second = second.as_db_error().unwrap();
    assert_eq!(second.code().code(), "53300");
    assert_eq!(
        second.message(),
        "the embedded database serves one client at a time, and another is connected"
    );
    // A client that leaves in the middle of a large answer does not disturb the next one.
    let large = first
        .simple_query_raw("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
        .await
        .unwrap();
    drop((large, first));
    let third = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Ok(client) = connect(&url).await {
                return client;
            }
        }
    });
    let third = third.await.unwrap();
    let row = third
        .query_one("SELECT a, current_database()::text FROM t", &[])
        .await
        .unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1)), (7, "postgres"));
    let held = Warehouse::open(
        Database::Embedded {
            dir: root.path().join(".pipeline/warehouse"),
        },
        1,
    )
    .await;
    assert!(
        held.err()
            .unwrap()
            .message
            .starts_with("the embedded database is in use by `pipeline")
    );
    // Stopping does not wait for a client.
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), serving)
        .await
        .unwrap()
        .unwrap();
    Warehouse::open(
        Database::Embedded {
            dir: root.path().join(".pipeline/warehouse"),
        },
        1,
    )
    .await
    .unwrap();
}
