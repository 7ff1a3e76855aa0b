//! After errors, dead processes and lost connections, the old content is left and nothing else.

use std::process::Command;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use futures::StreamExt;

use super::*;
use crate::error::Error;
use crate::warehouse::load::runs::Failure;
use crate::warehouse::load::{failpoint, recover};

const OLD: &[(&str, Rows<'static>)] = &[("patients", &[("a", "old")]), ("visits", &[("v", "old")])];
const NEW: &[(&str, Rows<'static>)] = &[("patients", &[("a", "new")]), ("visits", &[("v", "new")])];

async fn old(world: &World) -> BatchLocks {
    let locks = world.locks();
    world.load(&locks, &day(2), OLD).await.unwrap();
    locks
}

async fn assert_old(world: &World) {
    assert_eq!(world.rows("patients").await, ["(a,old,source_b,2023-05-02)"]);
    assert_eq!(world.rows("visits").await, ["(v,old,source_b,2023-05-02)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_key_is_told_without_its_value() {
    for world in [Some(World::embedded().await), World::server().await]
        .into_iter()
        .flatten()
    {
        let locks = old(&world).await;
        let run = locks.start_run(&day(2), &record(), false).await.unwrap();
        let error = world
            .stage(&run, &[("patients", &[("canary", "1"), ("canary", "2")])])
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "duplicate key in patients: several rows of source_b 2023-05-02 have the same id"
        );
        run.fail(Failure::Failed, &error.to_string()).await.unwrap();
        assert_eq!(
            world.state().await,
            (vec!["committed".to_owned(), "failed".to_owned()], vec![])
        );
        assert_old(&world).await;
    }
    if let Some(server) = testing::server() {
        let log = server.log();
        assert!(!log.contains("canary"), "the server's log quotes a key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_stream_or_in_a_cell_leaves_nothing() {
    let Some(world) = World::server().await else { return };
    let locks = old(&world).await;
    let run = locks.start_run(&day(2), &record(), false).await.unwrap();
    let mut client = world.warehouse.acquire_as_user().await.unwrap();
    let error = world
        .stage_one(&run, &mut client, "patients", &[("a", "1"), ("b\0", "2")])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "patients: column id holds a NUL character, which PostgreSQL can't store: file.json, record 2"
    );
    let many: Vec<(String, String)> = (0..20_000).map(|n| (n.to_string(), "value".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(id, value)| (id.as_str(), value.as_str())).collect();
    let batches = stream::iter(vec![Ok(record_batch(&many)), Err(Error::batch("the input broke off"))]);
    let counter = StageCounter::default();
    let error = run
        .staging()
        .stage(&mut client, &world.entities[0], batches, &|_| String::new(), &counter)
        .await
        .unwrap_err();
    assert_eq!(error.message, "the input broke off");
    // The connection can still be used.
    let staged = world
        .stage_one(&run, &mut client, "patients", &[("a", "1")])
        .await
        .unwrap();
    assert_eq!(staged.rows(), 1);
    // Dropping a future half-way leaves nothing behind, either.
    let never = stream::iter(vec![Ok(record_batch(&[("x", "y")]))]).chain(stream::pending());
    let staging = run.staging();
    let stage = staging.stage(&mut client, &world.entities[1], never, &|_| String::new(), &counter);
    assert!(tokio::time::timeout(Duration::from_millis(200), stage).await.is_err());
    assert_eq!(world.state().await.1, ["patients_r2"]);
    run.fail(Failure::Interrupted, "stopped").await.unwrap();
    assert_eq!(
        world.state().await,
        (vec!["committed".to_owned(), "interrupted".to_owned()], vec![])
    );
    assert_old(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_lost_its_lease_is_refused_at_the_fence() {
    let Some(world) = World::server().await else { return };
    let locks = old(&world).await;
    let run = locks.start_run(&day(2), &record(), false).await.unwrap();
    let staged = world.stage(&run, NEW).await.unwrap();
    let mark = "UPDATE pipeline.runs SET status = 'lost' WHERE status = 'running'";
    world
        .warehouse
        .acquire_as_user()
        .await
        .unwrap()
        .batch_execute(mark)
        .await
        .unwrap();
    let client = world.warehouse.acquire_as_user().await.unwrap();
    let error = run
        .swap(
            client,
            &world.entities,
            staged,
            Summary::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.message, "run 2 of source_b 2023-05-02 was superseded");
    assert_eq!(
        world.state().await,
        (vec!["committed".to_owned(), "lost".to_owned()], vec![])
    );
    assert_old(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lock_session_hands_the_batch_to_another_run() {
    let Some(world) = World::server().await else { return };
    let locks = old(&world).await;
    let run = locks.start_run(&day(2), &record(), false).await.unwrap();
    let staged = world.stage(&run, &NEW[..1]).await.unwrap();
    let kill = "SELECT pg_terminate_backend(pid)::text FROM pg_locks WHERE locktype = 'advisory' \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(world.texts(kill).await, ["true"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    world
        .load(&BatchLocks::new(world.other_process().await), &day(2), NEW)
        .await
        .unwrap();
    assert_eq!(
        world.state().await,
        (["committed", "lost", "committed"].map(str::to_owned).into(), vec![])
    );
    let client = world.warehouse.acquire_as_user().await.unwrap();
    let error = run
        .swap(
            client,
            &world.entities,
            staged,
            Summary::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.message, "run 2 of source_b 2023-05-02 was superseded");
    assert_eq!(world.rows("patients").await, ["(a,new,source_b,2023-05-02)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_batch_is_refused_with_its_holder_or_waited_for() {
    let Some(world) = World::server().await else { return };
    let locks = world.locks();
    let run = locks.start_run(&day(2), &record(), false).await.unwrap();
    let other = BatchLocks::new(world.other_process().await);
    for locks in [&locks, &other] {
        let error = locks.start_run(&day(2), &record(), false).await.err().unwrap();
        assert_eq!(error.message, "source_b 2023-05-02 is held by another run");
        let cause = error.why().unwrap();
        assert!(
            cause.starts_with("run 1, since 20") && cause.contains("UTC, server process "),
            "{cause}"
        );
        assert_eq!(error.hint.as_deref(), Some("wait for it with --wait"));
    }
    // Another batch can be locked, and a live run is not taken for a dead one.
    drop(other.start_run(&day(3), &record(), false).await.unwrap());
    assert!(!recover(&other).await.unwrap().contains(&1));
    let started = Instant::now();
    let free = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        run.fail(Failure::Failed, "over").await.unwrap();
    };
    let (batch, record) = (day(2), record());
    let (waited, ()) = tokio::join!(other.start_run(&batch, &record, true), free);
    assert!(started.elapsed() >= Duration::from_millis(700));
    assert_eq!(waited.unwrap().attempt(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_dropped_is_cleaned_up_after() {
    for world in [Some(World::embedded().await), World::server().await]
        .into_iter()
        .flatten()
    {
        let locks = old(&world).await;
        let run = locks.start_run(&day(2), &record(), false).await.unwrap();
        let staged = world.stage(&run, NEW).await.unwrap();
        assert!(recover(&locks).await.unwrap().is_empty(), "the run is alive");
        drop((run, staged));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(world.state().await.1.len(), 2);
        assert_eq!(recover(&locks).await.unwrap(), [2]);
        assert_eq!(
            world.state().await,
            (vec!["committed".to_owned(), "lost".to_owned()], vec![])
        );
        assert_old(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_table_among_the_leaves_is_left_alone() {
    let Some(world) = World::server().await else { return };
    old(&world).await;
    let sql = "CREATE TABLE pipeline_partitions.mine (); CREATE TABLE pipeline_partitions.visits_r999 (); \
               CREATE TABLE pipeline_partitions.copy_r1 (); CREATE TABLE pipeline_partitions.x_r99999999999999999999 ()";
    world
        .warehouse
        .acquire_as_user()
        .await
        .unwrap()
        .batch_execute(sql)
        .await
        .unwrap();
    assert!(recover(&world.locks()).await.unwrap().is_empty());
    assert_eq!(
        world.state().await.1,
        ["copy_r1", "mine", "visits_r999", "x_r99999999999999999999"]
    );
}

/// Loads NEW in a child process, which is stopped at the failpoint that `FAILPOINTS` names.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the tests of failpoints"]
async fn child() {
    let conninfo = std::env::var("PIPELINE_TEST_CONNINFO").unwrap();
    let database = crate::warehouse::Database::choose(Some(&conninfo), std::path::Path::new("/")).unwrap();
    let world = World {
        database: None,
        warehouse: Warehouse::open(database, 4).await.unwrap(),
        entities: contract(),
    };
    let _scenario = fail::FailScenario::setup();
    let many: Vec<(String, String)> = (0..20_000)
        .map(|n| (n.to_string(), "a value of some length".to_owned()))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(id, value)| (id.as_str(), value.as_str())).collect();
    let loaded = world
        .load(&world.locks(), &day(2), &[("patients", &many), NEW[1]])
        .await;
    if let Err(error) = loaded {
        eprintln!("{error}");
        std::process::exit(7);
    }
}

fn run_child(world: &World, failpoints: &str) -> std::process::ExitStatus {
    let server = testing::server().unwrap();
    let (folder, port, database) = (server.folder.display(), server.port, world.database.as_ref().unwrap());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "warehouse::load::tests::failures::child", "--ignored"])
        .env(
            "PIPELINE_TEST_CONNINFO",
            format!("host={folder} port={port} user=postgres dbname={database}"),
        )
        .env("FAILPOINTS", failpoints)
        .output()
        .unwrap()
        .status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_point_is_healed_by_the_next_run() {
    let Some(world) = World::server().await else { return };
    old(&world).await;
    for (round, point) in failpoint::ALL.iter().enumerate() {
        let status = run_child(&world, &format!("{point}=return(abort)"));
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(6),
            "{point}"
        );
        let (runs, _) = world.state().await;
        if *point == failpoint::AFTER_COMMIT {
            assert_eq!(runs[round * 2 + 1], "committed");
            assert_eq!(world.texts("SELECT count(*)::text FROM patients").await, ["20000"]);
        } else {
            assert_eq!(runs[round * 2 + 1], "running", "{point}");
            assert_old(&world).await;
        }
        // The server notices the broken connections after some time.
        let locks = BatchLocks::new(world.other_process().await);
        let run = locks.start_run(&day(2), &record(), true).await.unwrap();
        assert_eq!(world.state().await.1, Vec::<String>::new(), "{point}");
        let staged = world.stage(&run, OLD).await.unwrap();
        let client = world.warehouse.acquire_as_user().await.unwrap();
        run.swap(
            client,
            &world.entities,
            staged,
            Summary::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap();
        assert_old(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_at_any_point_leaves_the_old_and_a_lost_answer_is_found_out() {
    let Some(world) = World::server().await else { return };
    old(&world).await;
    for point in failpoint::ALL {
        let status = run_child(&world, &format!("{point}=return"));
        if *point == failpoint::AFTER_COMMIT {
            assert!(status.success(), "the row told that it was committed");
            assert_eq!(world.texts("SELECT count(*)::text FROM patients").await, ["20000"]);
        } else {
            assert_eq!(status.code(), Some(7), "{point}");
            assert_old(&world).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            recover(&BatchLocks::new(world.other_process().await)).await.unwrap();
            assert_eq!(world.state().await.1, Vec::<String>::new(), "{point}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_at_commit_has_not_committed() {
    let Some(world) = World::server().await else { return };
    old(&world).await;
    let world = Arc::new(world);
    let child = {
        let world = world.clone();
        tokio::task::spawn_blocking(move || run_child(&world, "swap.before_commit=sleep(1500)"))
    };
    let kill = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                WHERE datname = current_database() AND state = 'idle in transaction' AND EXISTS \
                (SELECT FROM pg_locks l WHERE l.pid = pg_stat_activity.pid AND l.mode = 'AccessExclusiveLock') \
                AND query LIKE '%ATTACH%'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while world.texts(kill).await.is_empty() {
        assert!(Instant::now() < deadline, "the swap was never seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(child.await.unwrap().code(), Some(7));
    assert_old(&world).await;
    assert_eq!(
        world.state().await,
        (vec!["committed".to_owned(), "failed".to_owned()], vec![])
    );
    let said = world.texts("SELECT error FROM pipeline.runs WHERE run_id = 2").await;
    assert!(said[0].contains("broke off before the COMMIT took effect"), "{said:?}");
}
